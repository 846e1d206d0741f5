"""The dense part: a triangle mesh becomes a backward map, a backward map moves a picture.

Positions are (x, y) in the keypoint convention (`align_corners=True`). All of it is done by numpy and OpenCV on the
CPU, whatever device the picture is for: of maps this small, an operation on a GPU costs more to begin than to do here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from avcall.models.classical_shapes import Array

Map: TypeAlias = NDArray[np.float32]
"""A picture (H, W, C) in about [0, 255], positions or displacements (h, w, 2), or shares (h, w) in [0, 1]."""
Mask: TypeAlias = NDArray[np.bool_]

_ZERO = np.float32(0.0)


def base_grid(side: int) -> Map:
    """Every pixel's own position, (side, side, 2)."""
    line = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    planes: Map = np.stack(np.meshgrid(line, line))  # as OpenCV wants them
    return planes.transpose(1, 2, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels in a square picture."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True, slots=True)
class Drawing:
    """Triangles (T, 3) to be drawn in a window of a `side` x `side` grid."""

    triangles: NDArray[np.int64]
    side: int
    window: Window


def mesh_displacement(
    target: Array, source: Array, triangles: NDArray[np.int64], side: int, window: Window | None = None
) -> tuple[Map, Mask]:
    """Where each pixel of a `side` x `side` grid comes from, minus where it is: (side, side, 2), and which pixels lie
    in some triangle: (side, side). With `window`, only that part of the grid.

    `target` and `source` (V, 2) are the corners' new and old positions. Where triangles overlap (a fold, a cheek
    behind a nose) the later one in `triangles` (T, 3) wins; where there is none the displacement is zero.
    """
    return mesh_displacements(target, source, [Drawing(triangles, side, window or Window(0, 0, side, side))])[0]


def mesh_displacements(target: Array, source: Array, drawings: Sequence[Drawing]) -> list[tuple[Map, Mask]]:
    """As `mesh_displacement`, several at once: each operation costs more to begin than to do."""
    windows = [drawing.window for drawing in drawings]
    starts = [0, *itertools.accumulate(window.height * window.width for window in windows)]
    places = [
        ((drawing.side - 1) / 2.0, window.left, window.top, window.width - 1, window.height - 1, window.width, start)
        for drawing, window, start in zip(drawings, windows, starts, strict=False)
    ]
    of_each = np.array(places, np.float32).T.repeat([len(drawing.triangles) for drawing in drawings], axis=1)
    triangles = np.ascontiguousarray(np.concatenate([drawing.triangles for drawing in drawings]).T)  # (3, T)

    # (2, 3, T), in the window's pixels
    corners = _picked(_planes(target + 1.0), triangles)
    corners *= of_each[0]
    corners -= of_each[1:3, None]
    low = np.maximum(np.ceil(corners.min(axis=1)), 0.0)
    high = np.minimum(np.floor(corners.max(axis=1)), of_each[3:5])
    (abx, aby), (acx, acy) = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    twice_area = abx * acy - aby * acx
    seen = np.flatnonzero((low <= high).all(axis=0) & (np.abs(twice_area) > 1e-4))
    table = np.stack([*corners[:, 0], abx, aby, acx, acy, twice_area, *low, *high, *of_each[5:]])
    ax, ay, abx, aby, acx, acy, twice_area, low_x, low_y, high_x, high_y, width, start = _picked(table, seen)
    # the barycentric coordinates of A, B and C as affine functions of the pixel: slopes in x and y, value at (0, 0)
    of_b = np.stack([acy, -acx, acx * ay - acy * ax]) / twice_area
    of_c = np.stack([-aby, abx, aby * ax - abx * ay]) / twice_area
    of_a = -of_b - of_c
    of_a[2] += 1.0

    box = np.stack([low_x, low_y, high_x, high_y])
    winner = _winners(np.stack([of_a, of_b, of_c], axis=1), box, width, start, starts[-1])

    # within a triangle the displacement is affine
    moved = _picked(_planes(source - target), np.take(triangles, seen, axis=1))
    affine = np.zeros((2, 3, len(seen) + 1), np.float32)
    affine[:, :, 1:] = (moved[:, 1] - moved[:, 0])[:, None] * of_b + (moved[:, 2] - moved[:, 0])[:, None] * of_c
    affine[:, 2, 1:] += moved[:, 0]
    chosen = _picked(affine, winner)
    drawn = []
    for window, begin_at, end_at in zip(windows, starts[:-1], starts[1:], strict=True):
        shape = (window.height, window.width)
        slopes = chosen[:, :, begin_at:end_at].reshape(2, 3, *shape)
        field = slopes[:, 2]
        slopes[:, 0] *= np.arange(window.width, dtype=np.float32)
        slopes[:, 1] *= np.arange(window.height, dtype=np.float32)[:, None]
        field += slopes[:, 0]
        field += slopes[:, 1]
        drawn.append((field.transpose(1, 2, 0), (winner[begin_at:end_at] > 0).reshape(shape)))
    return drawn


def _winners(barycentric: Map, box: Map, width: Map, start: Map, pixels: int) -> NDArray[np.int64]:
    """Which triangle is seen at each of `pixels` places, counted from 1; 0 where there is none.

    `barycentric` (3, 3, T): slope in x, slope in y and value at (0, 0), by corner; `box` (4, T): the first and last
    pixels that may lie within, x and y; `width` and `start` (T,) are those of the window that a triangle is drawn in.
    """
    along, down, value = barycentric
    low_x, low_y, high_x, high_y = box
    along = np.where(np.abs(along) < 1e-7, np.float32(1e-7), along)  # an edge along a row bounds all of it or nothing
    # every row of every triangle: it begins where those coordinates that rise become positive, and ends where those
    # that fall cease to be (one or two of the three do either)
    slope, end = -down / along, (np.float32(-1e-3) - value) / along
    end += slope * low_y
    rises = along > 0.0
    from_slope, to_slope = np.where(rises, slope, _ZERO), np.where(rises, _ZERO, slope)
    from_x, to_x = np.where(rises, end, low_x), np.where(rises, high_x, end)
    rows = (high_y - low_y).astype(np.int64) + 1
    owner = np.arange(len(rows)).repeat(rows)
    row = (np.arange(len(owner)) - (rows.cumsum() - rows).repeat(rows)).astype(np.float32)
    table = _picked(np.concatenate([from_slope, from_x, to_slope, to_x, [low_y * width + start, width]]), owner)
    first = np.ceil((table[:3] * row + table[3:6]).max(axis=0))
    last = np.floor((table[6:9] * row + table[9:12]).min(axis=0))
    # every pixel of every such row, as one ragged list; of equal places the last assignment counts
    count = np.maximum(last - first + 1.0, 0.0).astype(np.int64)
    begin = (row * table[13] + table[12] + first).astype(np.int64)
    pixel = (begin - count.cumsum() + count).repeat(count)
    pixel += np.arange(len(pixel))
    winner = np.zeros(pixels, np.int64)
    winner[pixel] = (owner + 1).repeat(count)
    return winner


def _planes(points: Array) -> Map:
    """Points (V, 2) as rows of x and y."""
    return np.ascontiguousarray(points.T, dtype=np.float32)


def _picked(table: Map, at: NDArray[np.int64]) -> Map:
    """`table` (..., T) at columns `at`, of any shape: torch takes half the time of numpy."""
    rows = torch.from_numpy(table).flatten(0, -2)
    picked = rows.index_select(1, torch.from_numpy(at).flatten()).numpy()
    return np.asarray(picked.reshape(*table.shape[:-1], *at.shape))


def enlarge(displacement: Map, side: int) -> Map:
    """Displacement (g, g, 2) bilinearly at `side`."""
    if len(displacement) == side:
        return displacement
    planes = torch.from_numpy(displacement).permute(2, 0, 1)[None]
    larger = F.interpolate(planes, size=(side, side), mode="bilinear", align_corners=True)
    return np.asarray(larger[0].permute(1, 2, 0).numpy())


def sample(picture: Map, where: Map, interpolation: int = cv2.INTER_CUBIC) -> Map:
    """`picture` (H, W) or (H, W, C) at the positions `where` (h, w, 2), bicubic, clamped at the border. OpenCV takes
    positions to the 32nd of a pixel."""
    height, width = picture.shape[:2]
    x, y = (where[..., i] * np.float32((size - 1) / 2.0) for i, size in enumerate((width, height)))
    x += np.float32((width - 1) / 2.0)
    y += np.float32((height - 1) / 2.0)
    return np.asarray(cv2.remap(picture, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
