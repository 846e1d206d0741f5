"""What the other end would show: pivots as decoded, driven small, and compared with the frame. Runs in the executor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import cv2
import numpy as np

from avcall.common.keypoints import Image, Keypoints
from avcall.models.interfaces import Encoded, Reenactor, followed
from avcall.models.look import flaw, small_luma

SIDE = 128
"""Pixels at which pivots are driven here: half the time of 256, and a verdict of the same rank correlation."""
KEPT = 8
"""Pivots; more than a selector keeps."""


class PivotChecker:
    """Holds the pivots that were sent, ready to be driven."""

    def __init__(self, reenactor: Reenactor) -> None:
        self._reenactor = reenactor
        self._pivots: OrderedDict[int, Encoded] = OrderedDict()

    def add(self, pivot_id: int, shown: Image, keypoints: Keypoints, original: Image) -> float:
        """Keeps a pivot as the receiver decodes it; returns how far it looks from the original."""
        small = cv2.resize(shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        before = next(reversed(self._pivots.values()), None)
        self._pivots[pivot_id] = followed(self._reenactor, self._reenactor.encode(np.asarray(small), keypoints), before)
        self._pivots.move_to_end(pivot_id)
        while len(self._pivots) > KEPT:
            self._pivots.popitem(last=False)
        return flaw(small_luma(shown), small_luma(original))

    def flaws(self, pivot_ids: Iterable[int], image: Image, keypoints: Keypoints) -> dict[int, float]:
        """How far each pivot, driven by `keypoints`, looks from `image`: see `avcall.models.look`."""
        original = small_luma(image)
        return {
            pivot_id: flaw(small_luma(self._reenactor.drive(self._pivots[pivot_id], keypoints)), original)
            for pivot_id in pivot_ids
            if pivot_id in self._pivots
        }
