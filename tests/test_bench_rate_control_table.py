"""The tables of docs/rate-control.md from results of known numbers."""

from __future__ import annotations

from avcall.bench.figures import rate_control_cases, thin_link_calls

HEAD = {"version": "1", "commit": "c", "command": "x", "machine": {"cpu": "m", "cores": 2}, "clips": ["a"]}


def test_each_stretch_of_a_case_is_a_row() -> None:
    part = {
        "from_s": 0.0,
        "to_s": 20.0,
        "capacity_kbps": 50.0,
        "kbps": [30.04, 17.0],
        "converged_s": 3.36,
        "fairness": 0.93,
        "queue_p95_ms": 80.2,
        "queue_max_ms": 190.0,
    }
    case = {"case": "two", "stretches": [part, {**part, "kbps": [49.0], "converged_s": None}]}
    made = rate_control_cases({**HEAD, "settings": {"delay_ms": 50.0, "jitter_ms": 10.0}, "cases": [case]})
    assert "| two | 0-20 s | 50 | 30.0 + 17.0 | 3.4 | 0.93 | 80, 190 |" in made
    assert "| two | 0-20 s | 50 | 49.0 | - |  | 80, 190 |" in made


def test_each_call_through_a_thin_link_is_a_row() -> None:
    call = {
        "rate_kbps": 30,
        "sent_kbps": 21.26,
        "target_kbps": 28.0,
        "queue_ms": {"p50": 0.0, "p95": 60.4, "max": 180.0},
        "fps_shown": 24.9,
        "ticks_filled": 0.981,
        "freeze_longest_ms": 120.0,
    }
    assert "| 30 | 21.3 | 28.0 | 0, 60, 180 | 24.9 | 98.1 % | 120 |" in thin_link_calls({**HEAD, "calls": [call]})
    assert "one call each" in thin_link_calls({**HEAD, "calls": [call]})


def test_calls_through_links_of_one_rate_are_told_by_their_means() -> None:
    good = {
        "rate_kbps": 15,
        "sent_kbps": 13.0,
        "target_kbps": 14.0,
        "queue_ms": {"p50": 0.0, "p95": 200.0, "max": 300.0},
        "fps_shown": 25.0,
        "ticks_filled": 1.0,
        "freeze_longest_ms": 40.0,
    }
    bad = {
        **good,
        "queue_ms": {"p50": 10.0, "p95": 400.0, "max": 500.0},
        "ticks_filled": 0.9,
        "freeze_longest_ms": 640.0,
    }
    other = {**good, "rate_kbps": 20}
    told = thin_link_calls({**HEAD, "calls": [good, bad, other]})
    assert "| 15 | 13.0 | 14.0 | 5, 300, 400 | 25.0 | 95.0 % | 640 |" in told
    assert "| 20 | 13.0 | 14.0 | 0, 200, 300 | 25.0 | 100.0 % | 40 |" in told
    assert "means of 1 or 2 calls each" in told
