"""The enhancement network: adds to a picture what coder, warp and interpolation have taken from it.

It sees one picture and adds a residual that is zero before training. Nothing in it remembers earlier frames, so it
cannot drift, and a picture that stands still stays still. Most of the work is done at a quarter of the side: there a
3x3 convolution sees an eyelid, and costs a sixteenth. The same network, with weights of its own for each, does two
jobs: it repairs each pivot once, and, where there is time for it, every picture that is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhancementShape:
    """Channels at a half, a quarter and an eighth of the side, and residual blocks at the latter two; 0 channels at the
    eighth leave that level out."""

    half: int = 32
    quarter: int = 64
    blocks: int = 3
    eighth: int = 0
    deep_blocks: int = 0

    @property
    def multiple(self) -> int:
        """Sides must be divisible by this."""
        return 8 if self.eighth else 4


SIZES = {
    "lite": EnhancementShape(half=32, quarter=64, blocks=4, eighth=96, deep_blocks=3),
    "full": EnhancementShape(half=64, quarter=160, blocks=8, eighth=256, deep_blocks=6),
}


class _Block(nn.Module):
    """Residual block of two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.second(functional.leaky_relu(self.first(x), 0.1)))


class _Deep(nn.Module):
    """What the eighth adds to the quarter: there a 3x3 convolution sees an eye."""

    def __init__(self, shape: EnhancementShape) -> None:
        super().__init__()
        self.down = nn.Conv2d(shape.quarter, shape.eighth, 3, 2, 1)
        self.blocks = nn.Sequential(*(_Block(shape.eighth) for _ in range(shape.deep_blocks)))
        self.up = nn.Conv2d(shape.eighth, 4 * shape.quarter, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(functional.leaky_relu(self.down(x), 0.1))
        return functional.pixel_shuffle(functional.leaky_relu(self.up(x), 0.1), 2)


class EnhancementNetwork(nn.Module):
    """Pictures (N, 3, H, W), RGB in [0, 1], sides divisible by `shape.multiple`, to residuals of the same shape."""

    def __init__(self, shape: EnhancementShape) -> None:
        super().__init__()
        self.shape = shape
        self.enter = nn.Conv2d(12, shape.half, 3, 1, 1)
        self.down = nn.Conv2d(shape.half, shape.quarter, 3, 2, 1)
        self.blocks = nn.Sequential(*(_Block(shape.quarter) for _ in range(shape.blocks)))
        self.deep = _Deep(shape) if shape.eighth else None
        self.up = nn.Conv2d(shape.quarter, 4 * shape.half, 1)
        self.join = nn.Conv2d(shape.half, shape.half, 3, 1, 1)
        self.leave = nn.Conv2d(shape.half, 12, 3, 1, 1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, picture: Tensor) -> Tensor:
        half = functional.leaky_relu(self.enter(functional.pixel_unshuffle(picture - 0.5, 2)), 0.1)
        quarter = functional.leaky_relu(self.down(half), 0.1)
        if self.deep is not None:
            quarter = quarter + self.deep(quarter)
        quarter = self.blocks(quarter)
        half = half + functional.pixel_shuffle(self.up(quarter), 2)
        half = functional.leaky_relu(self.join(functional.leaky_relu(half, 0.1)), 0.1)
        return functional.pixel_shuffle(self.leave(half), 2)


def enhance(network: EnhancementNetwork, picture: Tensor) -> Tensor:
    """The picture with its residual, float32, not clamped. Takes EnhancementNetwork's shapes."""
    return picture + torch.as_tensor(network(picture)).float()
