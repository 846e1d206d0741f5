"""The interpolation network: corrects a first guess of the motion and finds which picture shows what.

The guess is the twin's optical flow (`avcall.models.interpolation.flow`). As in IFNet (Huang et al., "Real-Time
Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022) each level looks at both pictures, moved by what
is known so far, and corrects it, coarse to fine. Motions are scaled by the distance in time, and the mask starts from
it: before training both pictures move as the twin moves them, and at times 0 and 1 it is always the picture itself. The
finest level of lite works at a quarter of the size; only the last move and the blend are done at full size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avcall.models.interpolation.config import InterpolationConfig

CELL = 16
"""Heights and widths must be multiples of this: the coarsest level sees an eighth and folds it by two."""
_TIME_LIMIT = 1e-3
"""Times are kept this far from 0 and 1 where their logit is taken."""
_STEEP, _EARLIER = 3.0, 1.5
"""How much steeper than the distance in time the mask starts, and its lean to the earlier picture: a mixture of both is
softer than either, and of two that are as good none would ever learn to give way."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where the picture at one time comes from, at the size (h, w) that its level sees."""

    flow: Tensor
    """(N, 4, h, w) in pixels of the whole picture: (x, y) into `before`, (x, y) into `after`."""
    mask: Tensor
    """(N, 1, h, w): the share of `before`."""


class Level(nn.Module):
    """One level: corrects motion, mask and hints."""

    def __init__(self, told: int, channels: int, layers: int, hints: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4 * told, channels, 3, 1, 1)
        self.body = nn.ModuleList(nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(layers))
        self.leave = nn.Conv2d(channels, 4 * (5 + hints), 3, 1, 1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        x = functional.leaky_relu(self.enter(x), 0.1)
        for layer in self.body:
            x = functional.leaky_relu(x + layer(x), 0.1)
        return functional.pixel_shuffle(self.leave(x), 2).float()


class InterpolationNetwork(nn.Module):
    """Pictures are float32 (N, 3, H, W), RGB, [0, 1], H and W multiples of CELL; times float32 (N,) in [0, 1]."""

    def __init__(self, config: InterpolationConfig) -> None:
        super().__init__()
        self.config = config
        told = 3 + 3 + 1 + 4 + 1 + config.hints
        sizes = zip(config.channels, config.layers, strict=True)
        self.levels = nn.ModuleList(Level(told, *size, config.hints) for size in sizes)

    def forward(
        self, before: Tensor, after: Tensor, flows: Tensor, time: Tensor, every_level: bool = False
    ) -> list[Motion]:
        """The motion after the last level, or after each, the best last. `flows` (N, 4, H/q, W/q),
        where q is the coarsest level's scale, are in pixels of the whole picture: (x, y) forth, (x, y) back."""
        time = time.view(-1, 1, 1, 1)
        apart = torch.cat([time, time, 1.0 - time, 1.0 - time], 1)
        finest = self.config.scales[-1]
        fine = functional.avg_pool2d(torch.cat([before, after], 1), finest)
        narrow = next(self.parameters()).dtype
        coarser = self.config.scales[0]
        guess = (time * flows[:, 2:] - (1.0 - time) * flows[:, :2]) / coarser
        rest = guess.new_zeros(guess.shape[0], 1 + self.config.hints, *guess.shape[2:])
        state = torch.cat([guess, -guess, rest], 1)
        found = []
        for level, scale in zip(self.levels, self.config.scales, strict=True):
            small = fine if scale == finest else functional.avg_pool2d(fine, scale // finest)
            if scale != coarser:  # displacements are in pixels of the level's own size
                state = functional.interpolate(state, small.shape[2:], mode="bilinear", align_corners=False)
                state = torch.cat([state[:, :4] * (coarser / scale), state[:, 4:]], 1)
            seen = warped(small, state[:, :4] * apart)
            plane = time.expand(-1, 1, *small.shape[2:])
            told = [x.to(narrow) for x in (seen, plane, state)]
            state = state + level(torch.cat(told, 1))
            coarser = scale
            if every_level or scale == finest:
                lean = _STEEP * torch.logit(1.0 - time, _TIME_LIMIT) + _EARLIER
                mask = torch.sigmoid(lean + state[:, 4:5])
                found.append(Motion(state[:, :4] * apart * scale, mask))
        return found


def warped(both: Tensor, flow: Tensor) -> Tensor:
    """Both pictures (N, 6, H, W), each taken from where its half of `flow` (N, 4, H, W), in pixels, points to."""
    height, width = both.shape[2:]
    x = torch.arange(width, device=both.device, dtype=torch.float32)
    y = torch.arange(height, device=both.device, dtype=torch.float32)[:, None]
    shown = []
    for start in (0, 1):
        at_x = (x + flow[:, 2 * start]) * (2.0 / (width - 1)) - 1.0
        at_y = (y + flow[:, 2 * start + 1]) * (2.0 / (height - 1)) - 1.0
        picture = both[:, 3 * start : 3 * start + 3]
        grid = torch.stack([at_x, at_y], -1)
        shown.append(functional.grid_sample(picture, grid, padding_mode="border", align_corners=True))
    return torch.cat(shown, 1)


def compose(before: Tensor, after: Tensor, motion: Motion) -> Tensor:
    """The picture (N, 3, H, W) that a motion makes of the two; differentiable."""
    size = before.shape[2:]
    flow = functional.interpolate(motion.flow, size, mode="bilinear", align_corners=False)
    mask = functional.interpolate(motion.mask, size, mode="bilinear", align_corners=False)
    both = warped(torch.cat([before, after], 1), flow)
    return both[:, :3] * mask + both[:, 3:] * (1.0 - mask)
