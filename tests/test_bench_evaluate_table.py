"""The tables hold the figures of the file, and hide no defeat."""

from __future__ import annotations

from typing import Any

from avcall.bench.evaluate_table import commits, markdown


def results() -> dict[str, Any]:
    def entry(system: str, lpips: float, psnr: float | None) -> dict[str, Any]:
        values = {"lpips_alex": lpips, "psnr": psnr, "pivot_kbps": 4.25}
        clips = {"a": values, "b": {"lpips_alex": 0.1, "psnr": 30.0}}
        return {"system": system, "protocol": "pivot_1s", "metrics": values, "clips": clips}

    return {
        "version": "1",
        "commit": "abc",
        "command": "avcall evaluate",
        "machine": {"cpu": "X"},
        "clips": {"a": {}, "b": {}},
        "skipped": {"fomm": "no weights"},
        "not_measured": {"fid": "no weights"},
        "settings": {"seconds": 20.0, "size": 256, "lpips_every_n_frames": 6, "dists_and_identity_every_n_frames": 42},
        "systems": [entry("repeat_pivot", 0.1234, None), entry("lite", 0.2, 25.04)],
    }


def test_figures_gaps_and_defeats() -> None:
    text = markdown(results())
    assert "### A coded pivot every second (4.2 kbit/s of pivots)" in text
    assert "| system | LPIPS ↓ | PSNR dB ↑ |" in text
    assert "| repeat_pivot | 0.123 | - |" in text
    assert "| lite | 0.200 | 25.0 |" in text
    assert "lite is worse than repeating the pivot in LPIPS on 1 (a)." in text
    assert "Skipped: fomm (no weights)." in text
    assert "Not measured: fid (no weights)." in text


def test_a_system_that_never_loses_is_not_accused() -> None:
    better = results()
    better["systems"][1]["clips"]["a"]["lpips_alex"] = 0.05
    assert "worse" not in markdown(better)


def test_one_commit_is_named_once_and_several_by_what_they_measured() -> None:
    def entry(system: str, protocol: str, commit: str | None) -> dict[str, Any]:
        return {"system": system, "protocol": protocol, "commit": commit}

    old = {"system": "fomm", "protocol": "pivot_1s"}
    assert commits({"commit": "abc"}, [entry("lite", "pivot_1s", "abc"), old]) == "commit abc"
    entries = [
        entry("lite", "first_frame", "def"),
        entry("lite", "pivot_1s", "def"),
        entry("classical", "first_frame", "def"),
        entry("classical", "pivot_1s", "ghi+"),
        old,
    ]
    told = "commits def (lite, classical in first_frame), ghi+ (classical in pivot_1s), abc (fomm)"
    assert commits({"commit": "abc"}, entries) == told
    several = results()
    several["systems"][1]["commit"] = "def"
    assert "avcall 1, commits abc (repeat_pivot), def (lite), `avcall evaluate`" in markdown(several)
