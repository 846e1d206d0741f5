"""The triangle sheet that is drawn: the face mesh, strips across its holes, rings of hair, ears and neck around it."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from avcall.common.scene import Similarity
from avcall.models.classical_face import FaceModel, Motion, carry
from avcall.models.classical_openings import fill_corners, fill_triangles, strip_sources
from avcall.models.classical_shapes import OVAL, Array
from avcall.models.face_mesh import POINTS, mesh_triangles

_RINGS = ((1.15, 1.0), (1.4, 0.75), (1.7, 0.3), (2.1, 0.0))
"""(distance from the face's centre relative to its outline, share of the head's motion; the rest is the body's)."""
_RECEDE = 1.0
"""How far the rings go back for each of their steps outward: hair is not in the plane of the face."""
_OWN_REACH = 0.35
"""How far out the rings follow what the face's edge does beyond the head's motion."""
_BEHIND = 10.0
"""Depth of the rings: the face hides them."""
_REACH, _SHARE = np.array(_RINGS).T[:, :, None, None]
_OWN_SHARE = np.maximum(0.0, 1.0 - (_REACH - 1.0) / _OWN_REACH)
_OVAL = np.array(OVAL)
_STANDS = Similarity()

CONSTANTS = (_RINGS, _RECEDE, _OWN_REACH)


@functools.cache
def sheet_triangles() -> NDArray[np.int64]:
    """Corners of each triangle (T, 3), in the vertices of `sheet_vertices`."""
    count = len(OVAL)
    rings = []
    for ring in range(len(_RINGS)):
        inner = list(OVAL) if ring == 0 else [POINTS + (ring - 1) * count + i for i in range(count)]
        outer = [POINTS + ring * count + i for i in range(count)]
        for i in range(count):
            j = (i + 1) % count
            rings += [(inner[i], inner[j], outer[i]), (inner[j], outer[j], outer[i])]
    strips = fill_triangles(POINTS + len(_RINGS) * count)
    return np.concatenate([np.array(rings), np.array(strips), mesh_triangles()])


def sheet_vertices(face: FaceModel, motion: Motion, body: Similarity = _STANDS) -> tuple[Array, Array]:
    """Target (V, 3) and source (V, 2) positions, where the body moves as it does."""
    outline = face.mesh[_OVAL].astype(np.float64)
    centre = outline.sum(axis=0) / len(outline)
    # what the face's edge does of its own (a dropping jaw) takes its surroundings along
    own = motion.moved[_OVAL, :2] - motion.posed[_OVAL, :2]
    skin, strips = strip_sources(face, motion)
    rings = centre + _REACH * (outline - centre)  # (ring, point, 3)
    rings[..., 2] = outline[:, 2] + _RECEDE * face.unit * (_REACH[..., 0] - 1.0)
    shift = (carry(face, motion, rings.reshape(-1, 3)).reshape(rings.shape) - rings)[..., :2]
    shift += _OWN_SHARE * own
    moved_rings = np.empty_like(rings)
    own_place = body.displacement(rings[..., :2])
    moved_rings[..., :2] = rings[..., :2] + own_place + _SHARE * (shift - own_place)
    moved_rings[..., 2] = _BEHIND + np.arange(len(_RINGS))[:, None]
    target = np.concatenate([motion.moved, moved_rings.reshape(-1, 3), motion.moved[fill_corners()]])
    return target, np.concatenate([skin, rings[..., :2].reshape(-1, 2), strips])


def back_to_front(target: Array) -> NDArray[np.int64]:
    """The order (T,) in which to draw the sheet's triangles."""
    a, b, c = sheet_triangles().T
    depth = target[:, 2]
    return np.argsort(-(depth[a] + depth[b] + depth[c]), kind="stable")
