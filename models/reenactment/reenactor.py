"""The trained network behind the `Reenactor` protocol: numpy in, numpy out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.classical import ClassicalReenactor, Moved
from avcall.models.classical_borrowed import kept, lay_over_large
from avcall.models.classical_pivot import EncodedPivot as ClassicalPivot
from avcall.models.classical_pivot import lent
from avcall.models.interfaces import Detailed, Encoded, Enhancer, ModelId
from avcall.models.precision import mixed, native_bf16
from avcall.models.reenactment.carried_points import CarriedPoints
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.generator import Carried, Driven, EncodedPivot, ReenactmentNetwork
from avcall.models.reenactment.lean import Drawn, LeanNetwork, enlarged, keep_freed_memory
from avcall.models.reenactment.residual import Residual, carry, corrected, pixel_places, repaired, residual, shown_flow
from avcall.models.reenactment.shut_lids import ShutLids

SIDE = 256
"""What the shipped networks were trained at; other sizes borrow motion and repairs and keep their own pixels."""


@dataclass(frozen=True, slots=True)
class NetworkPivot:
    """A pivot encoded by the network at the network's side, and by the classical reenactor; and its picture at its own
    size where that is another."""

    encoded: EncodedPivot
    classical: ClassicalPivot
    large: Image | None
    others: tuple[NetworkPivot, ...] = ()
    """Earlier pivots that lend their mouths, in the order of `classical.others`; they have none themselves."""


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
    """Runs a `ReenactmentNetwork` on the classical reenactor, in bf16 where the processor multiplies it natively, else
    in float32. One thread may encode while another drives."""

    def __init__(
        self,
        network: ReenactmentNetwork,
        model: ModelId,
        device: str,
        side: int = SIDE,
        pivot_enhancer: Enhancer | None = None,
    ) -> None:
        """`model` is the id that it shares with its detector, `side` what the network was trained at. The network is
        laid out anew and must not be trained on. `pivot_enhancer` repairs each pivot before anything is made of it."""
        self._model = model
        self._side = side
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(1)  # more threads gain little here, and starve capture and codecs
            keep_freed_memory()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            if native_bf16(device):
                parameter.data = parameter.data.to(torch.bfloat16)  # autocast would do it again for every frame
        self._network = network.to(self._device).eval()
        self._lean = LeanNetwork(self._network) if device == "cpu" else None
        self._classical = ClassicalReenactor(device)
        self._enhancer = pivot_enhancer

    @classmethod
    def from_weights(
        cls, weights: Weights, model: ModelId, device: str, pivot_enhancer: Enhancer | None = None
    ) -> Self:
        """
        Raises:
            CheckpointError: the weights are not those of a reenactment network.
        """
        if weights.kind != "reenactor":
            raise CheckpointError(f"weights {weights.name!r} hold a {weights.kind}, not a reenactor")
        network = ReenactmentNetwork(rebuild_config(NetworkConfig, weights))
        fill(network, weights)
        return cls(network, model, device, SIDE, pivot_enhancer)

    @property
    def model(self) -> ModelId:
        return self._model

    @property
    def device(self) -> str:
        return self._device.type

    def encode(self, pivot: Image, keypoints: Keypoints) -> NetworkPivot:
        """All work that depends on the pivot alone, its repair included; the pivot is square.

        Raises:
            ValueError: a pivot that is not square. FloatingPointError: its repair gave no finite numbers.
        """
        return self.encode_uncoded(pivot if self._enhancer is None else self._enhancer.enhance(pivot), keypoints)

    @torch.inference_mode()
    def encode_uncoded(self, pivot: Image, keypoints: Keypoints) -> NetworkPivot:
        """As `encode`, of a picture that no coder has touched."""
        height, width = pivot.shape[:2]
        if height != width:
            raise ValueError(f"a pivot of {width}x{height}: the network wants squares")
        small = self._at_side(pivot)
        picture = torch.from_numpy(small.copy()).to(self._device).permute(2, 0, 1)[None].float() / 255.0
        with mixed(self._device):
            encoded = self._network.encode(picture, self._points(keypoints))
        large = None if small is pivot else pivot.copy()
        return NetworkPivot(encoded, self._classical.encode(small, keypoints), large)

    def follow(self, encoded: Encoded, before: Encoded) -> NetworkPivot:
        """See `FollowsPivots`."""
        last = _ours(before)
        alone = replace(last, others=(), classical=lent(last.classical, ()))
        others = kept((*last.others, alone), lambda pivot: pivot.classical.mouth)
        classical = lent(_ours(encoded).classical, tuple(other.classical for other in others))
        return replace(_ours(encoded), others=others, classical=classical)

    def _at_side(self, image: Image) -> Image:
        if len(image) == self._side:
            return image
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255.0
        return to_image(_resized(picture, self._side))

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        detailed = self.drive_detailed(encoded, keypoints)
        if detailed is not None:
            return _joined(detailed)
        return self._draw(_ours(encoded), self.warp(encoded, keypoints), keypoints).image

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints) -> Detailed | None:
        """The picture at the network's side, and a large pivot's own pixels along the same flow."""
        pivot = _ours(encoded)
        if pivot.large is None:
            return None
        moved = self.warp(encoded, keypoints)
        drawn = self._draw(pivot, moved, keypoints)
        return _detailed(pivot, drawn.image, corrected(moved, drawn), moved)

    @torch.inference_mode()
    def warp(self, encoded: Encoded, keypoints: Keypoints) -> Moved:
        """See `LateReenactor.warp`."""
        return self._classical.move(_ours(encoded).classical, keypoints)

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

    @torch.inference_mode()
    def look(self, encoded: Encoded, keypoints: Keypoints) -> Driven:
        """What `drive` rounds, at the network's side, and what it was made from."""
        return self._drive_whole(_ours(encoded), self.warp(encoded, keypoints), keypoints)

    @torch.inference_mode()
    def _draw(self, pivot: NetworkPivot, moved: Moved, keypoints: Keypoints) -> Drawn:
        if self._lean is None:
            driven = self._drive_whole(pivot, moved, keypoints)
            return Drawn(to_image(driven.picture), driven.correction)
        with mixed(self._device):
            return self._lean.drive(pivot.encoded, moved, self._points(keypoints))

    def _drive_whole(self, pivot: NetworkPivot, moved: Moved, keypoints: Keypoints) -> Driven:
        with mixed(self._device):
            return self._network.drive(pivot.encoded, _carried(moved), self._points(keypoints))

    def _points(self, keypoints: Keypoints) -> Tensor:
        return torch.from_numpy(np.asarray(keypoints, dtype=np.float32))[None].to(self._device)


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


def _carried(moved: Moved) -> Carried:
    return Carried(moved.picture[None] / 255.0, moved.displacement.permute(2, 0, 1)[None].contiguous())


def _ours(encoded: Encoded) -> NetworkPivot:
    if not isinstance(encoded, NetworkPivot):
        raise TypeError(f"{type(encoded).__name__} was encoded by another reenactor")
    return encoded


def _resized(picture: Tensor, side: int) -> Tensor:
    smaller = side < picture.shape[-1]
    return functional.interpolate(picture, (side, side), mode="bilinear", align_corners=False, antialias=smaller)


def to_image(picture: Tensor) -> Image:
    """uint8 (S, S, 3) of a picture (1, 3, S, S) in about [0, 1]."""
    shown = (picture[0].permute(1, 2, 0) * 255.0 + 0.5).clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(shown.cpu().numpy())
