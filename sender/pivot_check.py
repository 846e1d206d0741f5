"""What the other end would show: pivots as decoded, driven small, and compared with the frame. Runs in the executor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import cv2
import numpy as np

from avcall.common.keypoints import Image, Keypoints
from avcall.models.interfaces import Encoded, Reenactor, driven, followed
from avcall.models.look import flaw, small_luma
from avcall.models.scene_tracker import Scene
from avcall.sender.analysis import View

SIDE = 128
"""Pixels at which pivots are driven here: half the time of 256, and a verdict of the same rank correlation."""
KEPT = 8
"""Pivots; more than a selector keeps."""


class PivotChecker:
    """Holds the pivots that were sent, ready to be driven."""

    def __init__(self, reenactor: Reenactor) -> None:
        self._reenactor = reenactor
        self._pivots: OrderedDict[int, tuple[Encoded, Scene]] = OrderedDict()
        """With where the scene was in them."""

    def add(self, pivot_id: int, shown: Image, keypoints: Keypoints, original: View) -> float:
        """Keeps a pivot as the receiver decodes it, with its keypoints as they travel; returns how far it looks from
        the original."""
        small = cv2.resize(shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        before, _ = next(reversed(self._pivots.values()), (None, None))
        encoded = followed(self._reenactor, self._reenactor.encode(np.asarray(small), keypoints), before)
        self._pivots[pivot_id] = encoded, original.scene
        self._pivots.move_to_end(pivot_id)
        while len(self._pivots) > KEPT:
            self._pivots.popitem(last=False)
        return flaw(small_luma(shown), small_luma(original.image))

    def flaws(self, pivot_ids: Iterable[int], view: View) -> dict[int, float]:
        """How far each pivot, driven as the view is told, looks from its picture: see `avcall.models.look`."""
        original = small_luma(view.image)
        found = {}
        for pivot_id in pivot_ids:
            if pivot_id in self._pivots:
                encoded, scene = self._pivots[pivot_id]
                shown = driven(self._reenactor, encoded, view.keypoints, view.scene.since(scene))
                found[pivot_id] = flaw(small_luma(shown), original)
        return found
