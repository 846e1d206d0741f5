"""The tables of docs/voice.md."""

from __future__ import annotations

from typing import Any

from avcall.bench import voice_noise_table as table

GAINS = {"none": 0.0, "rnnoise": 1.0, "rnnoise, at most 12 dB": 2.0, "webrtc": 3.0}


def row(noise: str, ratio: int | None, system: str, pesq: float) -> dict[str, Any]:
    metrics = {"listen_kbps": pesq, "pesq": pesq, "estoi": pesq / 10, "level_db": -pesq, "level_lowest_db": -2 * pesq}
    return {"noise": noise, "snr_db": ratio, "kbps": 8.0, "system": system, "metrics": metrics}


RESULTS = {
    "rows": [
        row(noise, ratio, system, base + gain)
        for noise, ratio, base in (
            ("no noise", None, 1),
            ("white", 10, 1),
            ("fan", 10, 3),
            ("white", 20, 1),
            ("babble", 40, 1),
        )
        for system, gain in GAINS.items()
    ],
    "cost": {"rnnoise": {"delay_ms": 22.0, "cpu_ms": 61.9}},
    "recorded": [
        {
            "clip": name,
            "background_db": background,
            "level_db": {"rnnoise": level, "webrtc": -0.5},
            "kbps": {"none": 7.0, "rnnoise": 6.0, "webrtc": 6.5},
        }
        for name, background, level in (("a", -30.0, -1.0), ("b", -10.0, -15.4), ("c", -34.0, 0.0))
    ],
}


def test_steady_noises_are_averaged_and_others_are_not() -> None:
    rows = table.rows(RESULTS)
    assert [cells[1:3] for cells in rows] == [("none", ""), ("steady", "20"), ("steady", "10"), ("babble", "40")]
    assert all(len(cells) == len(table.HEAD) for cells in rows)
    steady = rows[2]
    assert steady[0] == "8"
    assert steady[3] == "2.0, 3.0, 4.0, 5.0"
    assert steady[5] == "0.200, 0.300, 0.400, 0.500"
    assert steady[6:] == ("-3, -4, -5", "-8, -10, -12")


def test_nothing_is_no_minus() -> None:
    assert table.rows({"rows": [row("white", 10, system, 0.01) for system in GAINS]})[0][6] == "0, 0, 0"


def test_noisy_clips_stand_alone() -> None:
    assert table.recorded_rows(RESULTS) == [
        ("b", "-10", "-15.4", "-0.5", "7.0", "6.0", "6.5"),
        ("mean of the 2 others", "-32", "-0.5", "-0.5", "7.0", "6.0", "6.5"),
    ]


def test_costs() -> None:
    assert table.cost_rows(RESULTS) == [("rnnoise", "22", "61.9")]
