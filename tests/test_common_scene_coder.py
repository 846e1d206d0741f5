"""The scene's motion in a run: nothing for a still one, half a step's error for another, bounds whatever arrives."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoint_coder import MAX_CODED_BYTES, decode, encode
from avcall.common.keypoints import COUNT
from avcall.common.residual_flow import LIMIT as FLOW_LIMIT
from avcall.common.residual_flow import WAVES
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.common.scene_coder import LIMIT, STEP

POINTS = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16


def panning(frames: int) -> list[SceneMotion]:
    return [
        SceneMotion(Similarity.of(0.1 + 0.011 * n, -0.03, 0.02, 0.002 * n), Similarity(shift=0.05j + 0.006 * n))
        for n in range(frames)
    ]


def numbers(scene: SceneMotion) -> list[float]:
    return [*scene.background.numbers, scene.body.shift.real, scene.body.shift.imag]


def test_a_still_scene_takes_no_byte() -> None:
    frames = [POINTS + np.float32(n / 256) for n in range(3)]
    assert encode(frames, POINTS, [STILL] * 3) == encode(frames, POINTS)
    assert decode(encode(frames, POINTS), 3, POINTS)[1] == [STILL] * 3


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_motion_comes_back_within_half_a_step_with_the_keypoints(frames: int) -> None:
    sent = panning(frames)
    data = encode([POINTS] * frames, POINTS, sent)
    points, found = decode(data, frames, POINTS)
    assert all(np.array_equal(each, POINTS) for each in points)
    errors = np.array([numbers(scene) for scene in found]) - [numbers(scene) for scene in sent]
    assert np.abs(errors).max() < 0.51 * STEP
    assert len(data) - len(encode([POINTS] * frames, POINTS)) <= 9


def test_motion_that_is_too_far_is_clipped() -> None:
    far = SceneMotion(Similarity.of(9.0, 0.0, 5.0, 0.0), Similarity(shift=-9j))
    _, (scene,) = decode(encode([POINTS], POINTS, [far]), 1, POINTS)
    assert numbers(scene) == pytest.approx([LIMIT * STEP, 0.0, LIMIT * STEP, 0.0, 0.0, -LIMIT * STEP])


def test_the_last_frames_flow_comes_back_for_few_bytes() -> None:
    flow = (6, -3, 2, *[0] * (WAVES - 3), 0, 5, *[0] * (WAVES - 2))
    frames = [SceneMotion(), SceneMotion(flow=flow)]
    data = encode([POINTS] * 2, POINTS, frames)
    _, found = decode(data, 2, POINTS)
    assert [scene.flow for scene in found] == [flow, flow]
    assert 3 <= len(data) - len(encode([POINTS] * 2, POINTS)) <= 8


def test_a_wild_flow_is_clipped_and_fits_the_limit() -> None:
    wild = tuple(1e6 * (-1) ** n for n in range(2 * WAVES))
    data = encode([POINTS + np.float32(n) for n in range(10)], POINTS, [SceneMotion(flow=wild)] * 10)
    assert len(data) <= MAX_CODED_BYTES
    assert set(decode(data, 10, POINTS)[1][0].flow) == {FLOW_LIMIT, -FLOW_LIMIT}


def test_a_flow_of_nothing_is_none() -> None:
    assert encode([POINTS], POINTS, [SceneMotion(flow=(0.0,) * (2 * WAVES))]) == encode([POINTS], POINTS)
