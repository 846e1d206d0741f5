"""A pivot as the classical reenactor prepares it, and which keypoints may drive it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, Image, Keypoints
from avcall.models.classical_borrowed import MouthPose
from avcall.models.classical_face import FaceModel
from avcall.models.classical_mouth import MouthLook
from avcall.models.classical_warp import Map

_EYES_APART = (0.4, 2.5)
"""Driving points whose outer eye corners are closer or farther than this times the pivot's are not believed."""
_REACH = 2.0
"""Nor are points farther out than this (1 is the picture's edge)."""
_OTHER_FACE = 0.35
"""Mean distance between the sender's keypoints and the mesh found in the pivot, in eye distances, from which they are
of two faces."""
CONSTANTS = (_EYES_APART, _OTHER_FACE, _REACH)


@dataclass(frozen=True, slots=True)
class EncodedPivot:
    """A pivot ready to be driven."""

    image: Image
    keypoints: Keypoints
    mouth: MouthPose
    picture: Map
    """`image` as float32 (H, W, 3)."""
    face: MovableFace | None
    """None where the pivot shows no face mesh."""
    small: EncodedPivot | None = None
    """The same at DETAILED_SIDE, of a larger pivot."""
    others: tuple[EncodedPivot, ...] = ()
    """Other pivots whose mouths may be borrowed, the latest last; they have none themselves."""


@dataclass(frozen=True, slots=True)
class MovableFace:
    """What is prepared of a pivot with a face."""

    model: FaceModel
    mouth: MouthLook
    near: tuple[NDArray[np.bool_], ...]
    """Of each hole of the mesh, which of the sheet's triangles are around it."""
    around_mouth: NDArray[np.bool_]
    """Which are as near to the mouth as may be lent."""
    person: Map
    """Masks of `classical_still`."""


def lent(encoded: EncodedPivot, others: tuple[EncodedPivot, ...]) -> EncodedPivot:
    """The pivot with the mouths of those of `others` that have its size; they have none of others themselves."""
    alike = tuple(other for other in others if len(other.image) == len(encoded.image))
    small = encoded.small
    if small is not None:
        small = replace(small, others=tuple(other.small for other in alike if other.small is not None))
    return replace(encoded, others=alike, small=small)


def believable(keypoints: Keypoints, pivot_keypoints: Keypoints) -> bool:
    """Whether `keypoints` make sense as those of the pivot's face, moved."""
    if keypoints.shape != pivot_keypoints.shape or not np.isfinite(keypoints).all() or np.abs(keypoints).max() > _REACH:
        return False
    apart = float(np.linalg.norm(keypoints[EYE_RIGHT] - keypoints[EYE_LEFT]))
    pivot_apart = float(np.linalg.norm(pivot_keypoints[EYE_RIGHT] - pivot_keypoints[EYE_LEFT]))
    return _EYES_APART[0] * pivot_apart < apart < _EYES_APART[1] * pivot_apart


def same_face(keypoints: Keypoints, found: Keypoints) -> bool:
    """Whether the mesh found in the pivot is of the face that the sender measured."""
    if not believable(keypoints, found):
        return False
    apart = float(np.linalg.norm(found[EYE_RIGHT] - found[EYE_LEFT]))
    return float(np.linalg.norm(keypoints - found, axis=1).mean()) < _OTHER_FACE * apart
