"""Likeness and motion of a shown video against the original, in numpy and OpenCV alone (no torch, no weights).

Pictures are uint8 (H, W, 3) RGB; a video is a sequence of them, and the two videos of a comparison run frame by frame
in step. Faces are measured in `avcall.models.metrics_face`, perceptual distance in `avcall.models.lpips` and `.dists`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image

Series: TypeAlias = NDArray[np.float64]
"""float64 (T,), one number a frame; NaN where there is nothing to measure."""

FPS = 25.0

MAX_PSNR_DB = 100.0
"""Stands for "the same picture", where the formula gives infinity, so that means stay finite."""
_SSIM_SIDE, _SSIM_SIGMA = 11, 1.5
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
VISIBLE_CHANGE_LEVELS = 4.0
"""A change below this, in levels of 255 averaged over a block of a sixteenth of the picture's width, is called none:
compressed pictures of people who hold still lie below it, an eyelid or a lip that moves lies above."""
_CHANGE_BLOCKS = 16


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


def flicker(video: Sequence[Image]) -> float:
    """Mean |x[t+1] - 2 x[t] + x[t-1]| of the luma over pixels and frames, in levels of 255: how much the change from
    frame to frame itself changes. Steady motion has little, shimmer and jumps have much. NaN below three frames."""
    if len(video) < 3:
        return math.nan
    before, here = (luma(image).astype(np.float32) for image in video[:2])
    total = 0.0
    for image in video[2:]:
        after = luma(image).astype(np.float32)
        total += float(np.abs(after - 2 * here + before).mean())
        before, here = here, after
    return total / (len(video) - 2)


def optical_flow(before: Image, after: Image) -> NDArray[np.float32]:
    """Dense motion (H, W, 2) in pixels from one picture to the next: DIS (Kroeger et al. 2016), OpenCV's medium one."""
    gray = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, after))
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(estimator.calc(*gray, None), dtype=np.float32)  # type: ignore[call-overload]


def flow_difference_px(original: NDArray[np.float32], shown: NDArray[np.float32]) -> float:
    """tOF of one step of time (Chu et al. 2020, section 4.2, with DIS for the flow): the mean over pixels of the
    distance between the two videos' `optical_flow`, in pixels."""
    return float(np.linalg.norm(original - shown, axis=-1).mean())


def step_difference(original_steps: Series, shown_steps: Series) -> float:
    """tLP (Chu et al. 2020, section 4.2): mean over time of |d(x[t], x[t-1]) - d(y[t], y[t-1])|. The arguments are the
    two videos' LPIPS from each measured frame to the one before it; not multiplied by 100."""
    return float(np.abs(original_steps - shown_steps).mean()) if len(original_steps) else math.nan


def visible_change(video: Sequence[Image]) -> Series:
    """How much each frame after the first differs from the one before, (T - 1,), in levels of 255: |difference| of the
    luma averaged over each of 16 x 16 blocks, the largest of them."""
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in video]
    size = (_CHANGE_BLOCKS, _CHANGE_BLOCKS)
    steps = (cv2.absdiff(before, after).astype(np.float32) for before, after in itertools.pairwise(gray))
    blocks = (cv2.resize(step, size, interpolation=cv2.INTER_AREA) for step in steps)
    return np.array([float(block.max()) for block in blocks])


def longest_freeze_s(original_change: Series, shown_change: Series, fps: float = FPS) -> float:
    """The longest stretch in which the shown video does not visibly change, counting only frames at which the original
    does, in seconds. The arguments are `visible_change` of both."""
    longest = current = 0
    for moved, shown in zip(original_change, shown_change, strict=True):
        if shown >= VISIBLE_CHANGE_LEVELS:
            current = 0
        elif moved >= VISIBLE_CHANGE_LEVELS:
            current += 1
            longest = max(longest, current)
    return longest / fps


def worst_second(series: Series, per_second: float, higher_is_worse: bool = True) -> float:
    """The worst mean of `series` over any second, `per_second` being its samples a second; a shorter series counts as
    one stretch. NaN samples are left out; NaN where nothing is left."""
    length = min(len(series), max(1, round(per_second)))
    if length == 0 or np.isnan(series).all():
        return math.nan
    windows = np.lib.stride_tricks.sliding_window_view(series, length)
    # a window that is mostly gaps would let one sample stand for a second
    means = [float(np.nanmean(w)) for w in windows if 2 * np.count_nonzero(~np.isnan(w)) >= length]
    if not means:
        return math.nan
    return max(means) if higher_is_worse else min(means)


def _local_mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel = cv2.getGaussianKernel(_SSIM_SIDE, _SSIM_SIGMA)
    edge = _SSIM_SIDE // 2
    return np.asarray(cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel)[edge:-edge, edge:-edge])


def _check_pair(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} cannot be compared")
