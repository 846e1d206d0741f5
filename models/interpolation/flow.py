"""Interpolation without weights: dense optical flow, both pictures moved to the time in between and blended.

Flow is DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016), OpenCV's ultrafast preset, in
both directions; the motion at a time in between is put together from the two as in Jiang et al., "Super SloMo", CVPR
2018, equation 4. It is the network's twin, and its first guess.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image
from avcall.models.interpolation.checks import check_between

Floats: TypeAlias = NDArray[np.float32]
LARGEST_SIDE = 384
"""The motion of larger pictures is found at WORKING_SIDE, and their own pixels are moved by it."""
WORKING_SIDE = 256
_SMALLEST_SIDE = 32
"""Of what DIS can look at; smaller pictures are enlarged for it."""


class FlowInterpolator:
    """Pictures of any size."""

    def __init__(self) -> None:
        self._estimator = flow_estimator()

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        """The picture at `fraction` in [0, 1] of the way; at 0 and 1 the pictures themselves.

        Raises:
            ValueError: not two uint8 RGB pictures of one size, or a fraction outside [0, 1].
        """
        check_between(before, after, fraction)
        if fraction in (0.0, 1.0):
            return (after if fraction else before).copy()
        size = working_size(before)
        forth, back = both_flows(self._estimator, resized(before, size), resized(after, size))
        motion = (fraction * back - (1.0 - fraction) * forth).astype(np.float32)
        motion = enlarged_flow(motion, before.shape[1::-1])
        shown = moved(before, fraction * motion), moved(after, (fraction - 1.0) * motion)
        return np.asarray(cv2.addWeighted(shown[0], 1.0 - fraction, shown[1], fraction, 0.0), dtype=np.uint8)


def flow_estimator() -> cv2.DISOpticalFlow:
    """The one that network and twin share; it is no two threads' at once."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)


def both_flows(estimator: cv2.DISOpticalFlow, before: Image, after: Image) -> tuple[Floats, Floats]:
    """Where the places (H, W, 2) of each picture have gone in the other one, in pixels: forth, and back."""
    first, second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, after))
    forth = estimator.calc(first, second, None)  # type: ignore[call-overload]
    back = estimator.calc(second, first, None)  # type: ignore[call-overload]
    return np.asarray(forth, dtype=np.float32), np.asarray(back, dtype=np.float32)


def coarse_flows(estimator: cv2.DISOpticalFlow, before: Image, after: Image, scale: int) -> Floats:
    """The network's first guess (4, H/scale, W/scale) of two pictures (H, W, 3), in pixels: forth and back, (x, y)."""
    size = before.shape[1] // scale, before.shape[0] // scale
    flows = (cv2.resize(flow, size, interpolation=cv2.INTER_AREA) for flow in both_flows(estimator, before, after))
    return np.ascontiguousarray(np.concatenate(list(flows), -1).transpose(2, 0, 1), dtype=np.float32)


def working_size(image: Image) -> tuple[int, int]:
    """(width, height) at which motion is found."""
    height, width = image.shape[:2]
    longest = max(height, width)
    share = 1.0 if longest <= LARGEST_SIDE else WORKING_SIDE / longest
    return max(_SMALLEST_SIDE, round(width * share)), max(_SMALLEST_SIDE, round(height * share))


def resized(image: Image, size: tuple[int, int]) -> Image:
    """At (width, height)."""
    if image.shape[1::-1] == size:
        return image
    how = cv2.INTER_AREA if image.shape[1] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def enlarged_flow(flow: Floats, size: tuple[int, ...]) -> Floats:
    """A motion (h, w, 2) in pixels for pictures of another (width, height)."""
    height, width = flow.shape[:2]
    if (width, height) == size:
        return flow
    scale = np.array([size[0] / width, size[1] / height], dtype=np.float32)
    return np.asarray(cv2.resize(flow, (size[0], size[1])) * scale, dtype=np.float32)


def moved(image: Image, flow: Floats) -> Image:
    """The picture whose every pixel is taken from `flow` (H, W, 2) pixels away."""
    height, width = image.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)
