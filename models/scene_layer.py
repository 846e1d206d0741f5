"""Follows one layer of the picture (the background, the body) from an anchor on: a similarity, found on its own pixels.

Inverse compositional alignment (Baker and Matthews, "Lucas-Kanade 20 years on", 2004) of a small grey picture to the
anchor's, with weights that leave out what has come before it or has left. It always starts from the anchor, so errors
do not add up. Plain surfaces have little to say; the error before and after says whether there is anything to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image
from avcall.common.scene import Similarity

SIDE = 64
BLUR = 1.0
"""Of the small picture, in its pixels."""
EDGE = 2
"""Pixels along the picture's edge, whose blur is not that of the others, are left out."""
LEAST_PIXELS, SOME_PIXELS = 120, 600
"""A layer of fewer is not followed; of one with many more, only every second or third is looked at."""
ROUNDS = 3
CLOSE = 6e-4
"""A step that moves nothing by more, a twelfth of a pixel at 256, is the last."""
OTHER = 6.0
"""Levels of difference from which a pixel counts for a quarter: it may show something else."""
OTHER_AT_MOST = 12.0
"""Larger differences count as this when errors are compared."""
NOISE = 1.0
"""Added to every error, in squared levels: what is less is never significant."""
_STIFF = 0.3

Grey: TypeAlias = NDArray[np.float32]
"""(SIDE, SIDE)."""


def small_grey(image: Image, blur: float = BLUR) -> Grey:
    """What layers look at, of a square picture."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), blur))


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a layer is, compared with its anchor."""

    moved: Similarity
    error: float
    """Mean squared difference, in levels, when it has moved like that."""
    seen: float
    """Share of the layer that is still in the picture."""


class Layer:
    """One layer, from one anchor on."""

    def __init__(self, grey: Grey, where: NDArray[np.bool_], *, only_shifts: bool = False) -> None:
        """`where` (SIDE, SIDE) it is; one that `only_shifts` neither turns nor grows."""
        inside = np.zeros_like(where)
        inside[EDGE:-EDGE, EDGE:-EDGE] = where[EDGE:-EDGE, EDGE:-EDGE]
        pixels = np.flatnonzero(inside)
        pixels = pixels[:: max(1, len(pixels) // SOME_PIXELS)]
        self._scale = np.float32((SIDE - 1) / 2.0)
        row, column = np.divmod(pixels, SIDE)
        self._x, self._y = ((at / self._scale - 1.0).astype(np.float32) for at in (column, row))
        self._anchor = grey.ravel()[pixels]
        along_y, along_x = (slope.ravel()[pixels] * self._scale for slope in np.gradient(grey))
        spread, turn = along_x * self._x + along_y * self._y, along_y * self._x - along_x * self._y
        self._slopes = np.stack([along_x, along_y] if only_shifts else [along_x, along_y, spread, turn])
        self._moved = Similarity()

    @property
    def followed(self) -> bool:
        """It is large enough."""
        return len(self._anchor) >= LEAST_PIXELS

    def follow(self, grey: Grey) -> Fit:
        """The next picture of the same video."""
        moved = self._moved
        for _ in range(ROUNDS):
            difference, there = self._difference(grey, moved)
            weight = there / np.square(1.0 + np.square(difference / OTHER))
            weighted = self._slopes * weight
            normal = weighted @ self._slopes.T
            normal += np.eye(len(normal), dtype=np.float32) * (_STIFF * max(float(weight.sum()), 1.0))
            x, y, grown, turned = (*np.linalg.solve(normal, weighted @ difference).tolist(), 0.0, 0.0)[:4]
            step = Similarity(complex(1.0 + grown, turned), complex(x, y))
            moved = moved.after(step.inverse)
            if step.reach < CLOSE:
                break
        self._moved = moved
        return Fit(moved, *self._error(grey, moved))

    def still_error(self, grey: Grey) -> float:
        """What the error of a fit would be, had the layer stood still."""
        return self._error(grey, Similarity())[0]

    def _error(self, grey: Grey, moved: Similarity) -> tuple[float, float]:
        difference, there = self._difference(grey, moved)
        seen = int(there.sum())
        squares = np.minimum(np.square(difference), OTHER_AT_MOST**2) * there
        return NOISE + float(squares.sum()) / max(seen, 1), seen / len(there)

    def _difference(self, grey: Grey, moved: Similarity) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """To the anchor's pixels, less what all have in common (light), and which pixels are in the picture."""
        grown, turned = np.float32(moved.factor.real), np.float32(moved.factor.imag)
        x = (grown * self._x - turned * self._y + np.float32(moved.shift.real + 1.0)) * self._scale
        y = (turned * self._x + grown * self._y + np.float32(moved.shift.imag + 1.0)) * self._scale
        there = np.maximum(np.abs(x - self._scale), np.abs(y - self._scale)) <= self._scale - EDGE
        remap: Any = cv2.remap  # its stub wants pictures
        found = remap(grey, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        difference = np.where(there, found - self._anchor, np.float32(0.0))
        if there.any():
            difference -= np.float32(np.median(difference[there][::3])) * there
        return difference, there
