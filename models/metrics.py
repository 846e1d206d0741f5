"""Likeness and motion of a shown video against the original, in numpy and OpenCV alone (no torch, no weights).

Pictures are uint8 (H, W, 3) RGB; a video is a sequence of them, and the two videos of a comparison run frame by frame
in step. Faces are measured in `avcall.models.metrics_face`, perceptual distance in `avcall.models.lpips` and `.dists`.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image

Series: TypeAlias = NDArray[np.float64]
"""float64 (T,), one number a frame."""

MAX_PSNR_DB = 100.0
"""Stands for "the same picture", where the formula gives infinity, so that means stay finite."""
_SSIM_SIDE, _SSIM_SIGMA = 11, 1.5
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio over all pixels and channels, 10 log10(255^2 / mean (a - b)^2), in dB; at most
    MAX_PSNR_DB. Pictures of two sizes raise ValueError."""
    _check_pair(a, b)
    error = float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())
    return MAX_PSNR_DB if error == 0 else min(MAX_PSNR_DB, 10.0 * float(np.log10(255.0**2 / error)))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity of the luma, 1 for the same picture (Wang et al. 2004, equation 13, K1 = 0.01, K2 = 0.03).

    The local statistics are weighted by an 11x11 Gaussian of sigma 1.5 and taken where it lies inside the picture.
    Pictures of two sizes, or smaller than the window, raise ValueError.
    """
    _check_pair(a, b)
    if min(a.shape[:2]) < _SSIM_SIDE:
        raise ValueError(f"SSIM needs pictures of at least {_SSIM_SIDE}x{_SSIM_SIDE}, not {a.shape[:2]}")
    x, y = luma(a), luma(b)
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    variance_x = _local_mean(x * x) - mean_x**2
    variance_y = _local_mean(y * y) - mean_y**2
    covariance = _local_mean(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    likeness /= (mean_x**2 + mean_y**2 + _SSIM_C1) * (variance_x + variance_y + _SSIM_C2)
    return float(likeness.mean())


def luma(image: Image) -> NDArray[np.float64]:
    """Brightness (H, W) in [0, 255], weighted as in BT.601, not rounded."""
    weighted: NDArray[np.float64] = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return weighted


def _local_mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel = cv2.getGaussianKernel(_SSIM_SIDE, _SSIM_SIGMA)
    edge = _SSIM_SIDE // 2
    return np.asarray(cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel)[edge:-edge, edge:-edge])


def _check_pair(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} cannot be compared")
