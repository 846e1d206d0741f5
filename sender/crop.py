"""Which square of the picture is sent. It stays where it is while the head is well inside, and else moves once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Landmarks

HEAD_SHARE = 0.5
"""Forehead to chin, as the mesh sees it, over the crop's side."""
SMALLEST_HEAD, LARGEST_HEAD = 0.33, 0.66
"""Within these shares the scale is left alone: no pumping."""
WHOLE_FROM = 0.8
"""A crop wanted larger than this share of the picture's short side takes the whole short side."""
ABOVE_CENTRE = 0.04
"""The head is placed a little above the middle, in sides: hair needs less room than shoulders."""
WELL_INSIDE = 0.06
"""The face must keep this distance, in sides, from the crop's edge."""
HOLD_MS = 400.0
"""The head must have left for this long: a nod does not move the crop."""
SETTLED_SPEED = 0.3
"""Sides a second below which a head that has left is taken to have arrived; the crop moves once, not after it."""
SETTLED_OVER_MS = 240.0
LONGEST_WAIT_MS = 1500.0
"""A head that does not come to rest gets its crop all the same."""
REST_MS = 1500.0
"""After a move the crop rests, whatever happens."""
WORTH_MOVING = 0.08
"""A new crop that differs by less than this, in sides, is not worth a pivot."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the picture, in whole pixels."""

    x: int
    y: int
    side: int

    def cut(self, image: Image, size: int) -> Image:
        """The square as a `size` x `size` picture."""
        part = image[self.y : self.y + self.side, self.x : self.x + self.side]
        if self.side == size:
            return np.ascontiguousarray(part)
        how = cv2.INTER_AREA if self.side > size else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(part, (size, size), interpolation=how), dtype=np.uint8)

    def map(self, pixels: NDArray[np.float32], size: int) -> Landmarks:
        """Landmarks (N, 3) in the picture's pixels (z too), in the keypoint convention of the `size` x `size` crop.

        OpenCV scales areas, so the centre of pixel i of the crop lands on (i + 0.5) * size / side - 0.5.
        """
        scale = size / self.side
        unit = 2.0 / (size - 1)
        mapped = np.empty_like(pixels)
        mapped[:, :2] = ((pixels[:, :2] - (self.x, self.y) + 0.5) * scale - 0.5) * unit - 1.0
        mapped[:, 2] = pixels[:, 2] * scale * unit
        return mapped


@dataclass(frozen=True, slots=True)
class FaceBox:
    """The face in the picture, in pixels: the mesh's bounds and its height from forehead to chin."""

    left: float
    top: float
    right: float
    bottom: float
    height: float

    @staticmethod
    def around(pixels: NDArray[np.float32]) -> FaceBox:
        """Of mesh landmarks (468, 3) in pixels."""
        left, top = pixels[:, :2].min(axis=0)
        right, bottom = pixels[:, :2].max(axis=0)
        forehead, chin = pixels[10, :2], pixels[152, :2]
        height = float(np.hypot(*(chin - forehead)))
        return FaceBox(float(left), float(top), float(right), float(bottom), max(height, float(bottom - top)))


class CropController:
    """Sans-IO: face boxes and times go in, the crop comes out."""

    def __init__(self) -> None:
        self._crop: Crop | None = None
        self._picture = (0, 0)
        self._away_since_ms: float | None = None
        self._moved_ms = -1e12
        self._places: deque[tuple[float, float, float]] = deque()

    @property
    def leaving(self) -> bool:
        """The head is not well inside the crop: it will come back, or the crop will move."""
        return self._away_since_ms is not None

    def update(self, face: FaceBox, width: int, height: int, now_ms: float) -> Crop:
        """The crop for this picture of `width` x `height`; equal to the last one unless it had to move."""
        if self._crop is None or self._picture != (width, height):
            self._picture = (width, height)
            self._move(ideal_crop(face, width, height), now_ms)
            self._moved_ms = -1e12  # the first guess may be corrected soon
        crop = self._crop
        assert crop is not None
        self._places.append((now_ms, (face.left + face.right) / 2, (face.top + face.bottom) / 2))
        while now_ms - self._places[0][0] > SETTLED_OVER_MS:
            self._places.popleft()
        if is_well_inside(face, crop, width, height):
            self._away_since_ms = None
            return crop
        if self._away_since_ms is None:
            self._away_since_ms = now_ms
        away_ms = now_ms - self._away_since_ms
        arrived = away_ms >= HOLD_MS and (self._has_settled(crop.side) or away_ms >= LONGEST_WAIT_MS)
        if arrived and now_ms - self._moved_ms >= REST_MS:
            wanted = ideal_crop(face, width, height)
            self._away_since_ms = None
            if _differ(wanted, crop):
                return self._move(wanted, now_ms)
        return crop

    def _has_settled(self, side: int) -> bool:
        first, last = self._places[0], self._places[-1]
        way = max(abs(last[1] - first[1]), abs(last[2] - first[2])) / side
        return way <= SETTLED_SPEED * max(last[0] - first[0], 1.0) / 1000.0

    def _move(self, crop: Crop, now_ms: float) -> Crop:
        self._crop = crop
        self._moved_ms = now_ms
        return crop


def ideal_crop(face: FaceBox, width: int, height: int) -> Crop:
    """The square with the face in its middle and HEAD_SHARE of its height, moved to lie inside the picture."""
    short = min(width, height)
    side = round(face.height / HEAD_SHARE)
    if side > WHOLE_FROM * short:
        side = short
    side = max(side, min(short, 64))
    x = (face.left + face.right) / 2 - side / 2
    y = (face.top + face.bottom) / 2 - side * (0.5 - ABOVE_CENTRE)
    return Crop(min(max(round(x), 0), width - side), min(max(round(y), 0), height - side), side)


def is_well_inside(face: FaceBox, crop: Crop, width: int, height: int) -> bool:
    """Whether the crop still serves: the face clear of its edges (unless the picture ends there) and of fair size."""
    gap = WELL_INSIDE * crop.side
    inside = (
        (face.left >= crop.x + gap or crop.x == 0)
        and (face.top >= crop.y + gap or crop.y == 0)
        and (face.right <= crop.x + crop.side - gap or crop.x + crop.side == width)
        and (face.bottom <= crop.y + crop.side - gap or crop.y + crop.side == height)
    )
    share = face.height / crop.side
    whole = crop.side == min(width, height)
    return inside and share >= SMALLEST_HEAD and (share <= LARGEST_HEAD or whole)


def _differ(a: Crop, b: Crop) -> bool:
    return max(abs(a.x - b.x), abs(a.y - b.y), abs(a.side - b.side)) > WORTH_MOVING * b.side
