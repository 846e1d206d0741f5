"""The network that doubles a picture, with or without a reference.

It works on cells of 4 x 4 pixels of the doubled picture: what is told of a cell is put into channels (pixel unshuffle,
Shi et al., CVPR 2016, in both directions), a few convolutions look at its neighbours, and its 16 pixels come out at
once. The output is a correction of what is there already: the bicubic enlargement, and with a reference the mixture of
both by a learned mask, so that before training the network is bicubic enlargement, or half of each.

There are no normalisation layers and nothing looks farther than `halo` cells, so a patch with that much around it comes
out as it would in the whole picture: patches have no seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avcall.models.reenactment.motion import silence

CELL = 4
"""Side of a cell in pixels of the doubled picture."""
_PIXELS = CELL * CELL
_SLOPE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperResolutionConfig:
    """Dimensions of the network; a checkpoint carries its own."""

    guided: bool = True
    """Whether there is a reference."""
    channels: int = 64
    blocks: int = 3
    """Convolutions between the first and the last, each with a way around it."""

    @property
    def halo(self) -> int:
        """How many cells around it the pixels of a cell depend on."""
        return self.blocks + 2

    @property
    def inputs(self) -> int:
        """Channels of a cell: its pixels in the small picture, and in the reference."""
        return 3 * _PIXELS // 4 + (3 * _PIXELS if self.guided else 0)


SIZES = {
    ("lite", True): SuperResolutionConfig(),
    ("lite", False): SuperResolutionConfig(guided=False),
    ("full", True): SuperResolutionConfig(channels=128, blocks=8),
    ("full", False): SuperResolutionConfig(guided=False, channels=128, blocks=8),
}
"""By size and whether there is a reference."""


class SuperResolutionNetwork(nn.Module):
    """Pictures are float (N, 3, H, W), RGB, [0, 1]; H and W of the small one are even."""

    def __init__(self, config: SuperResolutionConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Conv2d(config.inputs, config.channels, 3, 1, 1)
        self.body = nn.ModuleList(nn.Conv2d(config.channels, config.channels, 3, 1, 1) for _ in range(config.blocks))
        self.last = nn.Conv2d(config.channels, (4 if config.guided else 3) * _PIXELS, 3, 1, 1)
        silence(self.last)

    def forward(self, small: Tensor, reference: Tensor | None = None) -> Tensor:
        """The doubled picture (N, 3, 2H, 2W); `reference` has its size."""
        cells = functional.pixel_unshuffle(small, CELL // 2)
        enlarged = functional.interpolate(small, scale_factor=2.0, mode="bicubic", align_corners=False)
        if self.config.guided:
            assert reference is not None
            cells = torch.cat([functional.pixel_unshuffle(reference, CELL), cells], 1)
        told = self.cells(cells - 0.5).float()
        picture = enlarged + functional.pixel_shuffle(told[:, : 3 * _PIXELS], CELL)
        if reference is not None:
            mask = torch.sigmoid(functional.pixel_shuffle(told[:, 3 * _PIXELS :], CELL))
            picture = picture + mask * (reference - enlarged)
        return picture

    def cells(self, cells: Tensor) -> Tensor:
        """The convolutions alone: what is told of each cell (N, inputs, h, w), in [-0.5, 0.5], reference first, to its
        correction (N, 48, h, w) and, guided, its mask before the sigmoid (N, 16, h, w)."""
        x = functional.leaky_relu(self.first(cells), _SLOPE, inplace=True)
        for block in self.body:
            x = functional.leaky_relu(x + block(x), _SLOPE, inplace=True)
        told: Tensor = self.last(x)
        return told
