"""Bundles become frames, wait for their pivot, and are given up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avcall.common import keypoint_coder
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.pivot_format import rounded
from avcall.common.residual_flow import WAVES
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.common.scene_coder import REFRESH, SceneTeller
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, CoarseCopy
from avcall.receiver.bundles import MAX_WAITING, PATIENCE_MS, BundleIntake

PIVOT = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16


def bundle(number: int = 0, *, pivot_id: int = 3, coded: bytes | None = None) -> Bundle:
    points = [PIVOT, PIVOT + np.float32(1 / 256)]
    times = (1000 + 80 * number, 1040 + 80 * number)
    data = keypoint_coder.encode(points, PIVOT) if coded is None else coded
    return Bundle((65535 + 2 * number) % 2**16, times, pivot_id, data, face_lost=True)


def intake(*, known: dict[int, Keypoints]) -> tuple[BundleIntake, Stats]:
    stats = Stats()
    return BundleIntake(known.get, stats), stats


def test_a_bundle_becomes_frames() -> None:
    bundles, _ = intake(known={3: PIVOT})
    ((first, first_ms), (second, second_ms)), copy = bundles.take(bundle(), [10.0, 50.0], 0.0)
    assert copy is None
    assert (first_ms, second_ms) == (10.0, 50.0)
    assert (first.sequence, second.sequence) == (65535, 0)
    assert (first.capture_ms, second.capture_ms) == (1000, 1040)
    assert (first.face_lost, second.face_lost) == (False, True)
    assert np.array_equal(first.keypoints, PIVOT)
    assert np.array_equal(second.keypoints, PIVOT + np.float32(1 / 256))
    assert bundles.missing is None


def flowing(steps: float) -> SceneMotion:
    return SceneMotion(flow=(steps,) * (2 * WAVES))


def test_a_flow_comes_gradually_after_the_bundle_before() -> None:
    bundles, _ = intake(known={3: PIVOT, 4: PIVOT})
    moved = [PIVOT + np.float32(n / 256) for n in (1, 2)]
    coded = [keypoint_coder.encode(moved, PIVOT, [flowing(steps)] * 2) for steps in (4, 8)]
    shown = []
    for number, pivot_id, data in ((0, 3, coded[0]), (1, 3, coded[1]), (3, 3, coded[0]), (4, 4, coded[1])):
        frames, _ = bundles.take(bundle(number, pivot_id=pivot_id, coded=data), [10.0, 50.0], 0.0)
        shown.append([packet.scene.flow[0] for packet, _ in frames])
    assert shown == [[4, 4], [6, 8], [4, 4], [8, 8]]  # alone; after it; after a loss; by another pivot


def test_a_flow_begins_at_the_pivots_own_frame() -> None:
    fine = rounded(PIVOT + np.float32(0.0011))  # as pivots travel, finer than their frames
    bundles, _ = intake(known={3: fine})
    data = keypoint_coder.encode([fine, fine + np.float32(1 / 256)], fine, [flowing(4)] * 2)
    frames, _ = bundles.take(bundle(coded=data), [10.0, 50.0], 0.0)
    assert not np.array_equal(frames[0][0].keypoints, fine)
    assert [packet.scene.flow[0] for packet, _ in frames] == [2, 4]


def told_runs(*steps: float) -> list[bytes]:
    """Runs of frames that are none of them the pivot's own, each with the change of its flow."""
    teller = SceneTeller()
    moved = [PIVOT + np.float32(n / 256) for n in (1, 2)]
    return [keypoint_coder.encode(moved, PIVOT, teller.code(3, [flowing(each)] * 2)) for each in steps]


def last_flows(order: list[int], runs: list[bytes]) -> list[float]:
    bundles, _ = intake(known={3: PIVOT})
    taken = [bundles.take(bundle(number, coded=runs[number]), [10.0, 50.0], 0.0)[0] for number in order]
    return [frames[-1][0].scene.flow[0] for frames in taken]


def test_a_change_that_is_lost_is_missed_until_the_flow_is_told_whole() -> None:
    steps = [4, 6, 9, *range(10, 10 + REFRESH)]
    runs = told_runs(*steps)
    assert last_flows(list(range(len(runs))), runs) == steps
    without = last_flows([number for number in range(len(runs)) if number != 1], runs)
    assert without[1] == 9 - 2
    assert without[-3:] == [steps[-3] - 2, *steps[-2:]]


def test_a_bundle_that_comes_late_spoils_no_later_flow() -> None:
    runs = told_runs(4, 6, 9, 11)
    assert last_flows([0, 2, 1, 3], runs)[-1] == 11 - 2


def test_frames_are_smoothed_from_bundle_to_bundle() -> None:
    bundles, _ = intake(known={3: PIVOT})
    drift = [PIVOT + np.float32(round(0.3 * n) / 256) for n in range(12)]
    seen = []
    for number in range(6):
        data = keypoint_coder.encode(drift[2 * number : 2 * number + 2], PIVOT)
        seen += [packet for packet, _ in bundles.take(bundle(number, coded=data), [10.0, 50.0], 0.0)[0]]
    moves = np.diff([256 * (packet.keypoints - PIVOT)[0, 0] for packet in seen])
    assert moves.max() < 0.8  # a whole step as told
    rounded_again = [keypoint_coder.quantise(packet.keypoints) for packet in seen]
    assert np.array_equal(rounded_again, drift)


def test_a_copy_comes_with_its_time() -> None:
    bundles, _ = intake(known={3: PIVOT})
    earlier = PIVOT + np.float32(8 / 256)
    carrying = replace(bundle(), copy=CoarseCopy(80, keypoint_coder.encode_copy(earlier, PIVOT)))
    _, copy = bundles.take(carrying, [110.0, 150.0], 0.0)
    assert copy is not None
    assert (copy.capture_ms, copy.pivot_id, copy.face_lost) == (30.0, 3, False)
    assert np.array_equal(copy.keypoints, earlier)  # whole coarse steps


def test_a_bundle_waits_for_its_pivot() -> None:
    known: dict[int, Keypoints] = {}
    bundles, stats = intake(known=known)
    assert bundles.take(bundle(), [10.0, 50.0], 0.0) == ([], None)
    assert bundles.missing == 3
    assert bundles.release(1000.0) == []
    known[3] = PIVOT
    assert [media_ms for _, media_ms in bundles.release(1100.0)] == [10.0, 50.0]
    assert bundles.release(1200.0) == []
    assert bundles.missing is None
    assert not stats.counters["bundles_dropped"]


def test_bundles_whose_pivot_never_comes_are_dropped_and_counted() -> None:
    bundles, stats = intake(known={})
    bundles.take(bundle(), [10.0, 50.0], 0.0)
    bundles.release(PATIENCE_MS + 1)
    assert bundles.missing is None
    assert stats.counters["bundles_dropped"] == 1


def test_only_so_many_wait() -> None:
    known: dict[int, Keypoints] = {}
    bundles, stats = intake(known=known)
    for number in range(MAX_WAITING + 5):
        bundles.take(bundle(number), [80.0 * number, 80.0 * number + 40], 0.0)
    assert stats.counters["bundles_dropped"] == 5
    known[3] = PIVOT
    assert len(bundles.release(1.0)) == 2 * MAX_WAITING


def test_nonsense_is_refused_now_and_counted_later() -> None:
    nonsense = bundle(coded=b"\xff" * 60)
    known = {3: PIVOT}
    bundles, stats = intake(known=known)
    with pytest.raises(ProtocolError):
        bundles.take(nonsense, [0.0, 40.0], 0.0)
    known.clear()
    bundles.take(nonsense, [0.0, 40.0], 0.0)
    known[3] = PIVOT
    assert bundles.release(1.0) == []
    assert stats.counters["packets_malformed"] == 1


def test_a_jump_of_the_clock_forgets_them() -> None:
    bundles, _ = intake(known={})
    bundles.take(bundle(), [0.0, 40.0], 0.0)
    bundles.clear()
    assert bundles.missing is None


def test_frames_and_copies_have_the_scene_of_their_bundle() -> None:
    bundles, _ = intake(known={3: PIVOT})
    panned = [SceneMotion(Similarity(shift=complex(number / 32))) for number in (1, 2)]
    coded = keypoint_coder.encode([PIVOT, PIVOT], PIVOT, panned)
    carrying = replace(bundle(coded=coded), copy=CoarseCopy(80, keypoint_coder.encode_copy(PIVOT, PIVOT)))
    frames, copy = bundles.take(carrying, [110.0, 150.0], 0.0)
    assert [packet.scene for packet, _ in frames] == panned
    assert copy is not None
    assert copy.scene == panned[0]
    assert all(packet.scene == STILL for packet, _ in bundles.take(bundle(), [110.0, 150.0], 0.0)[0])
