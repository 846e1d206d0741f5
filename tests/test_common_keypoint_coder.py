"""Coded keypoints: what comes back, what it costs, the documented bits, and hostile bytes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from avcall.common import keypoint_coder
from avcall.common.bundle_format import MAX_BUNDLE_FRAMES
from avcall.common.errors import ProtocolError
from avcall.common.keypoint_coder import MAX_CODED_BYTES, MAX_FRAMES, STEP, decode, encode, encode_run, quantise
from avcall.common.keypoint_statistics import FIRST, LATER, ORDER
from avcall.common.keypoints import COUNT, LID_LEFT, Keypoints
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.common.wire import KEYPOINT_LIMIT

POINTS = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16
PX = 255 / 2
points = st.lists(st.floats(-4, 4, width=32), min_size=20, max_size=20).map(
    lambda values: np.array(values, dtype=np.float32).reshape(COUNT, 2)
)


def talking(frames: int, seed: int) -> list[Keypoints]:
    """A head that sways and nods a few pixels a frame, with noise of a fifth of a pixel."""
    rng = np.random.default_rng(seed)
    phases = rng.uniform(0, 6, 2)
    sway = np.stack([0.1 * np.sin(np.arange(frames) / 6 + phase) for phase in phases], axis=1)
    noise = rng.normal(0, 0.0015, (frames, COUNT, 2))
    return list((POINTS + sway[:, None] + noise).astype(np.float32))


def distances_px(a: list[Keypoints], b: list[Keypoints]) -> NDArray[np.float32]:
    """Of each point, at 256."""
    return np.asarray(np.linalg.norm(np.array(a) - np.array(b), axis=-1) * PX, dtype=np.float32)


@given(st.lists(points, min_size=1, max_size=MAX_FRAMES), points)
@settings(max_examples=60, deadline=None)
def test_what_comes_back_is_what_was_rounded(frames: list[Keypoints], pivot: Keypoints) -> None:
    data = encode(frames, pivot)
    assert len(data) <= MAX_CODED_BYTES
    found, _ = decode(data, len(frames), pivot)
    for frame, points in zip(frames, found, strict=True):
        assert np.array_equal(points, quantise(frame))
        assert points.dtype == np.float32
        assert np.abs(points - frame).max() <= STEP / 2


@given(st.integers(0, 10_000), st.integers(1, MAX_FRAMES))
@settings(max_examples=40, deadline=None)
def test_heads_cost_few_bytes(seed: int, count: int) -> None:
    frames = talking(count, seed)
    data = encode(frames, POINTS)
    assert len(data) < 14 + 9 * (count - 1)
    assert np.abs(np.array(decode(data, count, POINTS)[0]) - np.array(frames)).max() * PX < 0.25


@pytest.mark.parametrize("count", [1, 3, 5])
def test_what_keypoints_take_is_told_apart_from_the_scene(count: int) -> None:
    frames = talking(count, 7)
    still = encode_run(frames, POINTS)
    assert 0 <= 8 * len(still.data) - still.keypoint_bits < 8.5  # whole bytes, and that the scene stands
    moving = SceneMotion(Similarity.of(0.3, -0.2, 0.05, 0.02), Similarity(shift=complex(0.1, 0.4)))
    panned = encode_run(frames, POINTS, [moving] * count)
    assert panned.keypoint_bits == still.keypoint_bits
    assert len(panned.data) > len(still.data) + 4


def test_points_are_a_fifth_of_a_pixel_off() -> None:
    frames = talking(200, 5)
    found = [points for i in range(0, 200, 5) for points in decode(encode(frames[i : i + 5], POINTS), 5, POINTS)[0]]
    assert np.sqrt(np.mean(np.square(distances_px(found, frames)))) < 0.25


def test_stillness_costs_next_to_nothing() -> None:
    assert len(encode([POINTS] * 10, POINTS)) <= 6


def test_keypoints_beyond_the_limit_are_clipped() -> None:
    (found,), _ = decode(encode([POINTS * 20], POINTS), 1, POINTS)
    assert np.array_equal(found, np.clip(quantise(POINTS * 20), -KEYPOINT_LIMIT, KEYPOINT_LIMIT))
    assert np.abs(found).max() == KEYPOINT_LIMIT


def test_the_bits_are_those_of_the_documentation() -> None:
    moved = POINTS + np.float32(2 / 256)
    lid = moved.copy()
    lid[LID_LEFT, 1] += 5 / 256
    documented = bytes.fromhex("6a 45 4d 4a 82 18 d5 1e d9 ca b1")
    assert encode([POINTS, moved, lid], POINTS) == documented
    found, scenes = decode(documented, 3, POINTS)
    assert all(np.array_equal(a, b) for a, b in zip(found, [POINTS, moved, lid], strict=True))
    assert scenes == [STILL] * 3


def test_another_pivot_gives_other_keypoints() -> None:
    data = encode([POINTS], POINTS)
    assert not np.array_equal(decode(data, 1, POINTS + np.float32(0.25))[0][0], POINTS)


def test_hostile_bytes_decode_within_bounds_or_are_refused() -> None:
    rng = random.Random(3)
    good = encode(talking(5, 1), POINTS)
    refused = 0
    for _ in range(3_000):
        if rng.random() < 0.5:
            data = rng.randbytes(rng.randrange(60))
        else:
            damaged = bytearray(good)
            damaged[rng.randrange(len(good))] = rng.randrange(256)
            data = bytes(damaged[: rng.randrange(len(good) + 1)])
        count = rng.randint(1, MAX_FRAMES)
        try:
            found, _ = decode(data, count, POINTS)
        except ProtocolError:
            refused += 1
            continue
        assert len(found) == count
        assert all(np.abs(frame).max() <= KEYPOINT_LIMIT for frame in found)
    assert refused < 3_000


def test_bytes_that_no_encoder_makes_are_refused() -> None:
    with pytest.raises(ProtocolError):
        decode(b"\xff" * 60, 3, POINTS)


@pytest.mark.parametrize(("size", "frames"), [(MAX_CODED_BYTES + 1, 1), (4, 0), (4, MAX_FRAMES + 1)])
def test_absurd_sizes_are_refused(size: int, frames: int) -> None:
    with pytest.raises(ProtocolError):
        decode(bytes(size), frames, POINTS)


def test_runs_of_no_or_too_many_frames_are_not_encoded() -> None:
    for frames in ([], [POINTS] * (MAX_FRAMES + 1)):
        with pytest.raises(ValueError, match="frames in one run"):
            encode(frames, POINTS)


def test_the_tables_fit_together() -> None:
    assert MAX_FRAMES == MAX_BUNDLE_FRAMES
    assert sorted(ORDER) == list(range(COUNT))
    for table in (FIRST, LATER):
        for rows in table:
            assert [len(row.weights) for row in rows] == list(range(COUNT))
            assert all(row.size > 0 for row in rows)
    assert keypoint_coder.LIMIT * STEP == KEYPOINT_LIMIT


def test_a_coarse_copy_costs_a_few_bytes_and_is_within_a_coarse_step() -> None:
    rng = np.random.default_rng(3)
    frame = rng.uniform(-0.6, 0.6, (COUNT, 2)).astype(np.float32)
    near = frame + np.float32(6 / 256)
    data = keypoint_coder.encode_copy(frame, near)
    copied = keypoint_coder.decode_copy(data, keypoint_coder.quantise(near))
    assert np.abs(copied - frame).max() <= 2.51 / 256
    assert len(data) <= 8
    far = keypoint_coder.encode_copy(-4 * np.sign(frame), 4 * np.sign(frame))
    assert np.abs(keypoint_coder.decode_copy(far, 4 * np.sign(frame))).max() == 4.0
    assert len(far) <= keypoint_coder.MAX_COPY_BYTES


def test_hostile_copies_are_refused_or_within_the_limits() -> None:
    rng = np.random.default_rng(4)
    near = np.zeros((COUNT, 2), np.float32)
    for _ in range(300):
        try:
            points = keypoint_coder.decode_copy(rng.bytes(int(rng.integers(0, 60))), near)
        except ProtocolError:
            continue
        assert np.abs(points).max() <= 4.0
    with pytest.raises(ProtocolError):
        keypoint_coder.decode_copy(bytes(keypoint_coder.MAX_COPY_BYTES + 1), near)
