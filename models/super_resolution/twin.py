"""Enlarging without a network, with a reference: the moved pixels of a large pivot where they can be believed."""

from __future__ import annotations

import cv2
import numpy as np

from avcall.common.keypoints import Image
from avcall.models.interfaces import Guide
from avcall.models.twins import BicubicSuperResolver

_NEAR = 5
"""Side in pixels of the small picture's neighbourhood over which likeness is averaged."""
_UNLIKE = 16.0
"""Difference in levels of 255 from which two places show different things."""


class BlendSuperResolver:
    """The weightless twin: bicubic enlargement, and the reference where both look alike at the picture's size."""

    def upscale(self, image: Image, side: int, guide: Guide | None = None) -> Image:
        enlarge = BicubicSuperResolver().upscale
        enlarged = enlarge(image, side)
        reference = None if guide is None else guide.reference
        if reference is None or min(len(reference), side) <= len(image):
            return enlarged
        return blend(image, enlarged, enlarge(reference, side))


def blend(image: Image, enlarged: Image, reference: Image) -> Image:
    """`reference` (S, S, 3) where, reduced, it is like `image` (s, s, 3), and elsewhere `enlarged` (S, S, 3)."""
    reduced = cv2.resize(reference, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    red, green, blue = cv2.split(cv2.absdiff(image, np.asarray(reduced, dtype=np.uint8)))
    gap = cv2.blur(cv2.max(cv2.max(red, green), blue), (_NEAR, _NEAR)).astype(np.float32)
    alike = np.clip(1.0 - gap / _UNLIKE, 0.0, 1.0).astype(np.float32)
    share = np.asarray(cv2.resize(alike, enlarged.shape[1::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return np.asarray(cv2.blendLinear(reference, enlarged, share, 1.0 - share), dtype=np.uint8)
