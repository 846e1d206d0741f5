"""The trained network behind the `Reenactor` protocol: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.classical import ClassicalReenactor, Moved
from avcall.models.interfaces import Detailed, Drives, Encoded, Enhancer, ModelId
from avcall.models.precision import mixed, native_bf16
from avcall.models.reenactment.carried_points import CarriedPoints
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.generator import Carried, Driven, EncodedPivot, ReenactmentNetwork
from avcall.models.reenactment.lean import Drawn, LeanNetwork, keep_freed_memory
from avcall.models.reenactment.motion import cell_centres, sample

SIDE = 256
"""What the shipped networks were trained at; other sizes borrow motion and repairs and keep their own pixels."""


@dataclass(frozen=True, slots=True)
class NetworkPivot:
    """A pivot encoded by each network at the networks' side, in their order, and by the classical reenactor; and its
    picture (1, 3, S, S) at its own size where that is another."""

    encoded: tuple[EncodedPivot, ...]
    classical: Encoded
    large: Tensor | None


class PointDetector:
    """The ten mesh points themselves, steadied along the picture's motion, under the id of the network that was trained
    on them."""

    def __init__(self, model: ModelId, carry: bool = True) -> None:
        """`carry`: whether they are steadied; the pictures are then those of one call, in their order."""
        self._model = model
        self._carried = CarriedPoints() if carry else None

    @property
    def model(self) -> ModelId:
        return self._model

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        """`landmarks` (468, 3) of the crop `image`; returns (10, 2)."""
        points = np.ascontiguousarray(landmarks[list(MESH_INDICES), :2], dtype=np.float32)
        return points if self._carried is None else self._carried.steady(image, points)


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
        faster: Mapping[str, ReenactmentNetwork] | None = None,
    ) -> None:
        """`model` is the id that it shares with its detector, `side` what the network was trained at. The networks are
        laid out anew and must not be trained on. `pivot_enhancer` repairs each pivot before anything is made of it;
        `faster` are networks that may stand in for this one, the fastest first; on a CPU they paint the face alone."""
        self._model = model
        self._side = side
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(1)  # more threads gain little here, and starve capture and codecs
            keep_freed_memory()
        self._classical = ClassicalReenactor(device)
        self._enhancer = pivot_enhancer
        self._cheaper: list[tuple[str, Drives]] = [("warp", WarpDrive(self._classical))]
        self._runners = [_Runner(each, self._device, face_only=True) for each in (faster or {}).values()]
        self._runners.append(_Runner(network, self._device))
        for level, name in enumerate(faster or {}):
            self._cheaper.append((name, NetworkDrive(self._runners[level], level, self._classical)))
        self._best = NetworkDrive(self._runners[-1], len(self._runners) - 1, self._classical)

    @classmethod
    def from_weights(
        cls,
        weights: Weights,
        model: ModelId,
        device: str,
        pivot_enhancer: Enhancer | None = None,
        faster: Sequence[Weights] = (),
    ) -> Self:
        """
        Raises:
            CheckpointError: the weights are not those of a reenactment network.
        """
        stand_ins = {each.name: _network(each) for each in faster}
        return cls(_network(weights), model, device, SIDE, pivot_enhancer, stand_ins)

    @property
    def model(self) -> ModelId:
        return self._model

    @property
    def device(self) -> str:
        return self._device.type

    @property
    def cheaper(self) -> Sequence[tuple[str, Drives]]:
        """The same pivots by the classical warp alone, then by the faster networks."""
        return self._cheaper

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
        picture = torch.from_numpy(np.ascontiguousarray(pivot)).to(self._device).permute(2, 0, 1)[None].float() / 255.0
        large = None
        if height != self._side:
            large, picture = picture, _resized(picture, self._side)
        encoded = tuple(runner.encode(picture, keypoints) for runner in self._runners)
        return NetworkPivot(encoded, self._classical.encode(to_image(picture), keypoints), large)

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        return self._best.drive(encoded, keypoints)

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints) -> Detailed | None:
        """The picture at the network's side, and a large pivot's own pixels along the same flow."""
        return self._best.drive_detailed(encoded, keypoints)

    @torch.inference_mode()
    def look(self, encoded: Encoded, keypoints: Keypoints) -> Driven:
        """What `drive` rounds, at the network's side, and what it was made from."""
        pivot = _ours(encoded)
        moved = self._classical.move(pivot.classical, keypoints)
        return self._runners[-1].drive_whole(pivot.encoded[-1], moved, keypoints)


class _Runner:
    """One network on its device, ready to run."""

    def __init__(self, network: ReenactmentNetwork, device: torch.device, *, face_only: bool = False) -> None:
        for parameter in network.parameters():
            parameter.requires_grad_(False)
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            if native_bf16(device.type):
                parameter.data = parameter.data.to(torch.bfloat16)  # autocast would do it again for every frame
        self._device = device
        self._network = network.to(device).eval()
        self._lean = LeanNetwork(self._network, face_only=face_only) if device.type == "cpu" else None

    def encode(self, picture: Tensor, keypoints: Keypoints) -> EncodedPivot:
        with mixed(self._device):
            return self._network.encode(picture, self._points(keypoints))

    def drive(self, pivot: EncodedPivot, moved: Moved, keypoints: Keypoints) -> Drawn:
        if self._lean is None:
            driven = self.drive_whole(pivot, moved, keypoints)
            return Drawn(to_image(driven.picture), driven.correction)
        with mixed(self._device):
            return self._lean.drive(pivot, moved, self._points(keypoints))

    def drive_whole(self, pivot: EncodedPivot, moved: Moved, keypoints: Keypoints) -> Driven:
        with mixed(self._device):
            return self._network.drive(pivot, _carried(moved), self._points(keypoints))

    def _points(self, keypoints: Keypoints) -> Tensor:
        return torch.from_numpy(np.asarray(keypoints, dtype=np.float32))[None].to(self._device)


class NetworkDrive:
    """Drives what a `NetworkReenactor` encoded by one of its networks."""

    def __init__(self, runner: _Runner, level: int, classical: ClassicalReenactor) -> None:
        """`level` is the network's place in `NetworkPivot.encoded`."""
        self._runner, self._level, self._classical = runner, level, classical

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        detailed = self.drive_detailed(encoded, keypoints)
        return self._draw(_ours(encoded), keypoints)[1].image if detailed is None else _joined(detailed)

    @torch.inference_mode()
    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints) -> Detailed | None:
        """As `NetworkReenactor.drive_detailed`."""
        pivot = _ours(encoded)
        if pivot.large is None:
            return None
        moved, drawn = self._draw(pivot, keypoints)
        side = pivot.large.shape[-1]
        flow = _resized(_carried(moved).displacement, side) + _resized(drawn.correction, side)
        where = cell_centres(side, side, flow.device)[None] + flow.permute(0, 2, 3, 1)
        return Detailed(drawn.image, to_image(sample(pivot.large, where, side)))

    @torch.inference_mode()
    def _draw(self, pivot: NetworkPivot, keypoints: Keypoints) -> tuple[Moved, Drawn]:
        moved = self._classical.move(pivot.classical, keypoints)
        return moved, self._runner.drive(pivot.encoded[self._level], moved, keypoints)


class WarpDrive:
    """Drives what a `NetworkReenactor` encoded without a network: the same pivot under the classical warp."""

    def __init__(self, classical: ClassicalReenactor) -> None:
        self._classical = classical

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        detailed = self.drive_detailed(encoded, keypoints)
        return self._classical.drive(_ours(encoded).classical, keypoints) if detailed is None else _joined(detailed)

    @torch.inference_mode()
    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints) -> Detailed | None:
        """As `NetworkReenactor.drive_detailed`."""
        pivot = _ours(encoded)
        if pivot.large is None:
            return None
        moved = self._classical.move(pivot.classical, keypoints)
        side = pivot.large.shape[-1]
        flow = _resized(moved.displacement.permute(2, 0, 1)[None], side)
        where = cell_centres(side, side, flow.device)[None] + flow.permute(0, 2, 3, 1)
        return Detailed(to_image(moved.picture[None] / 255.0), to_image(sample(pivot.large, where, side)))


def _joined(detailed: Detailed) -> Image:
    """The picture at the large pivot's side: the driven one, and what the pivot's own pixels have beyond its size."""
    image, own = (
        torch.from_numpy(part).permute(2, 0, 1)[None].float() / 255.0 for part in (detailed.image, detailed.reference)
    )
    small, side = image.shape[-1], own.shape[-1]
    return to_image(_resized(image, side) + own - _resized(_resized(own, small), side))


def _carried(moved: Moved) -> Carried:
    return Carried(moved.picture[None] / 255.0, moved.displacement.permute(2, 0, 1)[None].contiguous())


def _network(weights: Weights) -> ReenactmentNetwork:
    if weights.kind != "reenactor":
        raise CheckpointError(f"weights {weights.name!r} hold a {weights.kind}, not a reenactor")
    network = ReenactmentNetwork(rebuild_config(NetworkConfig, weights))
    fill(network, weights)
    return network


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
