"""What training lowers: L1 over a pyramid, LPIPS, both with more weight on lips and lids, and where those are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avcall.models.lpips import Lpips
from avcall.models.reenactment.generator import Driven
from avcall.models.reenactment.motion import heat_maps, sample
from avcall.models.training.landmark_network import EYE_GAP, MOUTH_GAP, LandmarkNetwork, windows

SCALES = (1, 2, 4)
ATTENTION = 5.0
"""Extra weight of a pixel in the middle of a lip or a lid."""
ATTENTION_POINTS = (0, 1, 2, 3, 6, 7)
ATTENTION_SIGMA = 0.07


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    pixels: float = 1.0
    warp: float = 0.5
    """On the warp alone, which teaches the flow."""
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
    driven: Driven,
    carried: Tensor,
    truth: Tensor,
    weights: Tensor,
    lpips: Lpips,
    amount: LossWeights,
    shift: tuple[int, int],
) -> dict[str, Tensor]:
    """The terms, each already weighted; training lowers their sum. `truth` is (N, 3, S, S) in [0, 1], `carried` the
    whole classical picture.

    `shift` (0 to 7 pixels) cuts what LPIPS sees: its first layer looks at every fourth place only, and a picture could
    learn to be right just there.
    """
    top, left = shift
    correction = driven.correction
    warped = sample(carried.detach(), driven.where, carried.shape[-1])
    bend = (correction[..., 1:, :] - correction[..., :-1, :]).abs().mean()
    bend = bend + (correction[..., 1:] - correction[..., :-1]).abs().mean()
    return {
        "pixels": amount.pixels * pyramid(driven.picture, truth, weights),
        "warp": amount.warp * pyramid(warped, truth, weights),
        "perceptual": amount.perceptual * lpips(driven.picture[..., top:, left:], truth[..., top:, left:]).mean(),
        "smoothness": amount.smoothness * bend * 32,
        "repair": amount.repair * driven.repaired.mean(),
    }


def landmark_loss(reader: LandmarkNetwork, shown: Tensor, truth: Tensor, keypoints: Tensor) -> Tensor:
    """How far lips and lids lie from where they should, in parts of the window that `reader` sees, plus the same of how
    far mouth and eyes are open; windows that reach out of the picture do not count.

    `shown` and `truth` are (N, 3, S, S), `keypoints` (N, 10, 2) in their coordinates.
    """
    places = windows(keypoints)
    with torch.no_grad():
        targets = reader(truth, places)
    total = torch.zeros((), device=shown.device)
    for window, told, target, (upper, lower) in zip(
        places, reader(shown, places), targets, (MOUTH_GAP, EYE_GAP, EYE_GAP), strict=True
    ):
        inside = ((window.origin.abs().amax(-1) + window.extent()) <= 1.0).float()
        error = (told - target).abs().mean((1, 2))
        gap = ((told[:, lower] - told[:, upper]) - (target[:, lower] - target[:, upper])).abs().mean(-1)
        total = total + ((error + gap) * inside).sum() / len(shown)
    return total
