"""The systems an evaluation knows by name, besides every model that `--model` takes."""

from __future__ import annotations

from typing import TypeAlias

from avcall.bench.evaluate_config import LITE, WARP_ONLY
from avcall.common.keypoints import Image, Keypoints
from avcall.models.checkpoint import load_weights
from avcall.models.interfaces import Encoded, KeypointDetector, Reenactor
from avcall.models.reenactment.reenactor import NetworkReenactor, to_image
from avcall.models.registry import load_pair

Pair: TypeAlias = tuple[KeypointDetector, Reenactor]


class WarpOnly(NetworkReenactor):
    """The lite network's warped pivot without what it paints: what restoration and motion alone are worth."""

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The restored pivot moved to the driving keypoints, at the network's own size (256)."""
        return to_image(self.look(encoded, keypoints).warped)


def load_system(name: str, device: str) -> Pair:
    """The detector and reenactor of a system or model; REPEAT_PIVOT has none and is not asked for.

    Raises:
        ConfigError: no such model. CheckpointError: its weights are missing or damaged.
    """
    if name != WARP_ONLY:
        return load_pair(name, device)
    detector, whole = load_pair(LITE, device)
    return detector, WarpOnly.from_weights(load_weights(LITE), whole.model, device)
