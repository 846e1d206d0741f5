"""The scene's motion in a run of frames: in its first frame and its last, as whole steps; in between it is linear.

`avcall.common.keypoint_coder` holds the entropy coder and lends its `code`. A still scene takes a tenth of a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

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

Ends: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""The numbers of the first frame and of the last, in steps."""
NO_MOTION: Ends = (0,) * NUMBERS, (0,) * NUMBERS


def ends_of(scenes: Sequence[SceneMotion]) -> Ends:
    """What travels of a run; none stand for still ones."""
    return (_steps(scenes[0]), _steps(scenes[-1])) if scenes else NO_MOTION


def motions_of(ends: Ends, frames: int) -> list[SceneMotion]:
    """The motion in each frame of the run."""
    if ends == NO_MOTION:
        return [STILL] * frames
    first, last = map(_motion, ends)
    return [first.towards(last, number / max(1, frames - 1)) for number in range(frames)]


def walk_ends(frames: int, code: Callable[[int, int], int], known: Ends | None) -> Ends:
    """Codes `known`, or decodes what `code` finds, always within LIMIT. `code` takes a remainder and the size to expect
    of it, and returns the remainder."""
    if not code(int(known is not None and known != NO_MOTION), _MOVES):
        return NO_MOTION
    first = tuple(_inside(code(0 if known is None else known[0][place], _FIRST[place])) for place in range(NUMBERS))
    if frames == 1:
        return first, first
    steps = (code(0 if known is None else known[1][place] - first[place], _LATER[place]) for place in range(NUMBERS))
    return first, tuple(_inside(start + step) for start, step in zip(first, steps, strict=True))


def _steps(scene: SceneMotion) -> tuple[int, ...]:
    body = scene.body.shift
    numbers = (*scene.background.numbers, body.real, body.imag)
    return tuple(_inside(round(number / STEP)) for number in numbers)


def _motion(steps: tuple[int, ...]) -> SceneMotion:
    x, y, growth, turn, body_x, body_y = (step * STEP for step in steps)
    return SceneMotion(Similarity.of(x, y, growth, turn), Similarity(shift=complex(body_x, body_y)))


def _inside(value: int) -> int:
    return max(-LIMIT, min(LIMIT, value))
