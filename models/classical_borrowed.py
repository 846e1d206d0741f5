"""Another pivot's mouth, where that was opened more nearly as this one should be now.

A warp can close an open mouth, but not open a closed one: teeth and what is dark behind them it would have to make up.
Other pivots of the same call have shown them. So the mouth, with the skin around it, is drawn from the pivot whose
lips were as far apart as they are to be now, moved to the same ten points, and laid over the picture with a soft edge.
Where the skin around it does not fit (another light, another person) nothing is borrowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, LOWER_LIP, NOSE, UPPER_LIP, Image, Keypoints
from avcall.models.classical_face import Motion
from avcall.models.classical_shapes import OUTER_LOWER_LIP, OUTER_UPPER_LIP, smooth
from avcall.models.classical_warp import Map, Window

KEPT = 6
"""Pivots whose mouths are kept."""
EDGE = 0.2
"""How far around the lips the borrowed skin fades out, in outer-eye-corner distances."""
_NOSE = 1.6
"""Distance of the outer eye corners, relative to that from their middle to the nose, in a face seen from the front."""
_GAIN = 0.01
"""A mouth nearer by this much (in openings) is taken altogether, one that is hardly nearer only in part."""
_TURNED = 0.05
"""Openings that a turn of the head between the two is worth; 1 moves the nose by the eyes' distance."""
_FITS = (20.0, 28.0)
"""How unlike the skin around the mouth may be, in levels of 255: up to the first it fits, from the second on it does
not. Between them lie few pivots of one call, and few pairs of people."""
_TONE = 0.3
"""What the difference of their means counts, beside the mean difference without it."""
_RIM = 0.9
"""The mouth's share from which it is no longer the skin around it."""
_OUTLINE = np.array((*OUTER_UPPER_LIP, *OUTER_LOWER_LIP[-2:0:-1]))

CONSTANTS = (KEPT, EDGE, _NOSE, _GAIN, _TURNED, _FITS, _TONE, _RIM)

_Pivot = TypeVar("_Pivot")


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A mouth that was laid over a picture."""

    number: int
    """Of the other pivot, in the order in which they were given."""
    window: Window
    displacement: Map
    """(h, w, 2) from the window's pixels to their places in that pivot."""
    share: Map
    """(h, w) of it in the picture, 0 to 1."""
    whole: float
    """The largest of them."""


@dataclass(frozen=True, slots=True)
class MouthPose:
    """What decides whose mouth is borrowed."""

    opening: float
    """How far the lips are apart, in distances between the outer eye corners of a face seen from the front."""
    nose: tuple[float, float]
    """Where the nose is from the eyes' middle, in the same distance: tells how the head is turned."""


def mouth_pose(keypoints: Keypoints) -> MouthPose:
    """Of ten points (10, 2)."""
    points = keypoints.tolist()
    (left_x, left_y), (right_x, right_y), (nose_x, nose_y) = points[EYE_LEFT], points[EYE_RIGHT], points[NOSE]
    nose_x, nose_y = nose_x - (left_x + right_x) / 2.0, nose_y - (left_y + right_y) / 2.0
    apart = math.hypot(right_x - left_x, right_y - left_y)
    size = max(apart, _NOSE * math.hypot(nose_x, nose_y), 1e-6)
    gap = math.dist(points[UPPER_LIP], points[LOWER_LIP])
    return MouthPose(gap / size, (nose_x / size, nose_y / size))


def kept(pivots: Sequence[_Pivot], pose: Callable[[_Pivot], MouthPose]) -> tuple[_Pivot, ...]:
    """At most `KEPT` of `pivots`, the latest last: of the two that are opened most alike the earlier one goes, so that
    mouths as unlike as possible remain."""
    left = list(pivots)
    while len(left) > KEPT:
        openings = [pose(pivot).opening for pivot in left]
        order = np.argsort(openings, kind="stable")
        at = int(np.argmin(np.diff(np.take(openings, order))))
        del left[min(order[at], order[at + 1])]
    return tuple(left)


def choose(driving: MouthPose, own: MouthPose, others: Sequence[MouthPose]) -> tuple[int, float] | None:
    """The number of the pivot whose mouth is to be borrowed, and its share; None where the pivot's `own` is nearest."""
    if not others:
        return None
    far = [_apart(driving, other) for other in others]
    nearest = far.index(min(far))
    share = float(smooth((_apart(driving, own) - far[nearest]) / _GAIN))
    return (nearest, share) if share > 0.0 else None


def mouth_share(window: Window, side: int, motion: Motion, unit: float) -> NDArray[np.float32]:
    """1 within the lips, fading out around them: (h, w) of the window's pixels in a picture of `side` pixels. `unit` is
    the distance of the outer eye corners."""
    pixels = (motion.moved[_OUTLINE, :2] + 1.0) * (side - 1) / 2.0 - (window.left, window.top)
    outside = np.full((window.height, window.width), 255, np.uint8)
    cv2.fillPoly(outside, [np.rint(pixels * 16.0).astype(np.int32)], (0,), shift=4)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 5)
    inside = np.clip(1.0 - away * (2.0 / (side - 1) / (EDGE * unit)), 0.0, 1.0)
    return np.asarray(inside * inside * (3.0 - 2.0 * inside), dtype=np.float32)


def toned(part: Map, other: Map, share: Map) -> float:
    """Gives `other` (h, w, 3) the tone of the skin around the mouth in `part`; that is where `share` (h, w) is low.
    Returns how well it fits, 0 to 1."""
    rim = ((share > 0.0) & (share < _RIM)).astype(np.uint8)
    if not rim.any():
        return 0.0
    difference = cv2.subtract(part, other)
    tone = np.array(cv2.mean(difference, rim))  # a fourth, of no colour, is zero
    rest = np.array(cv2.mean(cv2.absdiff(difference, tone), rim))
    unlike = float(rest[:3].mean() + _TONE * np.abs(tone[:3]).mean())
    cv2.add(other, tone, dst=other)
    return 1.0 - float(smooth((unlike - _FITS[0]) / (_FITS[1] - _FITS[0])))


def lay_over_large(picture: Image, lender: Image, borrowed: Borrowed, side: int) -> None:
    """Does for a large pivot's own moved pixels, (L, L, 3), what was done for their picture of `side` pixels; `lender`
    (L, L, 3) is the other pivot."""
    window, scale = borrowed.window, np.float32((len(picture) - 1) / (side - 1))
    top, left = math.ceil(window.top * scale), math.ceil(window.left * scale)
    bottom = math.floor((window.top + window.height - 1) * scale) + 1
    right = math.floor((window.left + window.width - 1) * scale) + 1
    x, y = np.meshgrid(np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32))
    at = x / scale - window.left, y / scale - window.top
    field = borrowed.displacement * np.float32((len(lender) - 1) / 2.0)
    moved = cv2.remap(np.ascontiguousarray(field), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.remap(borrowed.share, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[..., None]
    lent = cv2.remap(lender, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    part = picture[top:bottom, left:right]
    part[:] = np.rint(part + share * (lent.astype(np.float32) - part)).astype(np.uint8)


def _apart(driving: MouthPose, pivot: MouthPose) -> float:
    return abs(driving.opening - pivot.opening) + _TURNED * math.dist(driving.nose, pivot.nose)
