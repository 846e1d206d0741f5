"""Coded keypoints: quantised, predicted, entropy-coded. Sans-IO, and the same bits on every machine.

A run of frames that refer to one pivot is coded together and needs nothing else than the pivot's keypoints, which both
ends have: a lost run costs itself only. Coordinates are rounded to STEP. The first frame is predicted from the pivot,
each later one from the frame before it. Both are differences, and most of a difference is the head's own motion: so
each coordinate is predicted linearly from those already coded in its frame (and from its own last difference), which
leaves about a quarter of it. The remainders are coded by `avcall.common.entropy_coder`, for a width that follows what
the run has needed so far. After the keypoints comes the scene's motion (`avcall.common.scene_coder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avcall.common.entropy_coder import Code, Decoder, Encoder, Need
from avcall.common.errors import ProtocolError
from avcall.common.keypoint_statistics import FIRST, LATER, ORDER, Row
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.residual_flow import Flow
from avcall.common.scene import SceneMotion
from avcall.common.scene_coder import STANDS, SceneCode, code_of, motions_of, walk_scene

STEPS = 256
STEP = 1.0 / STEPS
"""Of the keypoint convention: 0.498 pixels at 256, an error of 0.144 pixels rms in each coordinate. A power of two, so
that rounding is exact."""
MAX_FRAMES = 10
MAX_CODED_BYTES = 960
"""More than ten frames of the wildest keypoints in the wildest scene need."""
LIMIT = 4 * STEPS
"""Steps; keypoints farther out are clipped to it."""
COPY_BITS = 2
"""A coarse copy has steps of STEP times 2 to the power of this: 2 pixels at 256."""
MAX_COPY_BYTES = 96
"""More than one frame of the wildest keypoints needs."""
_SHARE_BITS = 6
"""Weights are in 64ths."""
_Grid: TypeAlias = list[list[int]]
"""Steps, [keypoint][axis]."""


def quantise(keypoints: Keypoints) -> Keypoints:
    """What the other end will have."""
    return _points(_grid(keypoints))


class CodedRun(NamedTuple):
    """A run as it travels."""

    data: bytes
    keypoint_bits: float
    """What the keypoints alone take of it; the rest is the scene's motion."""


def encode(frames: Sequence[Keypoints], pivot: Keypoints, scenes: Sequence[SceneMotion] | SceneCode = ()) -> bytes:
    """The bytes of `encode_run`."""
    return encode_run(frames, pivot, scenes).data


def encode_run(
    frames: Sequence[Keypoints], pivot: Keypoints, scenes: Sequence[SceneMotion] | SceneCode = ()
) -> CodedRun:
    """1 to MAX_FRAMES consecutive frames that refer to the pivot with these keypoints, and how the scene has moved in
    each since the pivot (not at all, without `scenes`); a `SceneTeller`'s code of it takes fewer bytes."""
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise ValueError(f"{len(frames)} frames in one run")
    code = scenes if isinstance(scenes, SceneCode) else code_of(scenes)
    return _encode([_grid(frame) for frame in frames], _grid(pivot), _RUN, code)


def decode(
    data: bytes, frames: int, pivot: Keypoints, before: Flow | None = None
) -> tuple[list[Keypoints], list[SceneMotion]]:
    """The frames of a run, float32 (K, 2) each, within the limits of the wire, and the scene's motion in each: see
    `motions_of`, also for `before`.

    Raises:
        ProtocolError: bytes that no encoder has made.
    """
    if not 1 <= frames <= MAX_FRAMES or len(data) > MAX_CODED_BYTES:
        raise ProtocolError(f"{len(data)} bytes of coded keypoints for {frames} frames")
    grids, scene = _decode(data, frames, _grid(pivot), _RUN)
    return [_points(grid) for grid in grids], motions_of(scene, frames, before)


def encode_copy(frame: Keypoints, near: Keypoints) -> bytes:
    """A frame coarsely, as a difference to another one that the other end has too (see `quantise`)."""
    return _encode([_coarse(_grid(frame))], _coarse(_grid(near)), _COPY, STANDS).data


def decode_copy(data: bytes, near: Keypoints) -> Keypoints:
    """float32 (K, 2) from `encode_copy`'s bytes.

    Raises:
        ProtocolError: bytes that no encoder has made.
    """
    if len(data) > MAX_COPY_BYTES:
        raise ProtocolError(f"{len(data)} bytes of a copied frame")
    (grid,), _ = _decode(data, 1, _coarse(_grid(near)), _COPY)
    return _points([[value << COPY_BITS for value in point] for point in grid])


class _Statistics(NamedTuple):
    """What is expected of the first frame of a run and of the later ones; `finer` bits more than the grid has."""

    first: tuple[tuple[Row, ...], tuple[Row, ...]]
    later: tuple[tuple[Row, ...], tuple[Row, ...]]
    finer: int
    limit: int
    scene: bool
    """Whether the scene's motion follows."""


_RUN = _Statistics(FIRST, LATER, 0, LIMIT, scene=True)
_COPY = _Statistics(LATER, LATER, COPY_BITS - 1, LIMIT >> COPY_BITS, scene=False)
"""Some two frames apart, so twice the movement of one."""


def _encode(grids: list[_Grid], start: _Grid, statistics: _Statistics, scene: SceneCode) -> CodedRun:
    encoder = Encoder()
    _walk(len(grids), start, encoder.code, grids, statistics)
    bits = encoder.bits
    if statistics.scene:
        walk_scene(len(grids), encoder.code, scene)
    return CodedRun(encoder.finish(), bits)


def _decode(data: bytes, frames: int, start: _Grid, statistics: _Statistics) -> tuple[list[_Grid], SceneCode]:
    decoder = Decoder(data)
    try:
        grids = _walk(frames, start, decoder.code, None, statistics)
        return grids, walk_scene(frames, decoder.code, None) if statistics.scene else STANDS
    except AssertionError as error:  # the library's word for it
        raise ProtocolError("coded keypoints that no encoder has made") from error


def _walk(frames: int, start: _Grid, code: Code, known: list[_Grid] | None, statistics: _Statistics) -> list[_Grid]:
    """Goes through all coordinates in the order of coding; `known` are the frames to encode."""
    found: list[_Grid] = []
    before, last = start, [[0, 0] for _ in range(COUNT)]
    distance, movement = Need(), Need()
    for index in range(frames):
        table, need = (statistics.later, movement) if index else (statistics.first, distance)
        moved = [[0, 0] for _ in range(COUNT)]
        grid = [[0, 0] for _ in range(COUNT)]
        for place, point, axis in ((p, k, a) for p, k in enumerate(ORDER) for a in (0, 1)):
            row = table[axis][place]
            size = row.size >> statistics.finer
            guess = _inside(before[point][axis] + _predicted(row, moved, last, place, axis), statistics.limit)
            remainder = 0 if known is None else known[index][point][axis] - guess
            remainder = code(remainder, need.width(size))
            need.note(abs(remainder), size)
            # hostile bytes may lead outside; what an encoder made never does
            grid[point][axis] = _inside(guess + remainder, statistics.limit)
            moved[point][axis] = grid[point][axis] - before[point][axis]
        found.append(grid)
        before, last = grid, moved if index else last
    return found


def _predicted(row: Row, moved: _Grid, last: _Grid, place: int, axis: int) -> int:
    total = row.again * last[ORDER[place]][axis]
    total += sum(weight * moved[point][axis] for weight, point in zip(row.weights, ORDER, strict=False))
    return (total + (1 << (_SHARE_BITS - 1))) >> _SHARE_BITS


def _inside(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))


def _coarse(grid: _Grid) -> _Grid:
    half = 1 << (COPY_BITS - 1)
    return [[_inside((value + half) >> COPY_BITS, LIMIT >> COPY_BITS) for value in point] for point in grid]


def _grid(keypoints: Keypoints) -> _Grid:
    clipped = np.clip(keypoints.astype(np.float64) * STEPS, -LIMIT, LIMIT)
    grid: _Grid = np.rint(clipped).astype(int).tolist()
    return grid


def _points(grid: _Grid) -> Keypoints:
    points: NDArray[np.float32] = np.array(grid, dtype=np.float32) / np.float32(STEPS)
    return points
