"""The trained network behind the `Reenactor` protocol: numpy in, numpy out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.interfaces import Encoded, ModelId
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.generator import EncodedPivot, ReenactmentNetwork
from avcall.models.reenactment.motion import sample

SIDE = 256
"""What the network was trained at; other sizes borrow its motion and repairs and keep their own pixels."""


@dataclass(frozen=True, slots=True)
class NetworkPivot:
    """An encoded pivot; `large` is its picture at its own size where that is not SIDE."""

    encoded: EncodedPivot
    large: Tensor | None


class PointDetector:
    """The ten mesh points themselves, under the id of the network that was trained on them."""

    def __init__(self, model: ModelId) -> None:
        self._model = model

    @property
    def model(self) -> ModelId:
        return self._model

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        """`landmarks` (468, 3) of the crop `image`; returns (10, 2)."""
        return np.ascontiguousarray(landmarks[list(MESH_INDICES), :2], dtype=np.float32)


class NetworkReenactor:
    """Runs a `ReenactmentNetwork` in bf16 where the processor multiplies it natively, else in float32."""

    def __init__(self, weights: Weights, model: ModelId, device: str) -> None:
        """`model` is the id that it shares with its detector.

        Raises:
            CheckpointError: the weights are not those of a reenactment network.
        """
        if weights.kind != "reenactor":
            raise CheckpointError(f"weights {weights.name!r} hold a {weights.kind}, not a reenactor")
        self._model = model
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(1)  # more threads gain little here, and starve capture and codecs
        self._bf16 = device == "cuda" or bool(torch.cpu._is_avx512_bf16_supported())
        network = ReenactmentNetwork(rebuild_config(NetworkConfig, weights))
        fill(network, weights)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            if self._bf16:
                parameter.data = parameter.data.to(torch.bfloat16)  # autocast would do it again for every frame
        self._network = network.to(self._device).eval()

    @property
    def model(self) -> ModelId:
        return self._model

    @property
    def device(self) -> str:
        return self._device.type

    @torch.inference_mode()
    def encode(self, pivot: Image, keypoints: Keypoints) -> NetworkPivot:
        """All work that depends on the pivot alone; the pivot is square.

        Raises:
            ValueError: a pivot that is not square.
        """
        height, width = pivot.shape[:2]
        if height != width:
            raise ValueError(f"a pivot of {width}x{height}: the network wants squares")
        picture = self._picture(pivot)
        large = None
        if height != SIDE:
            large = picture
            smaller = height > SIDE
            picture = functional.interpolate(
                picture, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=smaller
            )
        with self._precision():
            return NetworkPivot(self._network.encode(picture, self._points(keypoints)), large)

    @torch.inference_mode()
    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        if not isinstance(encoded, NetworkPivot):
            raise TypeError(f"{type(encoded).__name__} was encoded by another reenactor")
        with self._precision():
            driven = self._network.drive(encoded.encoded, self._points(keypoints))
        picture = driven.picture
        if encoded.large is not None:
            side = encoded.large.shape[-1]
            # repairs are smooth enough to enlarge, pixels are not: those come from the large pivot along the same flow
            repairs = driven.picture - driven.warped * (1.0 - driven.repaired)
            enlarged = functional.interpolate(
                torch.cat([repairs, driven.repaired, driven.where], 1),
                (side, side),
                mode="bilinear",
                align_corners=True,
            )
            warped = sample(encoded.large, enlarged[:, 4:].permute(0, 2, 3, 1), side)
            picture = warped * (1.0 - enlarged[:, 3:4]) + enlarged[:, :3]
        shown = (picture[0].permute(1, 2, 0) * 255.0 + 0.5).clamp_(0, 255).to(torch.uint8)
        return np.ascontiguousarray(shown.cpu().numpy())

    def _picture(self, image: Image) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255.0

    def _points(self, keypoints: Keypoints) -> Tensor:
        return torch.from_numpy(np.asarray(keypoints, dtype=np.float32))[None].to(self._device)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)
