"""The scene's motion in a run of frames: where it is in the first frame and the last, as whole steps, in between it is
linear; and the residual flow of the last frame.

`avcall.common.keypoint_coder` lends its `Code`. A still scene takes a tenth of a bit, and no flow another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from avcall.common.entropy_coder import Code, Need
from avcall.common.residual_flow import LIMIT as FLOW_LIMIT
from avcall.common.residual_flow import ORDER, WAVES, between
from avcall.common.scene import STILL, SceneMotion, Similarity

STEP = 1.0 / 256.0
"""Of the keypoint convention, of the growth's logarithm and of radians: half a pixel at 256, where the picture ends."""
LIMIT = 512
"""Steps: motion is clipped to two half sides, and to a growth of e squared."""
NUMBERS = 6
"""Shift x, shift y, growth and turn of the background, then shift x and shift y of the body."""
_MOVES = 0
_FIRST, _LATER = (2300, 2000, 1000, 500, 1300, 1500), (600, 450, 350, 250, 400, 400)
"""Sizes to expect, in 256ths of a step: of the symbol that says whether there is motion, of motion since the pivot, and
of motion within a run. Means of four clips whose camera moves."""
_FLOWS = 128
_FLOW_SIZES = (880, 440, 240, 150, 92, 50, 28, 16)
"""Sizes to expect of the symbol that says whether there is a flow, and of its amplitudes, by the sum of a wave's
frequencies. Means of eight clips."""


class SceneCode(NamedTuple):
    """What travels of a run."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    """The numbers of the first frame and of the last, in steps."""
    flow: tuple[int, ...] = ()
    """Of the last frame."""


_NO_MOTION = (0,) * NUMBERS
STANDS = SceneCode(_NO_MOTION, _NO_MOTION)


def code_of(scenes: Sequence[SceneMotion]) -> SceneCode:
    """What travels of a run; no scenes stand for still ones."""
    if not scenes:
        return STANDS
    flow = tuple(_inside(round(amplitude), FLOW_LIMIT) for amplitude in scenes[-1].flow)
    return SceneCode(_steps(scenes[0]), _steps(scenes[-1]), flow if any(flow) else ())


def motions_of(code: SceneCode, frames: int) -> list[SceneMotion]:
    """The motion in each frame of the run; all have the last one's flow (see `eased`)."""
    if code == STANDS:
        return [STILL] * frames
    first, last = (replace(_motion(steps), flow=code.flow) for steps in code[:2])
    return [first.towards(last, number / max(1, frames - 1)) for number in range(frames)]


def eased(scenes: Sequence[SceneMotion], before: SceneMotion) -> list[SceneMotion]:
    """A run whose flow comes about gradually, after the run whose last frame is `before`."""
    return [
        replace(scene, flow=between(before.flow, scenes[-1].flow, number / len(scenes)))
        for number, scene in enumerate(scenes, start=1)
    ]


def walk_scene(frames: int, code: Code, known: SceneCode | None) -> SceneCode:
    """Codes `known`, or decodes what `code` finds, always within the limits."""
    first, last = _walk_ends(frames, code, known)
    return SceneCode(first, last, _walk_flow(code, None if known is None else known.flow))


def _walk_ends(frames: int, code: Code, known: SceneCode | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    moves = known is not None and (known.first, known.last) != (_NO_MOTION, _NO_MOTION)
    if not code(int(moves), _MOVES):
        return _NO_MOTION, _NO_MOTION
    first = tuple(
        _inside(code(0 if known is None else known.first[place], _FIRST[place]), LIMIT) for place in range(NUMBERS)
    )
    if frames == 1:
        return first, first
    steps = (code(0 if known is None else known.last[place] - first[place], _LATER[place]) for place in range(NUMBERS))
    return first, tuple(_inside(start + step, LIMIT) for start, step in zip(first, steps, strict=True))


def _walk_flow(code: Code, known: tuple[int, ...] | None) -> tuple[int, ...]:
    if not code(int(bool(known)), _FLOWS):
        return ()
    need, found = Need(), [0] * (2 * WAVES)
    for wave, frequencies in enumerate(ORDER):
        size = _FLOW_SIZES[sum(frequencies)]
        for place in (wave, WAVES + wave):
            steps = code(known[place] if known else 0, need.width(size))
            need.note(abs(steps), size)
            found[place] = _inside(steps, FLOW_LIMIT)
    return tuple(found)


def _steps(scene: SceneMotion) -> tuple[int, ...]:
    body = scene.body.shift
    numbers = (*scene.background.numbers, body.real, body.imag)
    return tuple(_inside(round(number / STEP), LIMIT) for number in numbers)


def _motion(steps: tuple[int, ...]) -> SceneMotion:
    x, y, growth, turn, body_x, body_y = (step * STEP for step in steps)
    return SceneMotion(Similarity.of(x, y, growth, turn), Similarity(shift=complex(body_x, body_y)))


def _inside(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))
