"""What training lowers: L1 over a pyramid, LPIPS, both with more weight on lips and lids."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avcall.models.lpips import Lpips
from avcall.models.reenactment.generator import Driven
from avcall.models.reenactment.motion import heat_maps

SCALES = (1, 2, 4)
ATTENTION = 5.0
"""Extra weight of a pixel in the middle of a lip or a lid."""
ATTENTION_POINTS = (0, 1, 2, 3, 6, 7)
ATTENTION_SIGMA = 0.07


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    pixels: float = 1.0
    warp: float = 0.5
    perceptual: float = 1.0
    smoothness: float = 0.02
    repair: float = 0.002
    """On the share of the picture that is painted: what a warp can show, a warp shall show."""


def attention(driving: Tensor, grid: Tensor) -> Tensor:
    """Weights (N, 1, H, W) of the pixels, mean about one, from the driving keypoints (N, K, 2)."""
    heat = heat_maps(driving[:, ATTENTION_POINTS], grid, ATTENTION_SIGMA)
    return 1.0 + ATTENTION * heat.amax(1, keepdim=True)


def pyramid(shown: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Weighted L1, summed over scales."""
    total = torch.zeros((), device=shown.device)
    for scale in SCALES:
        if scale > 1:
            shown, truth, weights = (functional.avg_pool2d(x, 2) for x in (shown, truth, weights))
        total = total + ((shown - truth).abs() * weights).mean()
    return total


def reenactment_losses(
    driven: Driven, truth: Tensor, weights: Tensor, lpips: Lpips, amount: LossWeights, shift: tuple[int, int]
) -> dict[str, Tensor]:
    """The terms, each already weighted; training lowers their sum. `truth` is (N, 3, S, S) in [0, 1].

    `shift` (0 to 7 pixels) cuts what LPIPS sees: its first layer looks at every fourth place only, and a picture could
    learn to be right just there.
    """
    top, left = shift
    residual = driven.residual
    bend = (residual[..., 1:, :] - residual[..., :-1, :]).abs().mean()
    bend = bend + (residual[..., 1:] - residual[..., :-1]).abs().mean()
    return {
        "pixels": amount.pixels * pyramid(driven.picture, truth, weights),
        "warp": amount.warp
        * (pyramid(driven.warped, truth, weights) + pyramid(driven.coarsely_warped, truth, weights)),
        "perceptual": amount.perceptual * lpips(driven.picture[..., top:, left:], truth[..., top:, left:]).mean(),
        "smoothness": amount.smoothness * bend * 128,
        "repair": amount.repair * driven.repaired.mean(),
    }
