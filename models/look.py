"""How far one picture looks from another, cheaply: a hundred microseconds where LPIPS takes a hundred milliseconds.

Gradient magnitude similarity (Xue et al., "Gradient magnitude similarity deviation", IEEE Transactions on Image
Processing, 2014) of the lumas at SIDE x SIDE pixels, averaged. On animations of val clips it ranked pictures of a clip
more as LPIPS-alex does than the mean absolute difference did, and much more than the distance of keypoints.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image

SIDE = 64
_STEADY = 170.0
"""The paper's constant for 8-bit pictures."""


def small_luma(image: Image) -> NDArray[np.float32]:
    """uint8 (H, W, 3) RGB as float32 (SIDE, SIDE) luma in [0, 255]."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def flaw(shown: NDArray[np.float32], original: NDArray[np.float32]) -> float:
    """0 where two results of `small_luma` are the same, up to 1."""
    a, b = _gradient(shown), _gradient(original)
    similarity = (2 * a * b + _STEADY) / (a * a + b * b + _STEADY)
    return float(1.0 - similarity.mean())


def _gradient(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(across, down) / 4.0, dtype=np.float32)
