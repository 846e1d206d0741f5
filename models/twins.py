"""Weightless twins of the stages after the reenactor: the honest baseline of every network that replaces one."""

from __future__ import annotations

import cv2
import numpy as np

from avcall.common.keypoints import Image
from avcall.models.interfaces import Guide
from avcall.models.interpolation.checks import check_between


class HoldInterpolator:
    """The nearer of the two pictures; the earlier one half way."""

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        """
        Raises:
            ValueError: not two uint8 RGB pictures of one size, or a fraction outside [0, 1].
        """
        check_between(before, after, fraction)
        return after if fraction > 0.5 else before


class BlendInterpolator:
    """Linear blend of the two pictures."""

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        """
        Raises:
            ValueError: not two uint8 RGB pictures of one size, or a fraction outside [0, 1].
        """
        check_between(before, after, fraction)
        return np.asarray(cv2.addWeighted(before, 1.0 - fraction, after, fraction, 0.0), dtype=np.uint8)


class BicubicSuperResolver:
    """Bicubic enlargement (area averaging where the picture shrinks)."""

    def upscale(self, image: Image, side: int, guide: Guide | None = None) -> Image:
        if image.shape[:2] == (side, side):
            return image
        how = cv2.INTER_CUBIC if side > image.shape[0] else cv2.INTER_AREA
        return np.asarray(cv2.resize(image, (side, side), interpolation=how), dtype=np.uint8)


class IdentityEnhancer:
    """Leaves the picture as it is."""

    def enhance(self, image: Image) -> Image:
        return image
