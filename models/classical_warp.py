"""The dense part in torch: a triangle mesh becomes a backward map, a backward map moves a picture.

Positions are (x, y) in the keypoint convention (`align_corners=True`). One path for CPU and CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def base_grid(side: int, device: torch.device) -> Tensor:
    """Every pixel's own position, float32 (side, side, 2)."""
    line = torch.linspace(-1.0, 1.0, side, device=device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels in a square picture."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def mesh_displacement(
    target: Tensor, source: Tensor, triangles: Tensor, side: int, window: Window | None = None
) -> tuple[Tensor, Tensor]:
    """Where each pixel of a `side` x `side` grid comes from, minus where it is: float32 (side, side, 2), and which
    pixels lie in some triangle: bool (side, side). With `window`, only that part of the grid.

    `target` and `source` (V, 2) are the corners' new and old positions. Where triangles overlap (a fold, a cheek
    behind a nose) the later one in `triangles` (T, 3) wins; where there is none the displacement is zero.
    """
    device = target.device
    window = window or Window(0, 0, side, side)
    scale = (side - 1) / 2.0
    origin = torch.tensor([window.left, window.top], dtype=torch.float32, device=device)
    size = torch.tensor([window.width, window.height], dtype=torch.float32, device=device)
    corners = ((target + 1.0) * scale - origin)[triangles]  # (T, 3, 2) in grid pixels
    low = corners.amin(dim=1).ceil().clamp(min=0.0)
    high = torch.minimum(corners.amax(dim=1).floor(), size - 1.0)
    extent = torch.minimum((high - low + 1.0).clamp(min=0.0), size).long()
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    twice_area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    count = extent[:, 0] * extent[:, 1] * (twice_area.abs() > 1e-4)
    safe = torch.where(twice_area.abs() > 1e-4, twice_area, torch.ones_like(twice_area))
    # barycentric coordinates of B and C as affine functions of the pixel: (T, 3) each for x, y, 1
    to_b = torch.stack([ac[:, 1], -ac[:, 0], ac[:, 0] * a[:, 1] - ac[:, 1] * a[:, 0]], dim=1) / safe[:, None]
    to_c = torch.stack([-ab[:, 1], ab[:, 0], ab[:, 1] * a[:, 0] - ab[:, 0] * a[:, 1]], dim=1) / safe[:, None]

    # every pixel of every triangle's box, as one ragged list
    owner = torch.repeat_interleave(torch.arange(len(triangles), device=device), count)
    offset = torch.arange(len(owner), device=device) - (count.cumsum(0) - count).index_select(0, owner)
    table = torch.cat([to_b.T, to_c.T, low.T, extent[:, :1].T.float()]).index_select(1, owner)
    row = torch.floor((offset + 0.5) / table[8])
    x = table[6] + offset - row * table[8]
    y = table[7] + row
    b = table[0] * x + table[1] * y + table[2]
    c = table[3] * x + table[4] * y + table[5]
    inside = torch.minimum(torch.minimum(b, c), 1.0 - b - c) >= -1e-3
    pixel = (y * window.width + x).long()
    winner = torch.full((window.height * window.width,), -1, dtype=torch.long, device=device)
    winner.scatter_reduce_(0, pixel, torch.where(inside, owner, -1), reduce="amax")

    moved = (source - target)[triangles]  # (T, 3, 2); within a triangle the displacement is affine
    slope_b, slope_c = moved[:, 1] - moved[:, 0], moved[:, 2] - moved[:, 0]
    affine = slope_b[:, :, None] * to_b[:, None, :] + slope_c[:, :, None] * to_c[:, None, :]
    affine[:, :, 2] += moved[:, 0]
    affine = torch.cat([affine, affine.new_zeros(1, 2, 3)])  # the last one is "no triangle"
    chosen = affine.view(-1, 6).T.index_select(1, winner.where(winner >= 0, len(triangles)))
    chosen = chosen.view(2, 3, window.height, window.width)
    across = torch.arange(window.width, device=device, dtype=torch.float32)
    down = torch.arange(window.height, device=device, dtype=torch.float32)
    field = chosen[:, 0] * across + chosen[:, 1] * down[:, None] + chosen[:, 2]
    return field.permute(1, 2, 0), (winner >= 0).view(window.height, window.width)


def enlarge(displacement: Tensor, side: int) -> Tensor:
    """Displacement (g, g, 2) bilinearly at `side`."""
    if displacement.shape[0] == side:
        return displacement
    planes = displacement.permute(2, 0, 1)[None]
    return F.interpolate(planes, size=(side, side), mode="bilinear", align_corners=True)[0].permute(1, 2, 0)


def sample(picture: Tensor, where: Tensor) -> Tensor:
    """`picture` (1, C, H, W) at the positions `where` (h, w, 2): (C, h, w), bicubic, clamped at the border."""
    return F.grid_sample(picture, where[None], mode="bicubic", padding_mode="border", align_corners=True)[0]
