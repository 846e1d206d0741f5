"""The triangle sheet that is drawn: the face mesh, strips across its holes, rings of hair, ears and neck around it."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from avcall.models.classical_face import OVAL, Array, FaceModel, Motion
from avcall.models.classical_openings import fill_corners, fill_triangles, strip_sources
from avcall.models.face_mesh import POINTS, mesh_triangles

_RINGS = ((1.12, 0.95), (1.35, 0.6), (1.65, 0.22), (2.0, 0.0))
"""(distance from the face's centre relative to its outline, share of the head's motion)."""
_BEHIND = 10.0
"""Depth of the rings: the face hides them."""

CONSTANTS = (_RINGS,)


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


def sheet_vertices(face: FaceModel, motion: Motion) -> tuple[Array, Array]:
    """Target (V, 3) and source (V, 2) positions."""
    oval = np.array(OVAL)
    outline = face.mesh[oval, :2]
    centre = outline.mean(axis=0)
    shift = motion.moved[oval, :2] - outline
    skin, strips = strip_sources(face, motion)
    rings = [centre + reach * (outline - centre) for reach, _ in _RINGS]
    moved_rings = [ring + share * shift for ring, (_, share) in zip(rings, _RINGS, strict=True)]
    moved_rings = [np.column_stack([ring, np.full(len(oval), _BEHIND + i)]) for i, ring in enumerate(moved_rings)]
    target = np.concatenate([motion.moved, *moved_rings, motion.moved[fill_corners()]])
    return target, np.concatenate([skin, *rings, strips])


def back_to_front(target: Array) -> NDArray[np.int64]:
    """The order (T,) in which to draw the sheet's triangles."""
    return np.argsort(-target[sheet_triangles(), 2].mean(axis=1), kind="stable")
