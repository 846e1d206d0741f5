"""Steadies points in time without delay: what stood still in the picture stands still.

The points of the frame before are carried along by the picture's own motion at them (pyramidal Lucas-Kanade, forth and
back) and then pulled a part of the way to where they are found now. The mesh's jitter is not in the picture, so it is
not carried; a movement is, so nothing lags. Where motion and finding disagree by more than a jitter can, or the way
back ends elsewhere, what is found is taken as it is: a blink, a cut, another crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import (
    COUNT,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    UPPER_LIP,
    Image,
    Keypoints,
    from_pixels,
    to_pixels,
)

LIVELY = np.isin(np.arange(COUNT), (UPPER_LIP, LOWER_LIP, LID_LEFT, LID_RIGHT))
"""Points on edges that move against the skin around them: they are followed in a small window, and pulled more."""
SMALL_WINDOW, LARGE_WINDOW = 15, 31
LEVELS = 2
LIVELY_PULL, RIGID_PULL = 0.8, 0.4
JITTER_PX = 1.0
"""How far, at 256, what is found may lie from what is carried; at twice that nothing is carried."""
LOST_PX = 0.3
"""How far from its start the way back may end."""
KEPT = 2
"""Pictures kept: a sender looks at two crops in turn while it changes from one to the other."""


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
            pull = np.where(LIVELY, LIVELY_PULL, RIGID_PULL)
            pull = pull + (1.0 - pull) * np.clip(apart / JITTER_PX - 1.0, 0.0, 1.0)
            pull = np.where(lost, 1.0, pull)[:, None]
            steady = np.asarray(carried + pull * (found - carried), dtype=np.float32)
            if len(self._seen) == KEPT:
                self._seen = [before]
        self._seen = [_Seen(grey, found, steady), *self._seen][:KEPT]
        return from_pixels(steady, width, height)


def _carry(before: _Seen, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where the points are now, (10, 2) pixels, and which were lost."""
    carried, lost = before.steady.copy(), np.ones(COUNT, dtype=bool)
    for window, which in ((SMALL_WINDOW, LIVELY), (LARGE_WINDOW, ~LIVELY)):
        start = before.steady[which]
        there = _follow(before.picture, grey, start, window)
        back = _follow(grey, before.picture, there, window)
        carried[which] = there
        lost[which] = np.linalg.norm(back - start, axis=-1) > LOST_PX
    return carried, lost


def _follow(
    source: NDArray[np.uint8], target: NDArray[np.uint8], points: NDArray[np.float32], window: int
) -> NDArray[np.float32]:
    """Where points (n, 2) of one picture are in another."""
    follow: Any = cv2.calcOpticalFlowPyrLK  # its stub wants a start for the search
    return np.asarray(follow(source, target, points, None, winSize=(window, window), maxLevel=LEVELS)[0])
