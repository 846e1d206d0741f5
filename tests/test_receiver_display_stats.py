"""What the viewer saw, in literal numbers."""

from __future__ import annotations

import pytest

from avcall.receiver.display_stats import DisplayStats, wrapped


def show(stats: DisplayStats, tick: int, *, new: bool = True, media_ms: float | None = None, **more: bool) -> bool:
    media = 40.0 * tick - 100.0 if media_ms is None else media_ms
    return stats.tick(tick, 40.0 * tick, media, new=new, **more)


def test_a_perfect_second() -> None:
    stats = DisplayStats()
    assert all(show(stats, tick) for tick in range(25))
    summary = stats.summary(0.0)
    assert summary["ticks_filled"] == 1.0
    assert summary["fps_shown"] == pytest.approx(25.0)
    assert summary["freeze_longest_ms"] == 40.0
    assert summary["latency_ms"] == {"p50": 100.0, "p95": 100.0}
    assert summary["av_skew_ms"] == {"mean": None, "p95_abs": None}
    assert stats.fps(960.0) == 25


def test_missed_ticks_and_held_pictures_are_not_filled() -> None:
    stats = DisplayStats()
    for tick in range(50):
        if tick in range(10, 15):
            continue
        show(stats, tick, new=tick not in range(20, 25))
    summary = stats.summary(0.0)
    assert summary["ticks_filled"] == pytest.approx(0.8)
    assert summary["freeze_longest_ms"] == 240.0


def test_the_same_moment_twice_counts_once() -> None:
    stats = DisplayStats()
    assert show(stats, 0, media_ms=500.0)
    assert not show(stats, 1, media_ms=500.0)


def test_nothing_counts_before_the_first_picture() -> None:
    stats = DisplayStats()
    assert not show(stats, 3, new=False)
    for tick in range(10, 35):
        show(stats, tick)
    assert stats.summary(0.0)["ticks_filled"] == 1.0


def test_a_camera_that_is_off_is_excused() -> None:
    stats = DisplayStats()
    for tick in range(75):
        show(stats, tick, new=not 25 <= tick < 50, excused=25 <= tick < 50)
    summary = stats.summary(0.0)
    assert summary["ticks_filled"] == 1.0
    assert summary["freeze_longest_ms"] == 40.0


def test_the_end_of_the_call_is_no_freeze_but_a_dead_sender_is() -> None:
    stats = DisplayStats()
    for tick in range(25):
        show(stats, tick)
    for tick in range(25, 37):
        show(stats, tick, new=False)
    assert stats.summary(0.0)["ticks_filled"] == 1.0
    for tick in range(37, 50):
        show(stats, tick, new=False)
    summary = stats.summary(0.0)
    assert summary["ticks_filled"] == 0.5
    assert summary["freeze_longest_ms"] == pytest.approx(1000.0)


def test_latency_through_another_clock() -> None:
    stats = DisplayStats()
    stats.tick(0, 1_000.0, 5e8 + 850.0, new=True)
    assert stats.summary(5e8)["latency_ms"] == {"p50": pytest.approx(150.0), "p95": pytest.approx(150.0)}


def test_skew() -> None:
    stats = DisplayStats()
    show(stats, 0)
    for skew_ms in (-30.0, 10.0, 20.0):
        stats.add_skew(skew_ms)
    summary = stats.summary(0.0)["av_skew_ms"]
    assert summary == {"mean": pytest.approx(0.0), "p95_abs": pytest.approx(29.0)}


def test_wrapped() -> None:
    assert wrapped(120.0) == 120.0
    assert wrapped(120.0 + 2**32) == 120.0
    assert wrapped(-(2**32) - 5.0) == -5.0


def test_no_picture_at_all() -> None:
    summary = DisplayStats().summary(0.0)
    assert (summary["fps_shown"], summary["ticks_filled"]) == (0.0, 0.0)
    assert summary["latency_ms"] == {"p50": None, "p95": None}
