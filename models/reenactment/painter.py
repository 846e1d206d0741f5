"""Where the network computes: it makes ready each pivot, and draws on what the warp has moved.

`NetworkPainter` is the network in this process, `avcall.models.reenactment.painter_process` one in a process of its
own. What a painter keeps of a pivot, only it looks into.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image, Keypoints
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.classical import Moved
from avcall.models.classical_reader import Known, PivotReader
from avcall.models.interfaces import Enhancer
from avcall.models.precision import lay_out, mixed
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.generator import Carried, Driven, EncodedPivot, ReenactmentNetwork
from avcall.models.reenactment.lean import Drawn, LeanNetwork, keep_freed_memory

SIDE = 256
"""What the shipped networks were trained at; other sizes borrow motion and repairs and keep their own pixels."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pivot that a painter has made ready."""

    picture: Image
    """At the network's side, repaired where it was coded."""
    large: Image | None
    """At its own size, where that is another."""
    known: Known
    """What the warp needs of `picture`."""
    kept: Any
    """The painter's own."""


class Painter(Protocol):
    """One thread may prepare while another paints."""

    @property
    def device(self) -> str:
        """Where it computes: "cpu" or "cuda"."""

    def prepare(self, pivot: Image, keypoints: Keypoints, coded: bool) -> Prepared:
        """`pivot` (S, S, 3) with the keypoints (10, 2) that the sender measured on it; `coded`: repaired first.

        Raises:
            FloatingPointError: its repair gave no finite numbers. NetworkGoneError: there is no network any more.
        """

    def paint(self, kept: Any, moved: Moved, keypoints: Keypoints) -> Drawn:
        """Draws on a pivot that the warp has moved to the driving keypoints (10, 2).

        Raises:
            NetworkGoneError: there is no network any more.
        """


class NetworkGoneError(Exception):
    """The network's process has ended, or does not answer: a call goes on with the warp."""


class NetworkPainter:
    """Runs a `ReenactmentNetwork` in bf16 where the processor multiplies it natively, else in float32."""

    def __init__(
        self, network: ReenactmentNetwork, device: str, side: int = SIDE, pivot_enhancer: Enhancer | None = None
    ) -> None:
        """`side` is what the network was trained at. The network is laid out anew and must not be trained on.
        `pivot_enhancer` repairs each coded pivot before anything is made of it."""
        self._side = side
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(1)  # more threads gain little here, and starve capture and codecs
            keep_freed_memory()
        lay_out(network, device)
        self._network = network
        self._lean = LeanNetwork(self._network) if device == "cpu" else None
        self._reader = PivotReader()
        self._enhancer = pivot_enhancer

    @classmethod
    def from_weights(cls, weights: Weights, device: str, pivot_enhancer: Enhancer | None = None) -> Self:
        """
        Raises:
            CheckpointError: the weights are not those of a reenactment network.
        """
        if weights.kind != "reenactor":
            raise CheckpointError(f"weights {weights.name!r} hold a {weights.kind}, not a reenactor")
        network = ReenactmentNetwork(rebuild_config(NetworkConfig, weights))
        fill(network, weights)
        return cls(network, device, SIDE, pivot_enhancer)

    @property
    def device(self) -> str:
        return self._device.type

    @torch.inference_mode()
    def prepare(self, pivot: Image, keypoints: Keypoints, coded: bool) -> Prepared:
        """See `Painter`."""
        whole = self._enhancer.enhance(pivot) if coded and self._enhancer is not None else pivot
        small = at_side(whole, self._side)
        picture = torch.from_numpy(small.copy()).to(self._device).permute(2, 0, 1)[None].float() / 255.0
        with mixed(self._device):
            encoded = self._network.encode(picture, self._points(keypoints))
        return Prepared(small, None if small is whole else whole.copy(), self._reader.read(small, keypoints), encoded)

    @torch.inference_mode()
    def paint(self, kept: EncodedPivot, moved: Moved, keypoints: Keypoints) -> Drawn:
        """See `Painter`."""
        if self._lean is None:
            driven = self.drive(kept, moved, keypoints)
            return Drawn(to_image(driven.picture), driven.correction)
        with mixed(self._device):
            return self._lean.drive(kept, moved, self._points(keypoints))

    @torch.inference_mode()
    def drive(self, kept: EncodedPivot, moved: Moved, keypoints: Keypoints) -> Driven:
        """What `paint` rounds, at the network's side, and what it was made from."""
        carried = Carried(moved.picture[None] / 255.0, moved.displacement.permute(2, 0, 1)[None].contiguous())
        with mixed(self._device):
            return self._network.drive(kept, carried, self._points(keypoints))

    def _points(self, keypoints: Keypoints) -> Tensor:
        return torch.from_numpy(np.asarray(keypoints, dtype=np.float32))[None].to(self._device)


def at_side(image: Image, side: int) -> Image:
    """The square picture at `side` pixels; itself where it has them."""
    if len(image) == side:
        return image
    picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255.0
    smaller = side < len(image)
    return to_image(
        functional.interpolate(picture, (side, side), mode="bilinear", align_corners=False, antialias=smaller)
    )


def to_image(picture: Tensor) -> Image:
    """uint8 (S, S, 3) of a picture (1, 3, S, S) in about [0, 1]."""
    shown = (picture[0].permute(1, 2, 0) * 255.0 + 0.5).clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(shown.cpu().numpy())
