"""When a face counts as gone, and when as back."""

from __future__ import annotations

from avcall.sender.presence import FacePresence


def test_a_short_gap_is_no_loss() -> None:
    presence = FacePresence()
    assert not presence.found(0.0)
    assert not presence.missed(40.0)
    assert not presence.missed(80.0)
    assert not presence.found(120.0)


def test_a_lost_face_is_held_five_times_a_second_and_returns() -> None:
    presence = FacePresence()
    presence.found(0.0)
    held = [t for t in range(40, 2040, 40) if presence.missed(float(t))]
    assert held == [200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000]
    assert presence.found(2040.0)
    assert not presence.found(2080.0)


def test_nothing_is_held_before_the_first_face_and_one_hint_is_due() -> None:
    presence = FacePresence()
    assert not any(presence.missed(40.0 * t) for t in range(100))
    assert not presence.face_seen
    assert [t for t in range(200) if presence.hint_due(40.0 * t)] == [75]
    presence.found(8000.0)
    assert presence.face_seen
    assert [t for t in range(8000, 20000, 40) if presence.hint_due(float(t))] == [11000]


def test_a_machine_that_was_busy_is_no_face_that_was_away() -> None:
    presence = FacePresence()
    presence.found(0.0)
    assert not presence.found(2000.0)
