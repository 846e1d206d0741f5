"""FOMM behind our interface: a checkpoint of the First Order Motion Model, or what `avcall train fomm` wrote."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image, Keypoints, Landmarks
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.fomm_networks import Fomm, FommConfig, FommDetector, FommGenerator
from avcall.models.interfaces import Encoded, ModelId
from avcall.models.precision import mixed

SIDE = 256


@dataclass(frozen=True, slots=True)
class FommPivot:
    features: Tensor
    small: Tensor
    keypoints: Tensor


class FommPointDetector:
    """FOMM's detector behind `KeypointDetector`; it does not need the mesh."""

    def __init__(self, network: FommDetector, model: ModelId, device: str) -> None:
        self._network, self._model, self._device = network, model, device

    @property
    def model(self) -> ModelId:
        return self._model

    @torch.inference_mode()
    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        found = self._network(_tensor(image, self._device))[0]
        return np.asarray(found.cpu().numpy(), dtype=np.float32)


class FommReenactor:
    """FOMM's generator behind `Reenactor`, for pictures of 256x256."""

    def __init__(self, network: FommGenerator, model: ModelId, device: str) -> None:
        self._network, self._model, self._device = network, model, device

    @property
    def model(self) -> ModelId:
        return self._model

    @property
    def device(self) -> str:
        return self._device

    @torch.inference_mode()
    def encode(self, pivot: Image, keypoints: Keypoints) -> FommPivot:
        """
        Raises:
            ValueError: a pivot that is not 256x256, which is all that FOMM's weights know.
        """
        if pivot.shape[:2] != (SIDE, SIDE):
            raise ValueError(f"FOMM wants pictures of {SIDE}x{SIDE}, not {pivot.shape[1]}x{pivot.shape[0]}")
        with mixed(self._device):  # FOMM is slow enough
            features, small = self._network.encode(_tensor(pivot, self._device))
        return FommPivot(features, small, torch.from_numpy(np.array(keypoints))[None].to(self._device))

    @torch.inference_mode()
    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        if not isinstance(encoded, FommPivot):
            raise TypeError(f"{type(encoded).__name__} was encoded by another reenactor")
        points = torch.from_numpy(np.array(keypoints))[None].to(self._device)
        with mixed(self._device):  # FOMM is slow enough
            picture = self._network.drive(encoded.features, encoded.small, encoded.keypoints, points)[0].float()
        shown = (picture.permute(1, 2, 0) * 255.0 + 0.5).to(torch.uint8)
        return np.ascontiguousarray(shown.cpu().numpy())


def fomm_of_weights(weights: Weights, device: str) -> tuple[FommPointDetector, FommReenactor]:
    """The pair of what `avcall train fomm` wrote.

    Raises:
        CheckpointError: the weights are not FOMM's.
    """
    network = Fomm(rebuild_config(FommConfig, weights))
    fill(network, weights)
    return _pair(network.kp_detector, network.generator, ModelId(weights.name, weights.short_hash), device)


def load_fomm(path: Path, device: str) -> tuple[FommPointDetector, FommReenactor]:
    """The pair of a FOMM checkpoint (`.pth.tar`); numbers only are read from it, no code runs.

    Raises:
        CheckpointError: missing, damaged, not FOMM's, or for another number of keypoints than ten.
    """
    try:
        data = path.read_bytes()
        # weights_only: torch's own unpickler of plain containers and tensors
        parts: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        states = {name: dict(parts[name]) for name in ("kp_detector", "generator")}
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is no FOMM checkpoint ({type(error).__name__})") from error
    detector, generator = FommDetector(), FommGenerator()
    wanted = {k: v for k, v in states["kp_detector"].items() if not k.startswith("jacobian.")}
    try:
        detector.load_state_dict(wanted)
        generator.load_state_dict(states["generator"])
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path} is not a vox-256 FOMM with ten keypoints: {first}") from error
    model = ModelId("fomm", hashlib.sha256(data).hexdigest()[:8])
    return _pair(detector, generator, model, device)


def _pair(
    detector: FommDetector, generator: FommGenerator, model: ModelId, device: str
) -> tuple[FommPointDetector, FommReenactor]:
    return (
        FommPointDetector(detector.to(device).eval(), model, device),
        FommReenactor(generator.to(device).eval(), model, device),
    )


def _tensor(image: Image, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].float() / 255.0
