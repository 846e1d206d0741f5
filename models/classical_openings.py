"""Eyes and mouth: the three holes of the mesh, where skin slides over what does not move with it.

Each hole is closed by a strip of triangles with corners of its own, so that lids and lips may come from elsewhere than
what they uncover. Here are the strips, the windows in which they are drawn finely, and the eyes; what is
inside a mouth is in `avcall.models.classical_mouth`.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.models.classical_face import FaceModel, Motion
from avcall.models.classical_shapes import (
    BROWS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LIDS,
    LOWER_LIDS,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    UPPER_LIDS,
    Array,
    smooth,
)
from avcall.models.classical_warp import Window, sample

CONTOURS = (*LIDS, (INNER_UPPER_LIP, INNER_LOWER_LIP))
"""(upper, lower) contour of left eye, right eye, mouth."""
_CONTOURS = tuple((np.array(upper), np.array(lower)) for upper, lower in CONTOURS)
_OUTLINES = tuple(np.array(upper + lower[-2:0:-1]) for upper, lower in CONTOURS)
MOUTH = 2
_SURROUNDINGS = (
    np.array((*UPPER_LIDS[0], *LOWER_LIDS[0], *BROWS[0])),
    np.array((*UPPER_LIDS[1], *LOWER_LIDS[1], *BROWS[1])),
    np.array((*OUTER_UPPER_LIP, *OUTER_LOWER_LIP, 2, 164, 18, 200)),
)
_FEATHER = 0.02
"""Softness of the edge of an eye, in outer-eye-corner distances."""
_TRIM = ((0.0, 0.012), (0.0, 0.012), (0.03, 0.03))
"""How much of the upper and lower edge is taken off a closing hole's skin, in eye distances: the mesh is not exact, and
a rim of eye white or tooth on a closed lid shows."""
_NEAR, _MARGIN = 0.3, 0.08
"""How far about a hole triangles are drawn finely, and how far pixels are, in eye distances."""

_RIDGE = 1e-12 * np.eye(3)
"""Keeps the affine map of surroundings that have collapsed into a line solvable."""

CONSTANTS = (_FEATHER, _TRIM, _NEAR, _MARGIN)


@functools.cache
def fill_corners() -> NDArray[np.int64]:
    """Mesh index of each of the strips' own corners (58): upper then lower contour of each hole."""
    return np.array([index for upper, lower in CONTOURS for index in (*upper, *lower)])


def fill_triangles(first: int) -> list[tuple[int, int, int]]:
    """The strips, in corners counted from `first` in the order of `fill_corners`."""
    strip = []
    for upper, _ in CONTOURS:
        count = len(upper)
        for i in range(count - 1):
            if i > 0:
                strip.append((first + i, first + i + 1, first + count + i))
            if i < count - 2:
                strip.append((first + i + 1, first + count + i + 1, first + count + i))
        first += 2 * count
    return strip


def strip_sources(face: FaceModel, motion: Motion) -> tuple[Array, Array]:
    """Where the skin of the mesh (468, 2) and the strips' corners (58, 2) come from in the pivot.

    As a hole closes, its rims are trimmed and the strip between takes on the colour of a rim, so that no eye or
    tooth shines through the seam.
    """
    skin = face.mesh[:, :2].astype(np.float64)
    filled = []
    for hole, ((upper, lower), (trim_upper, trim_lower)) in enumerate(zip(_CONTOURS, _TRIM, strict=True)):
        above, below = skin[upper], skin[lower]
        middle = len(upper) // 2
        closed = closing(face, motion, upper[middle], lower[middle])
        down = _unit(below[middle] - above[middle])
        trimmed_above = above - down * (trim_upper * closed * face.unit)
        trimmed_below = below + down * (trim_lower * closed * face.unit)
        skin[upper[1:-1]] = trimmed_above[1:-1]
        skin[lower[1:-1]] = trimmed_below[1:-1]
        rim = trimmed_below if hole == MOUTH else trimmed_above
        filled += [above + closed * (rim - above), below + closed * (rim - below)]
    return skin, np.concatenate(filled)


def closing(face: FaceModel, motion: Motion, upper: int, lower: int) -> float:
    """0 where the hole is as open as in the pivot or more, 1 where it is shut."""
    now = np.linalg.norm(motion.moved[lower, :2] - motion.moved[upper, :2])
    own = np.linalg.norm(motion.posed[lower, :2] - motion.posed[upper, :2])
    return float(smooth(np.array((1.0 - now / max(float(own), 1e-6)) * 1.25)))


def hole_window(points: Array, face: FaceModel, hole: int, side: int, margin: float = _MARGIN) -> Window | None:
    """The pixels in and around (to `margin`, in eye distances) a hole of the mesh at `points` (468, 2 or 3); None
    outside the picture."""
    polygon = outline(points, hole)
    margin = margin * face.unit
    low = np.floor((polygon.min(axis=0) - margin + 1.0) * (side - 1) / 2.0).astype(int).clip(0, side)
    high = np.ceil((polygon.max(axis=0) + margin + 1.0) * (side - 1) / 2.0).astype(int).clip(-1, side - 1) + 1
    if (high - low < 2).any():
        return None
    return Window(int(low[1]), int(low[0]), int(high[1] - low[1]), int(high[0] - low[0]))


def near_triangles(
    face: FaceModel, triangles: NDArray[np.int64], vertices: Array, hole: int, further: float = 0.0
) -> NDArray[np.bool_]:
    """Which of `triangles` (T, 3) may show in the hole's window, or in one larger by `further` eye distances."""
    polygon = outline(face.mesh, hole)
    reach = (_NEAR + further) * face.unit
    corners = vertices[triangles]
    near = (corners.max(axis=1) > polygon.min(axis=0) - reach) & (corners.min(axis=1) < polygon.max(axis=0) + reach)
    return np.asarray(near.all(axis=1))


def outline(points: Array, hole: int) -> Array:
    """The hole's edge as a polygon (N, 2)."""
    return points[_OUTLINES[hole], :2]


def paint_eye(
    result: Tensor, picture: Tensor, base: Tensor, displacement: Tensor, face: FaceModel, motion: Motion, hole: int
) -> None:
    """Within the moved lids the eye stays with the skull; `displacement` (S, S, 2) there is that of the strip."""
    window = hole_window(motion.moved, face, hole, result.shape[-1], margin=0.0)
    if window is None:
        return
    rows, columns = window.slices
    where, stretched = base[rows, columns], displacement[rows, columns]
    share = depth_inside(where, outline(motion.moved, hole)).div_(face.unit * _FEATHER).clamp_(0.0, 1.0)
    solid = back_to_pivot(where, motion, face, hole) - where
    # opened wider than the pivot's eye there is nothing behind the lid: stretch instead
    upper, lower = CONTOURS[hole]
    down = torch.tensor(_unit(face.mesh[lower[4], :2] - face.mesh[upper[4], :2]), dtype=torch.float32).to(base.device)
    further = ((stretched - solid) * down).sum(-1).clamp_(min=0.0)
    eye = sample(picture, where + solid + further[..., None] * down)
    result[:, rows, columns] += share * (eye - result[:, rows, columns])


def back_to_pivot(where: Tensor, motion: Motion, face: FaceModel, hole: int) -> Tensor:
    """Where `where` (h, w, 2) was in the pivot, moving with the skull: the affine map of the hole's surroundings."""
    at = _SURROUNDINGS[hole]
    moved = motion.posed[at, :2]
    design = np.concatenate([moved, np.ones((len(at), 1))], axis=1)
    matrix = np.linalg.solve(design.T @ design + _RIDGE, design.T @ (face.mesh[at, :2] - moved))
    m = torch.tensor(matrix, dtype=torch.float32, device=where.device)
    return where + where[..., :1] * m[0] + where[..., 1:] * m[1] + m[2]


def depth_inside(where: Tensor, polygon: Array) -> Tensor:
    """Distance of each of `where` (h, w, 2) to the edge of `polygon` (N, 2), negative outside: (h, w)."""
    p = torch.tensor(polygon, dtype=torch.float32, device=where.device)[:, :, None, None]
    edge = torch.roll(p, -1, dims=0) - p
    ex, ey = edge[:, 0], edge[:, 1]
    x, y = where[..., 0] - p[:, 0], where[..., 1] - p[:, 1]  # (N, h, w)
    along = ((x * ex + y * ey) / (ex * ex + ey * ey).clamp(min=1e-12)).clamp_(0.0, 1.0)
    distance = ((x - along * ex).square_() + (y - along * ey).square_()).amin(0).sqrt_()
    # a ray to the right crosses the edge an odd number of times from inside
    spans = (y < 0.0) != (y < ey)
    hits = spans & ((x * ey - y * ex < 0.0) == (ey > 0.0))
    return torch.where(hits.sum(0) % 2 == 1, distance, -distance)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-9))
