"""Steadies points in time without delay: what stood still in the picture stands still.

The points of the frame before are carried along by the picture's own motion at them (pyramidal Lucas-Kanade, forth and
back) and then pulled a part of the way to where they are found now. The mesh's jitter is not in the picture, so it is
not carried; a movement is, so nothing lags. Where motion and finding disagree by more than a jitter can, or the way
back ends elsewhere, what is found is taken as it is: a cut, another crop. Lips and lids are always taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import (
    CHIN,
    COUNT,
    EYE_LEFT,
    EYE_RIGHT,
    NOSE,
    Image,
    Keypoints,
    from_pixels,
    to_pixels,
)

CARRIED = np.isin(np.arange(COUNT), (NOSE, CHIN, EYE_LEFT, EYE_RIGHT))
"""The others, lips and lids, are taken as found: a blink lasts two or three frames, and no part of it may be lost."""
WINDOW = 31
LEVELS = 2
PULL = 0.4
JITTER_PX = 1.0
"""How far, at 256, what is found may lie from what is carried; at twice that nothing is carried."""
LOST_PX = 0.3
"""How far from its start the way back may end."""
KEPT = 2
"""Pictures kept: a sender looks at two crops in turn while it changes from one to the other."""

CONSTANTS = (CARRIED.tolist(), WINDOW, LEVELS, PULL, JITTER_PX, LOST_PX)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture, grey, and its points in pixels: as found, and steadied."""

    picture: NDArray[np.uint8]
    found: NDArray[np.float32]
    steady: NDArray[np.float32]


class CarriedPoints:
    """Sees the pictures in their order, uint8 (256, 256, 3) or near that size."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []

    def steady(self, image: Image, points: Keypoints) -> Keypoints:
        """The points (10, 2) found in this picture, steadied by those of the pictures before."""
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        height, width = grey.shape
        found = to_pixels(points, width, height)
        steady = found
        alike = [seen for seen in self._seen if seen.picture.shape == grey.shape]
        if alike:
            before = min(alike, key=lambda seen: float(np.abs(seen.found - found).mean()))
            carried, lost = _carry(before, grey)
            apart = np.linalg.norm(found - carried, axis=-1) * (256.0 / width)
            pull = PULL + (1.0 - PULL) * np.clip(apart / JITTER_PX - 1.0, 0.0, 1.0)
            pull = np.where(lost, 1.0, pull)[:, None]
            steady = np.asarray(carried + pull * (found - carried), dtype=np.float32)
            if len(self._seen) == KEPT:
                self._seen = [before]
        self._seen = [_Seen(grey, found, steady), *self._seen][:KEPT]
        return from_pixels(steady, width, height)


def _carry(before: _Seen, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where the points are now, (10, 2) pixels, and which were lost."""
    carried, lost = before.steady.copy(), np.ones(COUNT, dtype=bool)
    start = before.steady[CARRIED]
    carried[CARRIED] = there = _follow(before.picture, grey, start)
    back = _follow(grey, before.picture, there)
    lost[CARRIED] = np.linalg.norm(back - start, axis=-1) > LOST_PX
    return carried, lost


def _follow(source: NDArray[np.uint8], target: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where points (n, 2) of one picture are in another."""
    follow: Any = cv2.calcOpticalFlowPyrLK  # its stub wants a start for the search
    return np.asarray(follow(source, target, points, None, winSize=(WINDOW, WINDOW), maxLevel=LEVELS)[0])
