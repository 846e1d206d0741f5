"""The trained network behind the `Reenactor` protocol: numpy in, numpy out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.common.scene import STILL, SceneMotion
from avcall.models.classical import ClassicalReenactor, Moved
from avcall.models.classical_borrowed import kept, lay_over_large
from avcall.models.classical_pivot import EncodedPivot as ClassicalPivot
from avcall.models.classical_pivot import lent
from avcall.models.interfaces import Detailed, Encoded, ModelId
from avcall.models.reenactment.carried_points import CarriedPoints
from avcall.models.reenactment.lean import Drawn, enlarged, keep_freed_memory
from avcall.models.reenactment.painter import SIDE, NetworkGoneError, Painter, at_side
from avcall.models.reenactment.residual import Residual, carry, corrected, pixel_places, repaired, residual, shown_flow
from avcall.models.reenactment.shut_lids import ShutLids


@dataclass(frozen=True, slots=True)
class NetworkPivot:
    """A pivot as a painter keeps it and as the classical reenactor does, and its picture at its own size where that is
    not the network's side."""

    kept: Any
    """The painter's own; None where the network was gone."""
    classical: ClassicalPivot
    large: Image | None
    others: tuple[NetworkPivot, ...] = ()
    """Other pivots that lend their mouths, in the order of `classical.others`; they have none themselves."""


class PointDetector:
    """The ten mesh points themselves, steadied along the picture's motion and with lids that shut, under the id of the
    network that was trained on them."""

    def __init__(self, model: ModelId, carry: bool = True) -> None:
        """`carry`: whether they are more than the mesh's; the pictures are then those of one call, in their order."""
        self._model = model
        self._carried = CarriedPoints() if carry else None
        self._lids = ShutLids()

    @property
    def model(self) -> ModelId:
        return self._model

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        """`landmarks` (468, 3) of the crop `image`; returns (10, 2)."""
        points = np.ascontiguousarray(landmarks[list(MESH_INDICES), :2], dtype=np.float32)
        if self._carried is None:
            return points
        return self._lids.shut(self._carried.steady(image, points), landmarks)


class NetworkReenactor:
    """What a painter's network draws on the classical reenactor's moved pivots. One thread may encode while another
    drives."""

    moves_scene: ClassVar[Literal[True]] = True

    def __init__(self, painter: Painter, model: ModelId) -> None:
        """`model` is the id that it shares with its detector."""
        self._model = model
        self._painter = painter
        if painter.device == "cpu":
            keep_freed_memory()
        self._classical = ClassicalReenactor(painter.device)

    @property
    def model(self) -> ModelId:
        return self._model

    @property
    def device(self) -> str:
        return self._painter.device

    def encode(self, pivot: Image, keypoints: Keypoints) -> NetworkPivot:
        """All work that depends on the pivot alone, its repair included; the pivot is square.

        Raises:
            ValueError: a pivot that is not square. FloatingPointError: its repair gave no finite numbers.
        """
        return self._encoded(pivot, keypoints, coded=True)

    def encode_uncoded(self, pivot: Image, keypoints: Keypoints) -> NetworkPivot:
        """As `encode`, of a picture that no coder has touched."""
        return self._encoded(pivot, keypoints, coded=False)

    def _encoded(self, pivot: Image, keypoints: Keypoints, coded: bool) -> NetworkPivot:
        height, width = pivot.shape[:2]
        if height != width:
            raise ValueError(f"a pivot of {width}x{height}: the network wants squares")
        try:
            made = self._painter.prepare(pivot, keypoints, coded)
        except NetworkGoneError:  # the warp goes on, with the pivot as it is
            small = at_side(pivot, SIDE)
            large = None if small is pivot else pivot.copy()
            return NetworkPivot(None, self._classical.encode(small, keypoints), large)
        return NetworkPivot(made.kept, self._classical.encode_known(made.picture, keypoints, made.known), made.large)

    def follow(self, encoded: Encoded, other: Encoded) -> NetworkPivot:
        """See `FollowsPivots`."""
        pivot, last = _ours(encoded), _ours(other)
        alone = replace(last, others=(), classical=lent(last.classical, ()))
        own = pivot.classical.picture
        lenders = [lender for lender in (*last.others, alone) if lender.classical.picture is not own]
        others = kept(lenders, lambda lender: lender.classical.mouth)
        classical = lent(pivot.classical, tuple(lender.classical for lender in others))
        return replace(pivot, others=others, classical=classical)

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        detailed = self.drive_detailed(encoded, keypoints, scene)
        if detailed is not None:
            return _joined(detailed)
        return self._draw(_ours(encoded), self.warp(encoded, keypoints, scene), keypoints).image

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Detailed | None:
        """The picture at the network's side, and a large pivot's own pixels along the same flow."""
        pivot = _ours(encoded)
        if pivot.large is None:
            return None
        moved = self.warp(encoded, keypoints, scene)
        drawn = self._draw(pivot, moved, keypoints)
        return _detailed(pivot, drawn.image, corrected(moved, drawn), moved)

    @torch.inference_mode()
    def warp(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Moved:
        """See `LateReenactor.warp`."""
        return self._classical.move(_ours(encoded).classical, keypoints, scene)

    def residual(self, encoded: Encoded, warped: Moved, keypoints: Keypoints) -> Residual:
        """See `LateReenactor.residual`.

        Raises:
            FloatingPointError: the network drew nothing.
        """
        drawn = self._draw(_ours(encoded), warped, keypoints)
        if not drawn.image.any():  # NaN becomes black
            raise FloatingPointError("the network drew no finite numbers")
        return residual(warped, drawn)

    def carry(self, encoded: Encoded, warped: Moved, late: Residual, shown: Residual | None) -> Residual:
        """See `LateReenactor.carry`."""
        return carry(warped, late, shown)

    def finish(self, encoded: Encoded, warped: Moved, here: Residual | None) -> Image:
        """See `LateReenactor.finish`."""
        return _joined(self.finish_detailed(encoded, warped, here)) if self.details(encoded) else repaired(warped, here)

    def details(self, encoded: Encoded) -> bool:
        """See `LateReenactor.details`."""
        return _ours(encoded).large is not None

    def finish_detailed(self, encoded: Encoded, warped: Moved, here: Residual | None) -> Detailed:
        """See `LateReenactor.finish_detailed`.

        Raises:
            ValueError: the pivot is not larger than the network's side.
        """
        return _detailed(_ours(encoded), repaired(warped, here), shown_flow(warped, here), warped)

    def _draw(self, pivot: NetworkPivot, moved: Moved, keypoints: Keypoints) -> Drawn:
        if pivot.kept is None:
            raise NetworkGoneError("this pivot came when the network was gone")
        return self._painter.paint(pivot.kept, moved, keypoints)


def _detailed(pivot: NetworkPivot, image: Image, flow: NDArray[np.float32], moved: Moved) -> Detailed:
    """A picture, and the large pivot's pixels along the displacement (S, S, 2), in pixels, that it was made by.

    Raises:
        ValueError: the pivot is not larger than the network's side.
    """
    large = pivot.large
    if large is None:
        raise ValueError("a pivot of the network's own side has no details")
    side = len(large)
    where = enlarged(flow, side) * np.float32((side - 1) / (len(flow) - 1)) + pixel_places(side)
    made = cv2.remap(large, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    own = np.asarray(made, dtype=np.uint8)
    lender = None if moved.borrowed is None else pivot.others[moved.borrowed.number].large
    if moved.borrowed is not None and lender is not None and lender.shape == large.shape:
        lay_over_large(own, lender, moved.borrowed, len(flow))
    return Detailed(image, own)


def _joined(detailed: Detailed) -> Image:
    """The picture at the large pivot's side: the driven one, and what the pivot's own pixels have beyond its size."""
    image, own = detailed.image, detailed.reference.astype(np.int16)
    both = (len(own), len(own))
    coarse = cv2.resize(cv2.resize(own, image.shape[:2], interpolation=cv2.INTER_AREA), both)
    joined = cv2.resize(image, both).astype(np.int16) + own - coarse
    return np.asarray(joined.clip(0, 255), dtype=np.uint8)


def _ours(encoded: Encoded) -> NetworkPivot:
    if not isinstance(encoded, NetworkPivot):
        raise TypeError(f"{type(encoded).__name__} was encoded by another reenactor")
    return encoded
