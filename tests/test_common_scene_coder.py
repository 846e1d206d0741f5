"""The scene's motion in a run: nothing for a still one, half a step's error for another, bounds whatever arrives."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoint_coder import MAX_CODED_BYTES, decode, encode
from avcall.common.keypoints import COUNT
from avcall.common.residual_flow import LIMIT as FLOW_LIMIT
from avcall.common.residual_flow import NO_FLOW, WAVES
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.common.scene_coder import LIMIT, REFRESH, STEP, SceneTeller, eased

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


def flowing(*steps: int) -> SceneMotion:
    return SceneMotion(flow=(*steps, *[0] * (2 * WAVES - len(steps))))


def test_a_change_of_flow_takes_fewer_bytes_than_the_whole() -> None:
    before = SceneMotion(flow=tuple(9 - n % 19 for n in range(2 * WAVES)))
    after = SceneMotion(flow=tuple(steps + (n % 9 == 0) for n, steps in enumerate(before.flow)))
    teller = SceneTeller()
    teller.code(0, [before])
    change = encode([POINTS], POINTS, teller.code(0, [after]))
    assert len(change) < 0.5 * len(encode([POINTS], POINTS, [after]))
    assert decode(change, 1, POINTS, before.flow)[1] == [after]


def test_a_change_says_nothing_to_who_lacks_what_has_changed() -> None:
    teller = SceneTeller()
    teller.code(0, [flowing(8)])
    change = encode([POINTS] * 2, POINTS, teller.code(0, [flowing(2), flowing(9)]))
    assert [scene.flow for scene in decode(change, 2, POINTS)[1]] == [NO_FLOW] * 2


def test_a_whole_flow_is_told_at_first_by_another_pivot_and_now_and_then() -> None:
    teller = SceneTeller()
    codes = [teller.code(0, [flowing(n + 1)]) for n in range(2 * REFRESH + 3)]
    assert [n for n, code in enumerate(codes) if code.whole] == [0, REFRESH + 1, 2 * REFRESH + 2]
    assert [code.flow[0] for code in codes[:3]] == [1, 1, 1]
    assert teller.code(1, [flowing(5)]).whole
    assert teller.code(1, [STILL]).flow == ()
    assert not teller.code(1, [flowing(5)]).whole  # since there was none


def test_slow_waves_leave_the_line_between_two_runs() -> None:
    teller = SceneTeller()
    teller.code(0, [flowing(3)])
    run = [flowing(9), flowing(3), flowing(6)]  # the middle one still has the flow told last: nothing of its own
    data = encode([POINTS] * 3, POINTS, teller.code(0, run))
    _, found = decode(data, 3, POINTS, flowing(3).flow)
    assert [scene.flow[0] for scene in eased(found, flowing(3))] == [9, 5, 6]


def test_fast_waves_and_small_differences_stay_on_the_line() -> None:
    teller = SceneTeller()
    fast = 2 * WAVES - 1
    teller.code(0, [flowing(0, 3)])
    run = [SceneMotion(flow=(1, 4, *[0] * (fast - 2), 9)), flowing(0, 5)]
    assert teller.code(0, run).off == ()
