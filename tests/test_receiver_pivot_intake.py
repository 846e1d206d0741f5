"""When a missing pivot is asked for. The rest of the intake is tested in whole calls (test_receiver_pipeline)."""

from __future__ import annotations

from avcall.receiver.pivot_intake import PATIENCE_MS, STALLED_MS, PivotRequester


def asked(requester: PivotRequester, until_ms: float, progress: bool = False, pivot_id: int = 1) -> list[float]:
    """Times at which it asks, tick by tick; with `progress` a slice has just come at each."""
    times = [40.0 * i for i in range(int(until_ms / 40))]
    return [now_ms for now_ms in times if requester.due(pivot_id, now_ms if progress else None, now_ms)]


def test_it_waits_a_moment_and_then_asks_twice_a_second() -> None:
    assert asked(PivotRequester(), 2000.0) == [320.0, 840.0, 1360.0, 1880.0]


def test_it_is_patient_while_slices_come() -> None:
    assert asked(PivotRequester(), PATIENCE_MS, progress=True) == []
    assert asked(PivotRequester(), PATIENCE_MS + 41.0, progress=True) == [PATIENCE_MS]


def test_stalled_slices_count_no_longer() -> None:
    requester = PivotRequester()
    times = [40.0 * i for i in range(120)]
    assert [now_ms for now_ms in times if requester.due(1, 0.0, now_ms)] == [STALLED_MS, STALLED_MS + 520.0]


def test_found_starts_the_wait_anew() -> None:
    requester = PivotRequester()
    assert not requester.due(1, None, 0.0)
    requester.found()
    assert not requester.due(1, None, 400.0)
    assert requester.due(1, None, 720.0)
