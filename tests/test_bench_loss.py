"""`avcall bench loss`: what is measured of a call, and its table."""

from __future__ import annotations

from typing import Any

from avcall.bench.figures import lossy_calls
from avcall.bench.loss import Case, line, measure_loss, missed_ticks
from avcall.bench.memory_link import MemoryLink, Path
from avcall.bench.virtual_call import End
from avcall.cli.calling import Both

HEAD = {"version": "1", "commit": "c", "command": "x", "machine": {"cpu": "m", "cores": 2}, "clips": ["a"]}


def test_calls_are_measured_at_both_ends() -> None:
    told: list[str] = []
    cases = [Case(0.1, "120"), Case(rate_kbps=50.0)]
    results = measure_loss(Both, 1, 6.0, told.append, cases)
    lossy, thin = results["rows"]
    assert lossy["ends"] == lossy["faces"] == thin["faces"] == 2
    assert 0.9 <= lossy["ticks_filled"]["worst"] <= lossy["ticks_filled"]["mean"] < 1.0
    assert lossy["freeze_longest_ms"]["mean"] <= lossy["freeze_longest_ms"]["worst"] <= 400.0
    assert lossy["latency_p50_ms"]["mean"] <= lossy["latency_p95_ms"]["mean"] < 700.0
    assert lossy["missed"] > 0
    assert lossy["queue_ms"] is None
    assert 0.0 < thin["queue_ms"]["worst"] < 300.0
    assert 10.0 < thin["wire_kbps"]["mean"] < 50.0
    assert measure_loss(Both, 1, 6.0, cases=cases[:1])["rows"] == [lossy], "the same seed gives the same call"
    assert told == [line(lossy), line(thin)]
    assert "| loss 10 % | 120 ms |" in lossy_calls({**HEAD, **results})


def test_ticks_are_missed_between_the_first_and_the_last_picture() -> None:
    ticks = [3, 4, 6, 40, 42, 43]
    shown: Any = [(None, {"tick": tick, "filled": tick != 43}) for tick in ticks]
    assert missed_ticks(End({}, shown, MemoryLink(Path()))) == (1 + 21, 1 + 33 + 1)
    assert missed_ticks(End({}, [], MemoryLink(Path()))) == (0, 0)


def test_a_call_without_a_face_says_so() -> None:
    figure = {"mean": 14.0, "worst": 14.9}
    row: dict[str, Any] = {
        "loss": 0.0,
        "span_ms": "auto",
        "rate_kbps": 15.0,
        "ends": 4,
        "faces": 0,
        "ticks_filled": {"mean": 0.0, "worst": 0.0},
        "freeze_longest_ms": {"mean": 0.0, "worst": 0.0},
        "latency_p50_ms": None,
        "latency_p95_ms": None,
        "wire_kbps": figure,
        "first_face_ms": None,
        "queue_ms": {"mean": 300.0, "worst": 580.4},
        "missed": 0,
    }
    settings = {"delay_ms": 50.0, "jitter_ms": 20.0, "seeds": 2, "seconds": 30.0}
    made = lossy_calls({**HEAD, "settings": settings, "rows": [row]})
    assert "| 15 kbit/s | auto | 0.0 %, 0.0 % | 0, 0 |  | 14.0, 14.9 | none | 300, 580 |" in made
    seldom = lossy_calls({**HEAD, "settings": settings, "rows": [{**row, "faces": 3, "first_face_ms": figure}]})
    assert "| 0.0, 0.0 (at 3 of 4 ends) |" in seldom
