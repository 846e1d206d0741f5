"""Which frames a busy machine leaves out."""

from __future__ import annotations

from itertools import pairwise

from avcall.sender.frame_rate import HOLD_MS, LONGEST_HOLD_MS, FrameRate


def run(rate: FrameRate, start_ms: float, seconds: float, took_ms: float) -> tuple[float, list[float]]:
    """25 frames a second that each take so long; when it ended, and the capture times of those that were analysed."""
    analysed = []
    end_ms = start_ms + 1000.0 * seconds
    while start_ms < end_ms:
        if rate.wants(start_ms):
            analysed.append(start_ms)
            rate.took(start_ms, start_ms + took_ms)
        start_ms += 40.0
    return start_ms, analysed


def test_every_frame_is_analysed_while_there_is_time() -> None:
    rate = FrameRate(25.0)
    _, analysed = run(rate, 0.0, 20.0, 30.0)
    assert len(analysed) == 500
    assert rate.every == 1


def test_a_busy_machine_analyses_every_second_frame() -> None:
    rate = FrameRate(25.0)
    now_ms, _ = run(rate, 0.0, 3.0, 50.0)
    assert rate.every == 2
    _, analysed = run(rate, now_ms, 4.0, 30.0)
    assert len(analysed) == 50
    assert {after - before for before, after in pairwise(analysed)} == {80.0}


def test_one_long_frame_is_no_busy_machine() -> None:
    rate = FrameRate(25.0)
    now_ms, _ = run(rate, 0.0, 2.0, 20.0)
    rate.took(now_ms, now_ms + 900.0)
    assert rate.every == 1


def test_the_long_frames_of_a_beginning_and_of_pivots_are_no_busy_machine() -> None:
    rate = FrameRate(25.0)
    now_ms = 0.0
    for took_ms in (440.0, 40.0, 240.0, 200.0):
        assert not rate.took(now_ms, now_ms + took_ms)
        now_ms += took_ms
    for _ in range(8):
        now_ms, _ = run(rate, now_ms, 1.5, 30.0)
        assert not rate.took(now_ms, now_ms + 120.0)
        assert not rate.took(now_ms + 120.0, now_ms + 200.0)
        now_ms += 200.0
    assert rate.every == 1


def test_it_is_held_for_a_while_and_longer_when_it_was_given_up_too_soon() -> None:
    rate = FrameRate(25.0)
    held_ms = []
    now_ms = 0.0
    for _ in range(7):
        now_ms, _ = run(rate, now_ms, 3.0, 60.0)
        assert rate.every == 2
        since_ms = now_ms
        while rate.every == 2:
            now_ms, _ = run(rate, now_ms, 0.04, 15.0)
        held_ms.append(now_ms - since_ms)
    assert HOLD_MS - 3_000.0 <= held_ms[0] <= HOLD_MS
    assert 2 * HOLD_MS - 3_000.0 <= held_ms[1] <= 2 * HOLD_MS
    assert LONGEST_HOLD_MS - 3_000.0 <= held_ms[-1] <= LONGEST_HOLD_MS
    now_ms, _ = run(rate, now_ms, 30.0, 15.0)  # all is well for long: the next time counts as the first
    now_ms, _ = run(rate, now_ms, 3.0, 60.0)
    now_ms, _ = run(rate, now_ms, HOLD_MS / 1000.0, 15.0)
    assert rate.every == 1


def test_a_clock_that_steps_back_stops_nothing() -> None:
    rate = FrameRate(25.0)
    now_ms, _ = run(rate, 100_000.0, 3.0, 60.0)
    assert rate.every == 2
    assert rate.wants(now_ms - 50_000.0)
