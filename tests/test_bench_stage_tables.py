"""The tables of enhancement and ablation."""

from __future__ import annotations

from avcall.bench.stage_tables import ablation_table, enhancement_table

PLAIN = {"lpips_alex": 0.1, "dists": 0.2, "aed": 0.3, "flicker": 2.0, "psnr": 26.0, "enhance_ms": 0.0}


def test_enhancement_is_told_as_a_change() -> None:
    better = PLAIN | {"lpips_alex": 0.09, "dists": 0.15, "aed": None, "psnr": 27.0, "enhance_ms": 6.24}
    systems = [
        {"system": "lite", "enhancer": "none", "metrics": PLAIN},
        {"system": "lite", "enhancer": "network", "metrics": better},
    ]
    assert enhancement_table({"systems": systems}).splitlines()[2:] == [
        "| lite | none | 0.1000 | 0.2000 | 0.3000 | 2.00 | 26.00 | 0.0 |",
        "| lite | network | 0.0900 (-10 %) | 0.1500 (-25 %) | – | 2.00 (+0 %) | 27.00 | 6.2 |",
    ]


def test_ablation_has_a_table_for_each_size() -> None:
    whole = {"lpips_alex": 0.1, "dists": 0.1, "tof_px": 0.5, "flicker_ratio": 0.8, "aed": 0.3, "ms_a_frame": 30.4}
    systems = [
        {"system": "all stages", "side": 256, "metrics": whole},
        {"system": "not enhanced", "side": 256, "metrics": whole | {"lpips_alex": 0.12}},
        {"system": "all stages", "side": 512, "metrics": whole},
    ]
    lines = ablation_table({"systems": systems}).splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("| at ")] == [
        "| at 256 pixels",
        "| at 512 pixels",
    ]
    assert (
        lines[3] == "| not enhanced | 0.120 (+20 %) | 0.100 (+0 %) | 0.500 (+0 %) | 0.800 (+0 %) | 0.300 (+0 %) | 30 |"
    )
