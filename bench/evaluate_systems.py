"""The systems an evaluation knows by name, besides every model that `--model` takes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch

from avcall.bench.evaluate_config import LITE, WARP_ONLY
from avcall.common.keypoints import Image, Keypoints
from avcall.models.checkpoint import load_weights
from avcall.models.interfaces import Encoded, KeypointDetector, Reenactor
from avcall.models.reenactment.reenactor import NetworkPivot, NetworkReenactor
from avcall.models.registry import load_pair

Pair: TypeAlias = tuple[KeypointDetector, Reenactor]


class WarpOnly(NetworkReenactor):
    """The lite network's warped pivot without its repairs: what the motion alone is worth."""

    @torch.inference_mode()
    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot's pixels moved to the driving keypoints, at the network's own size (256)."""
        if not isinstance(encoded, NetworkPivot):
            raise TypeError(f"{type(encoded).__name__} was encoded by another reenactor")
        with self._precision():
            warped = self._network.drive(encoded.encoded, self._points(keypoints)).warped
        shown = (warped[0].permute(1, 2, 0).float() * 255.0 + 0.5).clamp_(0, 255).to(torch.uint8)
        return np.ascontiguousarray(shown.cpu().numpy())


def load_system(name: str, device: str) -> Pair:
    """The detector and reenactor of a system or model; REPEAT_PIVOT has none and is not asked for.

    Raises:
        ConfigError: no such model. CheckpointError: its weights are missing or damaged.
    """
    if name != WARP_ONLY:
        return load_pair(name, device)
    detector, whole = load_pair(LITE, device)
    return detector, WarpOnly(load_weights(LITE), whole.model, device)
