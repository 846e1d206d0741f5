"""The pose for a media time: as sent, interpolated, run out, or held."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.frames import Pose
from avcall.common.scene import SceneMotion, Similarity
from avcall.common.wire import KeypointPacket
from avcall.receiver.jitter_buffer import PoseBuffer, PoseKind


def insert(
    buffer: PoseBuffer,
    index: int,
    value: float | None = None,
    *,
    pivot_id: int = 1,
    lost: bool = False,
    step_ms: float = 40,
) -> list[float]:
    """Frame `index` of 25 a second, all of whose coordinates are `value` (a ramp if not given)."""
    media_ms = 1000 + step_ms * index
    points = np.full((10, 2), 0.01 * index if value is None else value, np.float32)
    packet = KeypointPacket(index % 2**16, int(media_ms), pivot_id, points, lost)
    return buffer.insert(packet, media_ms)


def at(buffer: PoseBuffer, media_ms: float) -> tuple[PoseKind, float]:
    sample = buffer.at(media_ms)
    assert sample is not None
    return sample.kind, round(float(sample.pose.keypoints[0, 0]), 4)


def filled(*indices: int) -> PoseBuffer:
    buffer = PoseBuffer()
    for index in indices:
        insert(buffer, index)
    return buffer


def test_nothing_before_the_first() -> None:
    assert PoseBuffer().at(1000.0) is None
    assert filled(5).at(1100.0) is None
    assert filled(5).at(1200.0) is not None


def test_a_frame_near_by_is_shown_as_it_was_sent() -> None:
    buffer = filled(0, 1, 2, 3)
    assert at(buffer, 1010.0) == (PoseKind.NEW, 0.0)
    assert at(buffer, 1050.0) == (PoseKind.NEW, 0.01)
    assert at(buffer, 1101.0) == (PoseKind.NEW, 0.03)


def test_a_lost_frame_is_interpolated() -> None:
    buffer = filled(0, 1, 3, 4)
    at(buffer, 1040.0)
    assert at(buffer, 1080.0) == (PoseKind.INTERPOLATED, pytest.approx(0.02, abs=1e-4))


def test_interpolation_follows_a_curve_and_never_overshoots() -> None:
    buffer = PoseBuffer()
    for index, value in ((0, 0.0), (1, 0.0), (3, 0.1), (4, 0.1)):
        insert(buffer, index, value)
    at(buffer, 1040.0)
    values = [at(buffer, 1040.0 + step)[1] for step in (26, 30, 34, 38, 42, 46, 50, 54)]
    assert all(0.0 <= value <= 0.1 for value in values)
    assert values == sorted(values)
    swing = PoseBuffer()
    for index in range(12):
        if index != 6:
            insert(swing, index, float(np.sin(index / 2)))
    at(swing, 1200.0)
    assert at(swing, 1240.0)[1] == pytest.approx(np.sin(3.0), abs=0.02)  # a straight line would miss by 0.035


def test_across_a_change_of_pivot_that_leaves_the_crop() -> None:
    buffer = PoseBuffer()
    insert(buffer, 0, 0.0, pivot_id=1)
    insert(buffer, 4, 0.04, pivot_id=2)
    at(buffer, 1000.0)
    assert at(buffer, 1040.0) == (PoseKind.INTERPOLATED, pytest.approx(0.01))
    sample = buffer.at(1120.0)
    assert sample is not None
    assert (sample.kind, sample.pose.pivot_id) == (PoseKind.INTERPOLATED, 2)
    assert sample.between is None  # pictures of two pivots are not joined


def test_never_from_one_crop_to_another() -> None:
    buffer = PoseBuffer()
    insert(buffer, 0, 0.0, pivot_id=1)
    insert(buffer, 3, 0.9, pivot_id=2)
    at(buffer, 1000.0)
    assert at(buffer, 1060.0) == (PoseKind.HELD, 0.0)
    assert at(buffer, 1100.0) == (PoseKind.NEW, pytest.approx(0.9))


def test_after_the_newest_motion_runs_out() -> None:
    buffer = filled(0, 1, 2)
    at(buffer, 1080.0)
    kind, ahead = at(buffer, 1120.0)
    assert kind is PoseKind.EXTRAPOLATED
    assert 0.02 < ahead < 0.03
    kind, later = at(buffer, 1400.0)
    assert kind is PoseKind.HELD
    assert later == pytest.approx(0.03, abs=1e-3)
    insert(buffer, 3)
    assert at(buffer, 1405.0)[0] is PoseKind.HELD  # it is old already


def test_a_late_frame_after_a_made_up_one_is_still_shown() -> None:
    buffer = filled(0, 1)
    at(buffer, 1040.0)
    at(buffer, 1080.0)
    insert(buffer, 2)
    insert(buffer, 3)
    assert at(buffer, 1120.0) == (PoseKind.NEW, 0.03)


def test_a_long_gap_is_held_and_then_blended() -> None:
    buffer = filled(0, 30)
    at(buffer, 1000.0)
    assert at(buffer, 1500.0) == (PoseKind.HELD, 0.0)
    kind, value = at(buffer, 2140.0)
    assert kind is PoseKind.INTERPOLATED
    assert value == pytest.approx(0.15, abs=1e-3)


def test_a_clock_that_steps_back_holds() -> None:
    buffer = filled(0, 1, 2, 3)
    assert at(buffer, 1080.0) == (PoseKind.NEW, 0.02)
    assert at(buffer, 1040.0) == (PoseKind.HELD, 0.02)
    assert at(buffer, 1119.0) == (PoseKind.NEW, 0.03)


def test_a_lost_face_is_held_and_marked() -> None:
    buffer = PoseBuffer()
    insert(buffer, 0, 0.0)
    insert(buffer, 1, 0.1)
    insert(buffer, 2, 0.1, lost=True)
    at(buffer, 1040.0)
    sample = buffer.at(1080.0)
    assert sample is not None
    assert sample.pose.face_lost
    assert at(buffer, 1140.0) == (PoseKind.HELD, pytest.approx(0.1))


def test_order_duplicates_losses_and_lateness_are_counted() -> None:
    buffer = filled(0, 2, 1, 1, 5)
    at(buffer, 1200.0)
    insert(buffer, 3)
    assert (buffer.received, buffer.duplicates, buffer.late, buffer.lost) == (5, 1, 1, 1)


def test_what_a_packet_bridges_is_told() -> None:
    buffer = filled(0)
    assert insert(buffer, 1) == []
    assert insert(buffer, 3) == [1080.0]
    assert sorted(insert(buffer, 6)) == [1160.0, 1200.0]
    assert insert(buffer, 20) == []


def test_a_sender_of_few_frames_is_bridged_too() -> None:
    buffer = PoseBuffer()
    insert(buffer, 0, step_ms=80)
    assert insert(buffer, 1, step_ms=80) == [1040.0]
    thirty = PoseBuffer()
    insert(thirty, 0, step_ms=33.3)
    assert insert(thirty, 1, step_ms=33.3) == []


def test_sequence_numbers_wrap() -> None:
    buffer = PoseBuffer()
    for index in range(65530, 65545):
        insert(buffer, index)
    assert (buffer.received, buffer.duplicates, buffer.lost) == (15, 0, 0)


def test_size_is_bounded() -> None:
    buffer = PoseBuffer()
    for index in range(5000):
        insert(buffer, index, 0.0)
    assert len(buffer._times) == len(buffer._poses) <= 512
    assert len(buffer._sequences) <= 1024


def copied(buffer: PoseBuffer, index: float, value: float, *, pivot_id: int = 1) -> bool:
    media_ms = 1000 + 40 * index
    return buffer.insert_copy(Pose(media_ms, pivot_id, np.full((10, 2), value, np.float32)))


def test_a_copy_stands_in_for_a_lost_frame_and_interpolation_goes_through_it() -> None:
    buffer = filled(0, 1, 2)
    insert(buffer, 6)
    assert copied(buffer, 4, 0.1)
    assert at(buffer, 1080) == (PoseKind.NEW, 0.02)
    kind, value = at(buffer, 1120)
    assert kind is PoseKind.INTERPOLATED
    assert 0.05 < value < 0.08  # on the way from 0.02 to 0.1, not to 0.06
    assert at(buffer, 1160) == (PoseKind.NEW, 0.1)
    assert buffer.received == 4
    assert buffer.lost == 3


def test_a_copy_never_replaces_a_frame_and_gives_way_to_it() -> None:
    buffer = filled(0, 1, 2)
    assert not copied(buffer, 1, 0.5)
    assert not copied(buffer, 1.3, 0.5)
    insert(buffer, 6)
    assert copied(buffer, 4.1, 0.5)
    insert(buffer, 4)
    assert at(buffer, 1160) == (PoseKind.NEW, 0.04)
    assert at(buffer, 1240) == (PoseKind.NEW, 0.06)
    assert not copied(buffer, 5, 0.5)  # its time has passed
    buffer.clear()
    assert buffer.at(1240) is None


def test_the_scene_moves_with_the_keypoints_but_not_from_one_pivot_to_another() -> None:
    buffer = PoseBuffer()
    for number, (pivot_id, by) in enumerate(((1, 0.2), (1, 0.4), (2, 0.0))):
        scene = SceneMotion(Similarity(shift=complex(by)))
        packet = KeypointPacket(number, 1000 + 100 * number, pivot_id, np.zeros((10, 2), np.float32), scene=scene)
        buffer.insert(packet, 1000.0 + 100.0 * number)
    shown = [buffer.at(media_ms) for media_ms in (1000.0, 1050.0, 1140.0, 1160.0)]
    found = [(sample.pose.pivot_id, sample.pose.scene.background.shift.real) for sample in shown if sample]
    assert found == [(1, 0.2), (1, pytest.approx(0.3)), (1, 0.4), (2, 0.0)]


def test_the_scene_coasts_after_the_newest_pose() -> None:
    buffer = PoseBuffer()
    for number in range(2):
        scene = SceneMotion(Similarity(shift=complex(0.1 * number)))
        packet = KeypointPacket(number, 1000 + 40 * number, 1, np.zeros((10, 2), np.float32), scene=scene)
        buffer.insert(packet, 1000.0 + 40.0 * number)
    assert buffer.at(1040.0) is not None
    beyond = buffer.at(1090.0)
    assert beyond is not None
    assert 0.12 < beyond.pose.scene.background.shift.real < 0.2
