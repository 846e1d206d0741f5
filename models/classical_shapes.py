"""The shapes in which a face moves, made from one mesh: what follows the jaw, a lip, a lid, and how far.

"Frontal" positions are the mesh turned to face the viewer: origin between the outer eye corners, their distance 1,
x to the image's right, y down, z away from the viewer.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import (
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MESH_INDICES,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE,
    UPPER_LIP,
)

Array: TypeAlias = NDArray[np.floating[Any]]

OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# two rings each, the outer one first, in step with the contours' inner points
UPPER_LIP_BODY = (184, 74, 73, 72, 11, 302, 303, 304, 408, 183, 42, 41, 38, 12, 268, 271, 272, 407)
LOWER_LIP_BODY = (77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325)
UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
LOWER_LIDS = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))
LIDS = tuple(zip(UPPER_LIDS, LOWER_LIDS, strict=True))
BROWS = ((70, 63, 105, 66, 107), (300, 293, 334, 296, 336))
_OVAL_LEFT = (109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148)
_OVAL_RIGHT = (338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
OVAL = (10, *_OVAL_RIGHT, 152, *_OVAL_LEFT[::-1])
"""Contours by mesh index, each upper one in step with its lower one; left is the image's left."""

BROAD = (EYE_LEFT, EYE_RIGHT, NOSE, MOUTH_LEFT, MOUTH_RIGHT, CHIN)
"""The keypoints whose remainders are spread smoothly."""
_KERNELS = ((1.0, 0.8), (1.0, 0.3))
"""(variance, length in face units) of the covariances that spread them."""
_GRAZING, _HOLD_REACH = 0.4, 0.06
"""Cosine to the line of sight below which a pivot's skin is not worth showing more of; what is near, in face units."""

SHAPE_CONSTANTS = (BROAD, _KERNELS, _GRAZING, _HOLD_REACH)


def frontal(mesh: Array) -> Array:
    """The mesh turned to face the viewer: origin between the outer eye corners, their distance 1, y down."""
    across = mesh[263] - mesh[33]
    unit = np.linalg.norm(across)
    x = across / unit
    down = mesh[152] - mesh[10]
    y = down - (down @ x) * x
    y /= np.linalg.norm(y)
    axes = np.stack([x, y, np.cross(x, y)])
    return np.asarray((mesh - (mesh[33] + mesh[263]) / 2.0) @ axes.T / unit)


def held_depth(mesh: Array, face: Array) -> Array:
    """Sides that face the viewer less than `_GRAZING` (the head being a cylinder) take the depth of the nearest
    places that do not."""
    axis_depth = (face[234, 2] + face[454, 2]) / 2.0
    angle = np.arctan2(face[:, 0], np.maximum(axis_depth - face[:, 2], 0.05))
    across = (mesh[263] - mesh[33]) / np.linalg.norm(mesh[263] - mesh[33])
    turn = np.arctan2(across[2], across[0])
    facing = np.cos(angle + turn)
    seen = facing >= _GRAZING
    held = mesh[:, 2].copy()
    for side in (-1.0, 1.0):
        of_side = np.sign(face[:, 0]) == side
        hidden, shown = np.flatnonzero(of_side & ~seen), np.flatnonzero(of_side & seen)
        if len(hidden) and len(shown):
            apart = (face[hidden, None, :2] - face[None, shown, :2]) / _HOLD_REACH
            square = (apart**2).sum(axis=2)
            weight = np.exp(square.min(axis=1, keepdims=True) - square)
            held[hidden] = np.minimum(held[hidden], (weight * mesh[shown, 2]).sum(axis=1) / weight.sum(axis=1))
    return held


def jaw_shape(mesh: Array, face: Array) -> Array:
    """Turning about the axis through the jaw's joints (before the ears), fading from the mouth's line upwards."""
    left, right = mesh[132], mesh[361]
    axis = (right - left) / np.linalg.norm(right - left)
    joint = (mesh[234] + mesh[454]) / 2.0
    turn = np.cross(axis, mesh - joint)
    mouth = (face[61, 1] + face[291, 1]) / 2.0
    chin = face[152, 1]
    share = smooth((face[:, 1] - mouth) / (chin - mouth) / 0.45 + 0.35)
    share *= 1.0 - smooth((np.abs(face[:, 0]) - 0.45) / 0.35)
    share[list(INNER_UPPER_LIP + OUTER_UPPER_LIP + UPPER_LIP_BODY)] = 0.0
    lower = np.array(INNER_LOWER_LIP[1:-1] + OUTER_LOWER_LIP[1:-1] + LOWER_LIP_BODY)
    half = abs(face[291, 0] - face[61, 0]) / 2.0
    off = (face[lower, 0] - (face[61, 0] + face[291, 0]) / 2.0) / half
    share[lower] = np.maximum(0.0, 1.0 - off**2) ** 0.6
    # which way about the axis opens the jaw: the chin must go down, away from the eyes
    sign = np.sign(turn[152] @ (mesh[152] - mesh[10]))
    return np.asarray(sign * turn * share[:, None])


def broad_weights(face: Array) -> Array:
    at = face[[MESH_INDICES[i] for i in BROAD]]

    def covariance(a: Array, b: Array) -> Array:
        square = ((a[:, None] - b[None]) ** 2).sum(axis=2)
        return np.asarray(sum(v * np.exp(-square / (2.0 * length**2)) for v, length in _KERNELS))

    return np.asarray(np.linalg.solve(covariance(at, at), covariance(at, face)).T)


def lip_weights(face: Array) -> Array:
    """A lip moves most in its middle and not at its corners, and takes the skin up to the nose or down to the chin
    along."""
    weights = np.zeros((len(face), 2))
    centre = (face[61, 0] + face[291, 0]) / 2.0
    half = abs(face[291, 0] - face[61, 0]) / 2.0
    profile = np.maximum(0.0, 1.0 - (np.abs(face[:, 0] - centre) / half) ** 2.2)
    for column, (inner, outer, body, sign, reach) in enumerate(
        (
            (INNER_UPPER_LIP, OUTER_UPPER_LIP, UPPER_LIP_BODY, -1.0, 0.25),
            (INNER_LOWER_LIP, OUTER_LOWER_LIP, LOWER_LIP_BODY, 1.0, 0.35),
        )
    ):
        order = np.argsort(face[list(inner), 0])
        line = np.interp(face[:, 0], face[list(inner), 0][order], face[list(inner), 1][order])
        beyond = sign * (face[:, 1] - line)
        weights[:, column] = profile * np.where(beyond < -0.01, 0.0, 1.0 - smooth(beyond / reach))
        whole = [*inner[1:-1], *outer[1:-1], *body]
        weights[whole, column] = profile[whole] * (1.0 - smooth(np.maximum(beyond[whole], 0.0) / reach))
    for lip, other in ((INNER_UPPER_LIP + UPPER_LIP_BODY, 1), (INNER_LOWER_LIP + LOWER_LIP_BODY, 0)):
        weights[list(lip), other] = 0.0
    return _normalised(weights, (UPPER_LIP, LOWER_LIP))


def lid_weights(face: Array) -> Array:
    """A lid moves as an arc between its corners; the skin above follows less and less up to the brow."""
    weights = np.zeros((len(face), 2))
    for column, (upper, lower, brow) in enumerate(zip(UPPER_LIDS, LOWER_LIDS, BROWS, strict=True)):
        arc = face[list(upper)]
        order = np.argsort(arc[:, 0])
        ends = (arc[0, 0] + arc[-1, 0]) / 2.0, abs(arc[-1, 0] - arc[0, 0]) / 2.0
        profile = np.maximum(0.0, 1.0 - (np.abs(face[:, 0] - ends[0]) / ends[1]) ** 2)
        line = np.interp(face[:, 0], arc[order, 0], arc[order, 1])
        reach = max(0.05, float(np.median(face[list(upper), 1]) - np.median(face[list(brow), 1]))) * 0.65
        above = line - face[:, 1]
        weights[:, column] = profile * np.where(above < -0.004, 0.0, 1.0 - smooth(above / reach))
        weights[list(upper), column] = profile[list(upper)]
        weights[list(lower), column] = 0.0
    return _normalised(weights, (LID_LEFT, LID_RIGHT))


def _normalised(weights: Array, points: tuple[int, int]) -> Array:
    """Scales each column to 1 at its own driven point and takes it off the other driven points."""
    for column, point in enumerate(points):
        top = weights[MESH_INDICES[point], column]
        weights[:, column] /= max(float(top), 0.2)
        for other, index in enumerate(MESH_INDICES):
            weights[index, column] = 1.0 if other == point else 0.0
    return np.clip(weights, 0.0, 1.2)


def smooth(x: Array | float) -> Array:
    """0 below 0, 1 above 1, an S between."""
    t = np.minimum(np.maximum(x, 0.0), 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))
