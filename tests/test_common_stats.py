"""Counting."""

from __future__ import annotations

from avcall.common.stats import Stats, payload_kbps


def test_rates_by_kind() -> None:
    stats = Stats()
    before = stats.payload_bytes.copy()
    stats.add_payload("keypoints", 2000)
    stats.add_payload("voice", 1000)
    rates = payload_kbps(before, stats.payload_bytes, elapsed_ms=1000)
    assert rates == {"keypoints": 16.0, "pivots": 0.0, "voice": 8.0, "control": 0.0}


def test_stage_times_keep_a_window() -> None:
    stats = Stats(stage_window=3)
    for took_ms in (100, 1, 2, 3):
        stats.add_stage("drive", took_ms)
    assert stats.stage_ms() == {"drive": {"p50": 2.0, "p95": 2.9}}
    stats.count("late")
    stats.count("late", 2)
    assert stats.counters["late"] == 3
