"""The scene's motion in a run of frames: where it is in the first frame and the last, as whole steps, in between it is
linear; and the residual flow of the last frame, with what its slowest waves do in between.

A flow is told as what has changed since the run before, half the bits of the whole, which is told now and then: at
first, and again every REFRESH runs. A receiver that has lost a run lacks a change, which is small, until then.
`avcall.common.keypoint_coder` lends its `Code`. A still scene takes a tenth of a bit, and no flow another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from avcall.common.entropy_coder import Code, Need
from avcall.common.residual_flow import LIMIT as FLOW_LIMIT
from avcall.common.residual_flow import NO_FLOW, ORDER, WAVES, Flow, between
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
_FLOWS, _WHOLE, _ASTRAY = 128, 128, 64
_FLOW_SIZES = (2270, 910, 480, 320, 200, 130, 90, 57)
_CHANGE_SIZES = (880, 375, 200, 116, 70, 45, 29, 18)
_OFF_SIZE = 100
"""Sizes to expect of the symbols that say whether there is a flow, whether it is a whole one, and whether a frame is
off the line; of amplitudes and of their changes, by the sum of a wave's frequencies; and of what is off. Means of six
clips."""
REFRESH = 10
"""A whole flow is told again after so many changes: more than a second."""
SLOW = tuple(place for place, frequencies in enumerate(ORDER * 2) if sum(frequencies) <= 1)
"""Places in a flow of the waves that may be off the line between a run's ends: those that move the picture as a camera
does."""
_OFF_FROM, _OFF_LIMIT = 1.6, 31
"""Steps from which a wave is told to be off, and that it may be off."""


class SceneCode(NamedTuple):
    """What travels of a run."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    """The numbers of the first frame and of the last, in steps."""
    flow: tuple[int, ...] = ()
    """Of the last frame, or how it has changed since the run before; empty: there is none."""
    whole: bool = True
    off: tuple[tuple[int, ...], ...] = ()
    """How far SLOW waves of each frame but the last are from the line between the run before and this one's last
    frame; empty: not at all."""


_NO_MOTION = (0,) * NUMBERS
STANDS = SceneCode(_NO_MOTION, _NO_MOTION)


class SceneTeller:
    """What has been told of one sender's scenes, run after run."""

    def __init__(self) -> None:
        self._pivot_id: int | None = None
        self._told: tuple[int, ...] = ()
        self._changes = 0

    def code(self, pivot_id: int, scenes: Sequence[SceneMotion]) -> SceneCode:
        """What travels of the next run, whose frames refer to this pivot. A frame before the last whose flow is the one
        told last says nothing of its own."""
        code, told = code_of(scenes), self._told
        same, self._pivot_id, self._told = pivot_id == self._pivot_id, pivot_id, code.flow
        if not (same and code.flow):
            self._changes = 0
            return code
        told = told or _NOTHING
        code = code._replace(off=_off(scenes, told, code.flow))
        if self._changes >= REFRESH:
            self._changes = 0
            return code
        self._changes += 1
        return code._replace(flow=tuple(now - then for now, then in zip(code.flow, told, strict=True)), whole=False)


def code_of(scenes: Sequence[SceneMotion]) -> SceneCode:
    """What travels of a run alone; no scenes stand for still ones."""
    if not scenes:
        return STANDS
    return SceneCode(_steps(scenes[0]), _steps(scenes[-1]), _whole_steps(scenes[-1].flow))


def motions_of(code: SceneCode, frames: int, before: Flow | None = None) -> list[SceneMotion]:
    """The motion in each frame of the run; all have the last one's flow, and what they are off (see `eased`). `before`
    is the flow after the run before, by the same pivot; without it a change of the flow says nothing."""
    if code == STANDS:
        return [STILL] * frames
    first, last = (_motion(steps) for steps in (code.first, code.last))
    motions = [first.towards(last, number / max(1, frames - 1)) for number in range(frames)]
    flow = _inside_limits(code.flow)
    if not code.whole:
        if before is None:
            return motions
        flow = _inside_limits(tuple(a + round(b) for a, b in zip(code.flow, before or _NOTHING, strict=True)))
    flows = [_moved(flow, off) for off in code.off] if code.off and flow else [flow] * (frames - 1)
    return [replace(motion, flow=each) for motion, each in zip(motions, [*flows, flow], strict=True)]


def eased(scenes: Sequence[SceneMotion], before: SceneMotion) -> list[SceneMotion]:
    """A run whose flow comes about gradually, after the run whose last frame is `before`."""
    last = scenes[-1].flow
    return [
        replace(scene, flow=_sum(between(before.flow, last, number / len(scenes)), scene.flow, last))
        for number, scene in enumerate(scenes, start=1)
    ]


def walk_scene(frames: int, code: Code, known: SceneCode | None) -> SceneCode:
    """Codes `known`, or decodes what `code` finds, always within the limits."""
    first, last = _walk_ends(frames, code, known)
    if not code(int(known is not None and bool(known.flow)), _FLOWS):
        return SceneCode(first, last)
    whole = bool(code(int(known is not None and known.whole), _WHOLE))
    flow = _walk_flow(code, None if known is None else known.flow, _FLOW_SIZES if whole else _CHANGE_SIZES)
    return SceneCode(first, last, flow, whole, _walk_off(frames, code, None if known is None else known.off))


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


def _walk_flow(code: Code, known: tuple[int, ...] | None, sizes: tuple[int, ...]) -> tuple[int, ...]:
    need, found = Need(), [0] * (2 * WAVES)
    for wave, frequencies in enumerate(ORDER):
        size = sizes[sum(frequencies)]
        for place in (wave, WAVES + wave):
            steps = code(known[place] if known else 0, need.width(size))
            need.note(abs(steps), size)
            found[place] = _inside(steps, 2 * FLOW_LIMIT)
    return tuple(found)


def _walk_off(frames: int, code: Code, known: tuple[tuple[int, ...], ...] | None) -> tuple[tuple[int, ...], ...]:
    if frames == 1 or not code(int(bool(known)), _ASTRAY):
        return ()
    need, found = Need(), []
    for number in range(frames - 1):
        steps = []
        for place in range(len(SLOW)):
            steps.append(_inside(code(known[number][place] if known else 0, need.width(_OFF_SIZE)), _OFF_LIMIT))
            need.note(abs(steps[-1]), _OFF_SIZE)
        found.append(tuple(steps))
    return tuple(found)


_NOTHING = (0,) * (2 * WAVES)


def _whole_steps(flow: Flow) -> tuple[int, ...]:
    steps = tuple(_inside(round(amplitude), FLOW_LIMIT) for amplitude in flow)
    return steps if any(steps) else ()


def _inside_limits(flow: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_inside(amplitude, FLOW_LIMIT) for amplitude in flow)


def _off(scenes: Sequence[SceneMotion], before: tuple[int, ...], last: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Of each scene but the last, from the line between flows of whole steps."""
    off = []
    for number, scene in enumerate(scenes[:-1], start=1):
        line = between(before, last, number / len(scenes))
        astray = [scene.flow[place] - line[place] for place in SLOW] if scene.flow not in (before, NO_FLOW) else [0.0]
        told = [_inside(round(steps), _OFF_LIMIT) if abs(steps) >= _OFF_FROM else 0 for steps in astray]
        off.append(tuple(told) if any(told) else (0,) * len(SLOW))
    return tuple(off) if any(map(any, off)) else ()


def _moved(flow: tuple[int, ...], off: tuple[int, ...]) -> Flow:
    moved = list(flow)
    for place, steps in zip(SLOW, off, strict=True):
        moved[place] += steps
    return tuple(moved)


def _sum(line: Flow, flow: Flow, last: Flow) -> Flow:
    """`line`, and what `flow` has more than `last`."""
    return line if flow == last else tuple(a + b - c for a, b, c in zip(line, flow, last, strict=True))


def numbers_of(scene: SceneMotion) -> tuple[float, ...]:
    """What travels of a scene's motion besides its flow, in steps, not rounded."""
    body = scene.body.shift
    return tuple(number / STEP for number in (*scene.background.numbers, body.real, body.imag))


def with_numbers(scene: SceneMotion, steps: Iterable[float]) -> SceneMotion:
    """The scene's flow, with other motion."""
    return replace(_motion(steps), flow=scene.flow)


def _steps(scene: SceneMotion) -> tuple[int, ...]:
    return tuple(_inside(round(number), LIMIT) for number in numbers_of(scene))


def _motion(steps: Iterable[float]) -> SceneMotion:
    x, y, growth, turn, body_x, body_y = (float(step * STEP) for step in steps)
    return SceneMotion(Similarity.of(x, y, growth, turn), Similarity(shift=complex(body_x, body_y)))


def _inside(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))
