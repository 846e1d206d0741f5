"""The sizes of the reenactment networks; a checkpoint carries its own, so it rebuilds its network."""

from __future__ import annotations

from dataclasses import dataclass

from avcall.common.keypoints import COUNT


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """Channels by level. Levels are named by their share of the picture's side: half, quarter, eighth and so on."""

    keypoints: int = COUNT
    motion: tuple[int, int, int, int] = (24, 48, 72, 96)
    """Correction of the motion at a quarter, an eighth, a sixteenth, a thirty-second of the side."""
    motion_features: int = 16
    """What the motion tells the generator besides the flow."""
    code: int = 64
    """Length of the code that tells every level the shape of mouth and lids, in the pivot and now."""
    encoder: tuple[int, int, int] = (20, 40, 80)
    """Pivot features at a half, a quarter, an eighth."""
    decoder: tuple[int, int, int] = (24, 40, 80)
    blocks: int = 1
    """Residual blocks at each level of the generator."""


LITE = NetworkConfig()
FULL = NetworkConfig(
    motion=(64, 128, 192, 256),
    motion_features=32,
    encoder=(64, 128, 256),
    decoder=(64, 128, 256),
    blocks=2,
)
SIZES = {"lite": LITE, "full": FULL}
