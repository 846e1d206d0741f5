"""Eyes and mouth: the three holes of the mesh, where skin slides over what does not move with it.

Each hole is closed by a strip of triangles with corners of its own, so that lids and lips may come from elsewhere than
what they uncover. Here are the strips, the windows in which they are drawn finely, and the eyes; what is
inside a mouth is in `avcall.models.classical_mouth`.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

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
from avcall.models.classical_warp import Map, Window, sample

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
        if closed == 0.0:
            filled += [above, below]
            continue
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
    now = math.dist(motion.moved[lower, :2], motion.moved[upper, :2])
    own = math.dist(motion.posed[lower, :2], motion.posed[upper, :2])
    return float(smooth((1.0 - now / max(own, 1e-6)) * 1.25))


def hole_window(points: Array, face: FaceModel, hole: int, side: int, margin: float = _MARGIN) -> Window | None:
    """The pixels in and around (to `margin`, in eye distances) a hole of the mesh at `points` (468, 2 or 3); None
    outside the picture."""
    polygon = outline(points, hole)
    margin = margin * face.unit
    low, high = ((polygon.min(axis=0) - margin).tolist(), (polygon.max(axis=0) + margin).tolist())
    left, top = (min(max(math.floor((at + 1.0) * (side - 1) / 2.0), 0), side) for at in low)
    right, bottom = (min(max(math.ceil((at + 1.0) * (side - 1) / 2.0), -1), side - 1) + 1 for at in high)
    if min(right - left, bottom - top) < 2:
        return None
    return Window(top, left, bottom - top, right - left)


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
    result: Map, picture: Map, base: Map, displacement: Map, face: FaceModel, motion: Motion, hole: int
) -> None:
    """Within the moved lids the eye stays with the skull; `displacement` (S, S, 2) there is that of the strip."""
    window = hole_window(motion.moved, face, hole, len(result), margin=0.0)
    if window is None:
        return
    where, stretched = base[window.slices], displacement[window.slices]
    share = depth_share(depth_inside(where, outline(motion.moved, hole)), face.unit * _FEATHER)
    solid = back_to_pivot(where, motion, face, hole) - where
    # opened wider than the pivot's eye there is nothing behind the lid: stretch instead
    upper, lower = CONTOURS[hole]
    down = _unit(face.mesh[lower[4], :2] - face.mesh[upper[4], :2]).astype(np.float32)
    further = np.maximum((stretched - solid) @ down, 0.0)
    eye = sample(picture, where + solid + further[..., None] * down)
    part = result[window.slices]
    part += share[..., None] * (eye - part)


def back_to_pivot(where: Map, motion: Motion, face: FaceModel, hole: int) -> Map:
    """Where `where` (h, w, 2) was in the pivot, moving with the skull: the affine map of the hole's surroundings."""
    at = _SURROUNDINGS[hole]
    design = np.ones((len(at), 3))
    design[:, :2] = motion.posed[at, :2]
    shift = face.mesh[at, :2] - design[:, :2]
    m = np.linalg.solve(design.T @ design + _RIDGE, design.T @ shift).astype(np.float32)
    return np.asarray(where + where[..., :1] * m[0] + where[..., 1:] * m[1] + m[2])


def depth_inside(where: Map, polygon: Array) -> Map:
    """Distance of each of `where` (h, w, 2) to the edge of `polygon` (N, 2), negative outside: (h, w)."""
    edge = np.concatenate([polygon[1:], polygon[:1]]) - polygon
    length = np.sqrt((edge * edge).sum(axis=1))
    x, y = (edge / np.maximum(length, 1e-9)[:, None]).T
    x[length < 1e-9] = 1.0  # a point has the distance of a line of no length in any direction
    from_x, from_y = polygon.T
    # along each edge's line, and away from it, as affine functions of the place
    lines = np.array([[x, y, -x * from_x - y * from_y], [y, -x, x * from_y - y * from_x]], dtype=np.float32)
    places = np.ones((3, where.shape[0] * where.shape[1]), np.float32)
    places[:2] = where.reshape(-1, 2).T
    along, away = lines.transpose(0, 2, 1) @ places
    beyond = along - np.minimum(np.maximum(along, 0.0), length.astype(np.float32)[:, None])
    distance = np.sqrt((away * away + beyond * beyond).min(axis=0))
    # a ray to the right crosses the edge an odd number of times from inside
    above = places[1] < from_y.astype(np.float32)[:, None]
    hits = (above != np.concatenate([above[1:], above[:1]])) & ((away < 0.0) == (y > 0.0)[:, None])
    inside = np.logical_xor.reduce(hits, axis=0)
    return np.asarray(np.where(inside, distance, -distance).reshape(where.shape[:2]), dtype=np.float32)


def depth_share(depth: Map, whole: float) -> Map:
    """`depth` as a share of what counts as `whole`, 0 to 1."""
    return np.minimum(np.maximum(depth * np.float32(1.0 / whole), 0.0), 1.0)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / (math.hypot(*vector.tolist()) + 1e-9))
