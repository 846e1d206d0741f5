"""Which patches of a picture have to be made anew, and which of them first. Numpy alone: no network, no clock."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import (
    EYE_LEFT,
    EYE_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    UPPER_LIP,
    Image,
    Keypoints,
)

UNCHANGED = 2
"""Largest difference of a pixel, in levels of 255, that leaves a patch as it is."""
FIRST, FACE, REST = 8.0, 2.0, 1.0
"""Urgency of patches with mouth or eyes, of the face's others, and of the rest, for each picture that they wait."""
_PARTS = (
    (EYE_LEFT, EYE_RIGHT, LID_LEFT, LID_RIGHT),
    (MOUTH_LEFT, MOUTH_RIGHT, UPPER_LIP, LOWER_LIP),
)
_MARGIN = 0.25
"""About eyes, mouth and face, in distances of the outer eye corners."""


class Changes:
    """Remembers what each patch was made of, and which patches are due."""

    def __init__(self, cells: int, patch: int, halo: int) -> None:
        """Pictures are `cells` cells wide and high; a patch of `patch` cells (the last ones may be cut) depends on
        `halo` more around it."""
        self._cells, self._patch = cells, patch
        self._reach = np.ones((2 * halo + 1, 2 * halo + 1), np.uint8)
        self._starts = np.arange(0, cells, patch)
        self._seen: dict[str, Image] = {}
        count = len(self._starts)
        self.due = np.ones((count, count), dtype=bool)
        """(rows, columns): changed since they were made."""
        self.waited = np.zeros((count, count), dtype=np.int64)
        """For how many pictures they have been due."""

    def look(self, name: str, image: Image) -> None:
        """Compares one of the inputs, whose side is a multiple of `cells`, with what it was."""
        seen = self._seen.get(name)
        if seen is None or seen.shape != image.shape:
            self._seen[name] = image.copy()
            self.due[:] = True
            return
        red, green, blue = cv2.split(cv2.absdiff(image, seen))
        largest = cv2.max(cv2.max(red, green), blue)
        changed = cv2.threshold(largest, UNCHANGED, 255, cv2.THRESH_BINARY)[1]
        changed = cv2.resize(changed, (self._cells, self._cells), interpolation=cv2.INTER_AREA)
        self.due |= self._any(cv2.dilate(changed, self._reach))
        # only what changed is taken over: changes too small to count may add up to one that does
        step = self._patch * (image.shape[0] // self._cells)
        for row, column in np.argwhere(self._any(changed)):
            cut = np.s_[row * step : (row + 1) * step, column * step : (column + 1) * step]
            seen[cut] = image[cut]

    def made(self, patches: NDArray[np.intp]) -> None:
        """Patches (N, 2), row and column, were made; the others that are due go on waiting."""
        self.due[patches[:, 0], patches[:, 1]] = False
        self.waited = np.where(self.due, self.waited + 1, 0)

    def _any(self, cells: NDArray[Any]) -> NDArray[np.bool_]:
        rows = np.maximum.reduceat(cells, self._starts, axis=0)
        return np.asarray(np.maximum.reduceat(rows, self._starts, axis=1) > 0)


def urgency(count: int, patch: float, keypoints: Keypoints | None) -> NDArray[np.float64]:
    """(count, count): how much each patch matters; all the same without keypoints. `patch` is the side of a patch in
    keypoint units, in which the picture is 2 wide."""
    value = np.full((count, count), REST)
    if keypoints is None or not np.isfinite(keypoints).all():
        return value
    margin = _MARGIN * float(np.linalg.norm(keypoints[EYE_RIGHT] - keypoints[EYE_LEFT]))
    for points, weight in ((keypoints, FACE), *((keypoints[list(part)], FIRST) for part in _PARTS)):
        low = np.floor((points.min(0) - margin + 1.0) / patch).clip(0, count).astype(int)
        high = np.ceil((points.max(0) + margin + 1.0) / patch).clip(0, count).astype(int)
        value[low[1] : high[1], low[0] : high[0]] = weight
    return value


def choose(
    due: NDArray[np.bool_], waited: NDArray[np.int64], weight: NDArray[np.float64], limit: int
) -> NDArray[np.intp]:
    """At most `limit` of the patches that are due, (N, 2), the most urgent first. Urgency grows while a patch waits, so
    that each has its turn."""
    patches = np.argwhere(due)
    order = np.argsort(-(weight * (1 + waited))[due], kind="stable")
    return np.asarray(patches[order[:limit]])
