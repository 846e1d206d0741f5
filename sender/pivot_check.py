"""What the other end would show: pivots as decoded, driven small, and compared with the frame. Runs in executors: one
thread may ask for flows while another does the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from avcall.common.keypoints import Image, Keypoints
from avcall.common.residual_flow import Flow
from avcall.models.flow_estimator import FlowEstimator
from avcall.models.interfaces import Encoded, Reenactor, SharesFlow, driven, followed, sketched
from avcall.models.look import flaw, small_luma
from avcall.models.scene_tracker import Scene
from avcall.sender.analysis import View

SIDE = 128
"""Pixels at which pivots are driven here: half the time of 256, and a verdict of the same rank correlation."""
KEPT = 8
"""Pivots; more than a selector keeps."""


@dataclass(slots=True)
class _Kept:
    """A pivot, ready to be driven, and where the scene was in it."""

    encoded: Encoded
    scene: Scene
    estimator: FlowEstimator = field(default_factory=FlowEstimator)
    flow: Flow = ()


class PivotChecker:
    """Holds the pivots that were sent, ready to be driven."""

    def __init__(self, reenactor: Reenactor) -> None:
        self._reenactor = reenactor
        self._pivots: OrderedDict[int, _Kept] = OrderedDict()
        self._flowing: int | None = None
        """The pivot whose flow was asked for last."""

    def add(self, pivot_id: int, shown: Image, keypoints: Keypoints, original: View) -> float:
        """Keeps a pivot as the receiver decodes it, with its keypoints as they travel; returns how far it looks from
        the original."""
        small = cv2.resize(shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        before = next(reversed(self._pivots.values()), None)
        encoded = self._reenactor.encode(np.asarray(small), keypoints)
        encoded = followed(self._reenactor, encoded, None if before is None else before.encoded)
        for kept in self._pivots.values():
            kept.encoded = followed(self._reenactor, kept.encoded, encoded)
        self._pivots[pivot_id] = _Kept(encoded, original.scene)
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
                kept = self._pivots[pivot_id]
                motion = view.scene.since(kept.scene)
                if pivot_id == self._flowing:
                    motion = replace(motion, flow=kept.flow)
                shown = driven(self._reenactor, kept.encoded, view.keypoints, motion)
                found[pivot_id] = flaw(small_luma(shown), original)
        return found

    def flow(self, pivot_id: int, view: View) -> Flow:
        """The residual flow of a view whose frame is to refer to this pivot; none for a pivot that is not kept. The
        views of one pivot are asked for in their order."""
        kept = self._pivots.get(pivot_id)
        if kept is None:
            return ()
        seen = (kept.encoded, view.keypoints, view.scene.since(kept.scene))
        share = self._reenactor.flow_share(*seen) if isinstance(self._reenactor, SharesFlow) else None
        kept.flow = kept.estimator.follow(sketched(self._reenactor, *seen), view.image, view.keypoints, share)
        self._flowing = pivot_id
        return kept.flow
