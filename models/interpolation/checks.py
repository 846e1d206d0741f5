"""What every interpolator asks of its arguments."""

from __future__ import annotations

import numpy as np

from avcall.common.keypoints import Image


def check_between(before: Image, after: Image, fraction: float) -> None:
    """
    Raises:
        ValueError: not two uint8 RGB pictures (H, W, 3) of one size, or a fraction outside [0, 1].
    """
    for image in (before, after):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"interpolation wants uint8 RGB pictures (H, W, 3), not {image.dtype} {image.shape}")
    if before.shape != after.shape:
        raise ValueError(f"interpolation between {before.shape[:2]} and {after.shape[:2]}: give pictures of one size")
    if not 0.0 <= fraction <= 1.0:  # also catches NaN
        raise ValueError(f"interpolation at {fraction} of the way: give 0 to 1")
