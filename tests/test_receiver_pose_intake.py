"""What arriving bundles tell the play-out clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avcall.common import keypoint_coder
from avcall.common.keypoints import Keypoints
from avcall.common.stats import Stats
from avcall.common.wire import Bundle
from avcall.receiver.jitter_buffer import PoseBuffer
from avcall.receiver.playout import PlayoutClock, Stream
from avcall.receiver.pose_intake import PoseIntake


class ListeningClock(PlayoutClock):
    """Settled from the start; keeps what it is told."""

    settled = True  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.bridged: list[tuple[float, float]] = []
        self.told = 0

    def observe(self, stream: Stream, *times_ms: Any, **more_ms: Any) -> None:
        super().observe(stream, *times_ms, **more_ms)
        self.told += 1
        if len(times_ms) == 4:
            self.bridged.append((times_ms[0], times_ms[3]))


def points(value: float) -> Keypoints:
    return np.full((10, 2), value, dtype=np.float32)


def intake() -> tuple[PoseIntake, PoseBuffer, ListeningClock]:
    poses, clock = PoseBuffer(), ListeningClock()
    known = {1: points(0.0)}
    return PoseIntake(poses, clock, known.get, lambda: 30.0, Stats()), poses, clock


def take(intake: PoseIntake, number: int, apart_ms: int = 40, pivot_id: int = 1) -> None:
    times = tuple((3 * number + index) * apart_ms for index in range(3))
    coded = keypoint_coder.encode([points(0.1)] * 3, points(0.0))
    bundle = Bundle(3 * number, times, pivot_id, coded)
    intake.take_bundle(bundle, [float(time) for time in times], times[-1] + 50.0, first=number == 0)


def test_after_one_lost_bundle_another_is_expected_after_two_none() -> None:
    arriving, poses, clock = intake()
    for number in (0, 1, 3, 4, 7):
        take(arriving, number)
    assert poses.lost == 9
    assert sorted(time_ms for time_ms, _ in clock.bridged) == [
        240.0,
        280.0,
        320.0,
        600.0,
        640.0,
        680.0,
        720.0,
        760.0,
        800.0,
    ]
    assert [again_ms for _, again_ms in clock.bridged] == pytest.approx([120.0] * 3 + [0.0] * 6)


def test_frames_that_were_never_sent_are_no_losses() -> None:
    arriving, poses, clock = intake()
    for number in range(3):
        take(arriving, number, apart_ms=80)
    assert poses.lost == 0
    assert [again_ms for _, again_ms in clock.bridged] == [0.0] * 8


def test_bundles_wait_for_their_pivot() -> None:
    arriving, poses, clock = intake()
    take(arriving, 0)
    told = clock.told
    take(arriving, 1, pivot_id=2)
    assert arriving.release(300.0) == 2
    assert poses.received == 3
    assert clock.told == told + 3
    arriving.clear()
    assert arriving.release(300.0) is None
    assert poses.at(0.0) is None
