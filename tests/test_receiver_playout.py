"""The play-out clock: how long the delay, and how the clock gets there."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.receiver.playout import (
    CAUTION_MS,
    FALL_PER_MS,
    FOLLOW_SLEW,
    LOSSY_MARGIN_MS,
    MARGIN_MS,
    MAX_SLEW,
    MOST_CAUTION_MS,
    PlayoutClock,
    Stream,
)

AHEAD_MS = 5e8
"""The sender's clock minus ours."""


def feed(clock: PlayoutClock, start_ms: float, transits_ms: list[float], stream: Stream = Stream.VIDEO) -> float:
    """Frames captured from `start_ms` (our time) on, 40 ms apart; returns when the last arrived."""
    for i, transit_ms in enumerate(transits_ms):
        capture_ms = start_ms + 40.0 * i
        clock.observe(stream, capture_ms + AHEAD_MS, capture_ms + transit_ms)
        clock.media_ms(capture_ms + transit_ms)
    return start_ms + 40.0 * (len(transits_ms) - 1) + transits_ms[-1]


def behind_ms(clock: PlayoutClock, now_ms: float) -> float:
    return now_ms + AHEAD_MS - clock.media_ms(now_ms)


def test_a_steady_network_needs_only_the_margin() -> None:
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [30.0] * 100)
    assert behind_ms(clock, now_ms) == pytest.approx(30.0 + MARGIN_MS)
    assert clock.delay_ms == pytest.approx(MARGIN_MS)


def test_the_delay_covers_the_slow_ones() -> None:
    transits = [30.0 + (60.0 if i % 10 == 0 else 0.0) for i in range(300)]
    clock = PlayoutClock()
    feed(clock, 0.0, transits)
    assert clock.delay_ms == pytest.approx(60.0 + MARGIN_MS)


def test_it_rises_fast_and_falls_slowly() -> None:
    clock = PlayoutClock()
    feed(clock, 0.0, [30.0] * 250)
    feed(clock, 10_000.0, [30.0 + 80.0 * (i % 2) for i in range(12)])
    assert clock.delay_ms == pytest.approx(80.0 + MARGIN_MS)
    feed(clock, 10_480.0, [30.0 + 80.0 * (i % 2) for i in range(38)])
    feed(clock, 12_000.0, [30.0] * 200)
    assert clock.delay_ms == pytest.approx(80.0 + MARGIN_MS)  # the window still remembers
    feed(clock, 20_000.0, [30.0] * 75)
    assert 80.0 + MARGIN_MS - FALL_PER_MS * 2500 <= clock.delay_ms < 80.0 + MARGIN_MS - 20.0


def test_what_was_slow_before_the_first_picture_is_soon_forgotten() -> None:
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [230.0] * 10 + [30.0] * 15)
    clock.settle(now_ms)
    feed(clock, 1_000.0, [30.0] * 10)
    assert clock.delay_ms == pytest.approx(200.0 + MARGIN_MS)  # too early to tell
    feed(clock, 1_400.0, [30.0] * 10)
    assert clock.delay_ms == pytest.approx(MARGIN_MS)
    feed(clock, 1_800.0, [230.0])
    assert clock.delay_ms == pytest.approx(200.0 + MARGIN_MS)  # it may still rise
    feed(clock, 1_840.0, [30.0] * 50)
    assert clock.delay_ms > 150.0  # and falls slowly from now on


def test_before_the_first_picture_only_what_came_last_counts() -> None:
    clock = PlayoutClock()
    for i in range(30):  # the first frame waited for its pivot to be coded
        now_ms = 1000.0 + 40.0 * i
        clock.observe(Stream.VIDEO, now_ms - (930.0 if i < 3 else 30.0) + AHEAD_MS, now_ms)
        clock.settle(now_ms)
        clock.media_ms(now_ms)
        if i == 5:
            assert clock.delay_ms == pytest.approx(900.0 + MARGIN_MS)
    assert clock.delay_ms == pytest.approx(MARGIN_MS)


def test_the_delay_is_capped() -> None:
    clock = PlayoutClock(max_delay_ms=100.0)
    feed(clock, 0.0, [30.0 + 700.0 * (i % 2) for i in range(100)])
    assert clock.delay_ms == pytest.approx(100.0)


def test_the_clock_is_slewed_not_torn() -> None:
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [30.0] * 100)
    before = clock.media_ms(now_ms)
    clock.observe(Stream.VIDEO, now_ms + 100 + AHEAD_MS - 150.0, now_ms + 100)
    for i in range(60):
        clock.observe(Stream.VIDEO, now_ms + 200 + i * 40 + AHEAD_MS - 150.0, now_ms + 200 + i * 40)
        after = clock.media_ms(now_ms + 200 + i * 40)
        step_ms = 200 if i == 0 else 40
        assert step_ms * (1 - MAX_SLEW) - 0.1 <= after - before <= step_ms * (1 + MAX_SLEW) + 0.1
        before = after


def test_it_jumps_when_far_off() -> None:
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [30.0] * 50)
    feed(clock, now_ms, [900.0] * 50)
    assert clock.jumps == 1


def test_the_voice_leads() -> None:
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [30.0] * 50)
    for i in range(100):
        clock.heard(now_ms + 20 * i + AHEAD_MS - 70.0, now_ms + 20 * i)
        clock.media_ms(now_ms + 20 * i)
    now_ms += 20 * 99
    assert behind_ms(clock, now_ms) == pytest.approx(70.0, abs=0.5)
    assert clock.heard_ms(now_ms + 5) == pytest.approx(now_ms + 5 + AHEAD_MS - 70.0)
    assert clock.heard_ms(now_ms + 1000.0) is None
    for i in range(1, 100):
        clock.media_ms(now_ms + 40 * i)
    assert behind_ms(clock, now_ms + 4000.0) == pytest.approx(30.0 + MARGIN_MS, abs=0.5)  # runs freely again


def test_pictures_are_soon_with_a_voice_that_hurried() -> None:
    """A voice that is shortened by 80 ms within a tenth of a second, as it is when the first delay was too long."""
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [110.0] * 25)
    clock.settle(now_ms)
    ahead_ms = clock.media_ms(now_ms) - now_ms
    for _ in range(17):
        now_ms += 40.0
        clock.observe(Stream.VIDEO, now_ms - 30.0 + AHEAD_MS, now_ms)
        clock.heard(now_ms + ahead_ms, now_ms)
        clock.media_ms(now_ms)
    assert clock.target_ms(now_ms) - now_ms - ahead_ms == pytest.approx(80.0)
    seen = []
    for tick in range(1, 11):
        hurried_ms = min(80.0, 8.0 * 4 * tick)
        now_ms += 40.0
        clock.heard(now_ms + ahead_ms + hurried_ms, now_ms)
        seen.append(clock.media_ms(now_ms) - now_ms - ahead_ms)
    assert np.diff(seen).min() >= 0.0
    assert np.diff([0.0, *seen]).max() <= FOLLOW_SLEW[1] * 40.0 + 1e-6
    assert seen[4] > 70.0, "a tenth of a second after the voice has got there"
    assert seen[-1] == pytest.approx(80.0, abs=0.5)


@pytest.mark.parametrize(
    ("voice_ahead_ms", "picture_ahead_ms"), [(-40.0, -40.0), (10.0, 0.0), (25.0, 0.0), (60.0, 35.0)]
)
def test_a_picture_is_a_little_behind_a_voice_that_is_ahead_of_its_time(
    voice_ahead_ms: float, picture_ahead_ms: float
) -> None:
    """What the voice is ahead, every bundle's first frame would come too late; nobody sees 25 ms."""
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [30.0] * 50)
    for _ in range(100):
        now_ms += 20.0
        clock.heard(clock.target_ms(now_ms) + voice_ahead_ms, now_ms)
        clock.media_ms(now_ms)
    assert clock.media_ms(now_ms) - clock.target_ms(now_ms) == pytest.approx(picture_ahead_ms, abs=0.5)


def test_both_streams_share_the_delay_of_the_slower() -> None:
    clock = PlayoutClock()
    for i in range(100):
        feed(clock, 40.0 * i, [30.0], Stream.VIDEO)
        feed(clock, 40.0 * i, [95.0], Stream.VOICE)
    assert clock.delay_ms == pytest.approx(65.0 + MARGIN_MS)


def test_drifting_clocks_are_followed() -> None:
    clock = PlayoutClock()
    drift = 200e-6
    for i in range(25 * 120):
        capture_ms = 40.0 * i
        arrival_ms = capture_ms * (1 + drift) + 30.0 + float(np.sin(i))
        clock.observe(Stream.VIDEO, capture_ms, arrival_ms)
        clock.media_ms(arrival_ms)
    assert 30.0 < arrival_ms - clock.media_ms(arrival_ms) - capture_ms * drift < 50.0


def test_reset_starts_anew() -> None:
    clock = PlayoutClock()
    feed(clock, 0.0, [30.0] * 10)
    clock.reset()
    assert not clock.running
    clock.observe(Stream.VIDEO, 77_000.0, 1000.0)
    assert clock.media_ms(1000.0) == pytest.approx(77_000.0 - MARGIN_MS)


def test_what_is_lost_often_is_waited_for() -> None:
    """Of bundles of three frames one in eleven is lost: its first frame can be interpolated 200 ms late."""
    clock, rare = PlayoutClock(), PlayoutClock()
    for number in range(80):
        lost = number % 11 == 5
        arrival_ms = 120.0 * number + 130.0 + 120.0 * lost
        for frame in range(3):
            capture_ms = 120.0 * number + 40.0 * frame
            clock.observe(Stream.VIDEO, capture_ms, arrival_ms, again_ms=0.0 if lost else None)
            if not lost or number == 60:
                rare.observe(Stream.VIDEO, capture_ms, arrival_ms, again_ms=0.0 if lost else None)
    assert clock.delay_ms == pytest.approx(200.0 + LOSSY_MARGIN_MS)
    assert rare.delay_ms == pytest.approx(80.0 + MARGIN_MS)


@pytest.mark.parametrize(("every", "more_ms"), [(11, 120.0), (30, 0.0)])
def test_two_losses_in_a_row_are_waited_for_where_many_are_lost(every: int, more_ms: float) -> None:
    clock = PlayoutClock()
    for number in range(80):
        lost = number % every == every - 1
        arrival_ms = 120.0 * number + 130.0 + 120.0 * lost
        for frame in range(3):
            clock.observe(Stream.VIDEO, 120.0 * number + 40.0 * frame, arrival_ms, again_ms=120.0 if lost else None)
    assert clock.delay_ms == pytest.approx(200.0 + more_ms + LOSSY_MARGIN_MS)


def miss(clock: PlayoutClock, now_ms: float, count: int, ahead_ms: float = 0.0) -> None:
    for _ in range(count):
        clock.missed(clock.target_ms(now_ms) + ahead_ms, now_ms)


def test_pictures_that_ran_ahead_of_their_poses_widen_the_margin_for_a_while() -> None:
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [30.0] * 100)
    miss(clock, now_ms, 2)
    now_ms = feed(clock, 4_000.0, [30.0] * 10)
    assert MARGIN_MS + CAUTION_MS < clock.delay_ms <= MARGIN_MS + 2 * CAUTION_MS
    miss(clock, now_ms, 100)
    feed(clock, 4_400.0, [30.0] * 10)
    assert clock.delay_ms == pytest.approx(MARGIN_MS + MOST_CAUTION_MS, abs=2.0)
    feed(clock, 4_800.0, [30.0] * 400)
    assert clock.delay_ms == pytest.approx(MARGIN_MS)


def test_a_voice_far_ahead_and_a_call_that_begins_teach_no_caution() -> None:
    clock = PlayoutClock()
    now_ms = feed(clock, 0.0, [30.0] * 100)
    miss(clock, now_ms, 10, ahead_ms=40.0)
    clock.settle(now_ms)
    miss(clock, now_ms, 10)
    feed(clock, 4_000.0, [30.0] * 40)
    assert clock.delay_ms == pytest.approx(MARGIN_MS)
