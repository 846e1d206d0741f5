"""Dimensions of the interpolation network; its weights file carries them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class InterpolationConfig:
    """One entry a level, the coarsest first."""

    scales: tuple[int, ...] = (8, 4)
    """A level sees the pictures reduced by this."""
    channels: tuple[int, ...] = (64, 48)
    layers: tuple[int, ...] = (4, 4)
    hints: int = 8
    """Channels, besides motion and mask, that a level hands to the next."""


SIZES = {
    "lite": InterpolationConfig(),
    "full": InterpolationConfig(scales=(4, 2), channels=(128, 96), layers=(8, 8), hints=16),
}
