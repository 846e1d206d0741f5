"""Coded keypoints: quantised, predicted, entropy-coded. Sans-IO, and the same bits on every machine.

A run of frames that refer to one pivot is coded together and needs nothing else than the pivot's keypoints, which both
ends have: a lost run costs itself only. Coordinates are rounded to STEP. The first frame is predicted from the pivot,
each later one from the frame before it. Both are differences, and most of a difference is the head's own motion: so
each coordinate is predicted linearly from those already coded in its frame (and from its own last difference), which
leaves about a quarter of it. The remainders are coded with `constriction`'s range coder under two-sided geometric laws,
whose width follows what the run has needed so far. After the keypoints comes the scene's motion
(`avcall.common.scene_coder`).

Everything up to the probabilities is integer arithmetic, and these are multiples of 2**-20 whose sum is 1 exactly: so
the coder's tables do not depend on a machine's `exp` or `log`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import constriction
import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import ProtocolError
from avcall.common.keypoint_statistics import FIRST, LATER, ORDER, Row
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.scene import SceneMotion
from avcall.common.scene_coder import NO_MOTION, Ends, ends_of, motions_of, walk_ends

STEPS = 256
STEP = 1.0 / STEPS
"""Of the keypoint convention: 0.498 pixels at 256, an error of 0.144 pixels rms in each coordinate. A power of two, so
that rounding is exact."""
MAX_FRAMES = 10
MAX_CODED_BYTES = 640
"""More than ten frames of the wildest keypoints need."""
LIMIT = 4 * STEPS
"""Steps; keypoints farther out are clipped to it."""
COPY_BITS = 2
"""A coarse copy has steps of STEP times 2 to the power of this: 2 pixels at 256."""
MAX_COPY_BYTES = 96
"""More than one frame of the wildest keypoints needs."""
_WIDEST = 31
"""Remainders beyond this, in either direction, are coded as an escape and the value itself."""
_ESCAPE = 2 * _WIDEST + 1
_ESCAPED = 4 * LIMIT + 1
"""Values that an escape may be followed by."""
_TOTAL = 1 << 20
_FINE_BITS = 40
_WORDS_AFTER = 4
"""Zero words the decoder sees after the data: the encoder drops the zeros at the end."""
_SHARE_BITS = 6
"""Weights are in 64ths."""
_PRIOR = 1024
"""How long the expected width is believed against the remainders seen: 256ths of a step."""
_RATIOS = (23, 32, 45, 64, 90, 126, 176, 242, 326, 424, 530, 633, 724, 800, 859, 904, 937, 962, 980, 993)
"""Of a law's neighbouring probabilities, in 1,024ths; each law is wider than the one before by the square root of 2."""
_WIDTHS = (14, 19, 27, 38, 54, 76, 108, 152, 215, 304, 431, 609, 861, 1220, 1724, 2435, 3424, 4871, 6929)
"""Where the next law begins: mean sizes in 256ths of a step."""
_WIDER = 4

_Grid: TypeAlias = list[list[int]]
"""Steps, [keypoint][axis]."""
_Code: TypeAlias = Callable[[int, int], int]
"""(remainder, width) to the remainder: codes it, or ignores the argument and decodes it."""


def quantise(keypoints: Keypoints) -> Keypoints:
    """What the other end will have."""
    return _points(_grid(keypoints))


def encode(frames: Sequence[Keypoints], pivot: Keypoints, scenes: Sequence[SceneMotion] = ()) -> bytes:
    """1 to MAX_FRAMES consecutive frames that refer to the pivot with these keypoints, and how the scene has moved in
    each since the pivot (not at all, without `scenes`)."""
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise ValueError(f"{len(frames)} frames in one run")
    return _encode([_grid(frame) for frame in frames], _grid(pivot), _RUN, ends_of(scenes))


def decode(data: bytes, frames: int, pivot: Keypoints) -> tuple[list[Keypoints], list[SceneMotion]]:
    """The frames of a run, float32 (K, 2) each, within the limits of the wire, and the scene's motion in each.

    Raises:
        ProtocolError: bytes that no encoder has made.
    """
    if not 1 <= frames <= MAX_FRAMES or len(data) > MAX_CODED_BYTES:
        raise ProtocolError(f"{len(data)} bytes of coded keypoints for {frames} frames")
    grids, ends = _decode(data, frames, _grid(pivot), _RUN)
    return [_points(grid) for grid in grids], motions_of(ends, frames)


def encode_copy(frame: Keypoints, near: Keypoints) -> bytes:
    """A frame coarsely, as a difference to another one that the other end has too (see `quantise`)."""
    return _encode([_coarse(_grid(frame))], _coarse(_grid(near)), _COPY, NO_MOTION)


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


def _encode(grids: list[_Grid], start: _Grid, statistics: _Statistics, ends: Ends) -> bytes:
    encoder = constriction.stream.queue.RangeEncoder()

    def code(remainder: int, width: int) -> int:
        if abs(remainder) <= _WIDEST:
            encoder.encode(remainder + _WIDEST, _law(width))
        else:
            encoder.encode(_ESCAPE, _law(width))
            encoder.encode(remainder + _ESCAPED // 2, _uniform())
        return remainder

    _walk(len(grids), start, code, grids, statistics)
    if statistics.scene:
        walk_ends(len(grids), code, ends)
    data = encoder.get_compressed().astype(">u4").tobytes()
    return _shortest(data, lambda shorter: _says(shorter, grids, start, statistics, ends))


def _decode(data: bytes, frames: int, start: _Grid, statistics: _Statistics) -> tuple[list[_Grid], Ends]:
    padded = data + bytes(-len(data) % 4 + 4 * _WORDS_AFTER)
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))

    def code(_: int, width: int) -> int:
        symbol = int(decoder.decode(_law(width)))
        return symbol - _WIDEST if symbol != _ESCAPE else int(decoder.decode(_uniform())) - _ESCAPED // 2

    try:
        grids = _walk(frames, start, code, None, statistics)
        return grids, walk_ends(frames, code, None) if statistics.scene else NO_MOTION
    except AssertionError as error:  # the library's word for it
        raise ProtocolError("coded keypoints that no encoder has made") from error


def _shortest(data: bytes, says_the_same: Callable[[bytes], bool]) -> bytes:
    """The fewest first bytes, the last of them possibly one more, that still say the same: whole words are too many."""
    for size in range(max(0, len(data) - 4), len(data)):
        number = int.from_bytes(data[:size], "big")
        for candidate in (number, number + 1):
            if candidate < 256**size and says_the_same(shorter := candidate.to_bytes(size, "big")):
                return shorter
    return data


def _says(data: bytes, grids: list[_Grid], start: _Grid, statistics: _Statistics, ends: Ends) -> bool:
    try:
        return _decode(data, len(grids), start, statistics) == (grids, ends)
    except ProtocolError:
        return False


def _walk(frames: int, start: _Grid, code: _Code, known: list[_Grid] | None, statistics: _Statistics) -> list[_Grid]:
    """Goes through all coordinates in the order of coding; `known` are the frames to encode."""
    found: list[_Grid] = []
    before, last = start, [[0, 0] for _ in range(COUNT)]
    distance, movement = _Need(), _Need()
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


class _Need:
    """How wide the remainders of this run are, compared with the usual."""

    def __init__(self) -> None:
        self._seen = self._usual = _PRIOR

    def width(self, usual: int) -> int:
        """Mean size to expect, in 256ths of a step, where it is usually `usual`."""
        return usual * self._seen // self._usual

    def note(self, size: int, usual: int) -> None:
        self._seen += 256 * size
        self._usual += usual


def _law(width: int) -> Any:
    return _laws()[bisect_left(_WIDTHS, width)]


@cache
def _laws() -> list[Any]:
    wider = (*_RATIOS[_WIDER:], *_RATIOS[-1:] * _WIDER)
    return [_make_law(*ratios) for ratios in zip(_RATIOS, wider, strict=True)]


def _make_law(ratio: int, wider: int) -> Any:
    """Two-sided geometric; an eighth of it is of a wider law, for what comes unexpected."""
    both = zip(_geometric(ratio), _geometric(wider), strict=True)
    shares = [(7 * narrow + wide) // 8 for narrow, wide in both]
    escape = (1 << _FINE_BITS) - 2 * sum(shares) + shares[0]
    counts = [1 + (share * (_TOTAL - _ESCAPE - 1) >> _FINE_BITS) for share in (*shares[:0:-1], *shares, escape)]
    counts[_WIDEST] += _TOTAL - sum(counts)
    return constriction.stream.model.Categorical(np.array(counts, dtype=np.float64) / _TOTAL, perfect=False)


def _geometric(ratio: int) -> list[int]:
    """Probability of each size from 0 to _WIDEST (with one sign), times 2**_FINE_BITS."""
    first = (1024 - ratio << _FINE_BITS) // (1024 + ratio)
    return list(accumulate(range(_WIDEST), lambda before, _: before * ratio >> 10, initial=first))


@cache
def _uniform() -> Any:
    return constriction.stream.model.Uniform(_ESCAPED)


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
