"""The dense part in torch: a triangle mesh becomes a backward map, a backward map moves a picture.

Positions are (x, y) in the keypoint convention (`align_corners=True`). One path for CPU and CUDA.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Drawing:
    """Triangles (T, 3) to be drawn in a window of a `side` x `side` grid."""

    triangles: Tensor
    side: int
    window: Window


def mesh_displacement(
    target: Tensor, source: Tensor, triangles: Tensor, side: int, window: Window | None = None
) -> tuple[Tensor, Tensor]:
    """Where each pixel of a `side` x `side` grid comes from, minus where it is: float32 (side, side, 2), and which
    pixels lie in some triangle: bool (side, side). With `window`, only that part of the grid.

    `target` and `source` (V, 2) are the corners' new and old positions. Where triangles overlap (a fold, a cheek
    behind a nose) the later one in `triangles` (T, 3) wins; where there is none the displacement is zero.
    """
    return mesh_displacements(target, source, [Drawing(triangles, side, window or Window(0, 0, side, side))])[0]


def mesh_displacements(target: Tensor, source: Tensor, drawings: Sequence[Drawing]) -> list[tuple[Tensor, Tensor]]:
    """As `mesh_displacement`, several at once: each operation costs more to begin than to do."""
    device = target.device
    triangles = torch.cat([drawing.triangles for drawing in drawings])
    windows = [drawing.window for drawing in drawings]
    starts = [0, *itertools.accumulate(window.height * window.width for window in windows)]
    places = [
        ((drawing.side - 1) / 2.0, window.left, window.top, window.width, window.height, start)
        for drawing, window, start in zip(drawings, windows, starts, strict=False)
    ]
    lengths = torch.tensor([len(drawing.triangles) for drawing in drawings])
    of_each = torch.repeat_interleave(torch.tensor(places, dtype=torch.float32), lengths, dim=0).to(device)
    scale, origin, size, width, start = of_each[:, :1], of_each[:, 1:3], of_each[:, 3:5], of_each[:, 3], of_each[:, 5]

    corners = (target + 1.0)[triangles] * scale[:, None] - origin[:, None]  # (T, 3, 2) in the window's pixels
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

    # every pixel of every triangle's box, as one ragged list: x and y count from the box's corner
    x0, y0 = low.T
    b0, c0 = (to[:, 0] * x0 + to[:, 1] * y0 + to[:, 2] for to in (to_b, to_c))
    first = count.cumsum(0) - count
    table = [*to_b.T[:2], b0, *to_c.T[:2], c0, extent[:, 0].float(), y0 * width + x0 + start, width]
    owner = torch.repeat_interleave(torch.arange(len(triangles), dtype=torch.int32, device=device), count)
    bx, by, b0, cx, cy, c0, across, corner, width = torch.stack(table).index_select(1, owner)
    x = (torch.arange(len(owner), device=device) - first.index_select(0, owner)).float()
    y = torch.floor((x + 0.5) / across)
    x -= y * across
    b = b0.addcmul_(bx, x).addcmul_(by, y)
    c = c0.addcmul_(cx, x).addcmul_(cy, y)
    inside = torch.minimum(torch.minimum(b, c), 1.0 - b - c) >= -1e-3
    pixel = corner.add_(x).addcmul_(y, width).long()
    winner = torch.zeros(starts[-1], dtype=torch.int32, device=device)  # 0 is "no triangle"
    winner.scatter_reduce_(0, pixel, (owner + 1) * inside, reduce="amax")

    moved = (source - target)[triangles]  # (T, 3, 2); within a triangle the displacement is affine
    slope_b, slope_c = moved[:, 1] - moved[:, 0], moved[:, 2] - moved[:, 0]
    affine = slope_b[:, :, None] * to_b[:, None, :] + slope_c[:, :, None] * to_c[:, None, :]
    affine[:, :, 2] += moved[:, 0]
    affine = torch.cat([affine.new_zeros(1, 2, 3), affine])
    chosen = affine.view(-1, 6).T.index_select(1, winner).view(2, 3, -1)
    drawn = []
    for window, begin, end in zip(windows, starts[:-1], starts[1:], strict=True):
        slopes = chosen[:, :, begin:end].view(2, 3, window.height, window.width)
        right = torch.arange(window.width, device=device, dtype=torch.float32)
        down = torch.arange(window.height, device=device, dtype=torch.float32)
        field = slopes[:, 0] * right + slopes[:, 1] * down[:, None] + slopes[:, 2]
        drawn.append((field.permute(1, 2, 0), (winner[begin:end] > 0).view(window.height, window.width)))
    return drawn


def enlarge(displacement: Tensor, side: int) -> Tensor:
    """Displacement (g, g, 2) bilinearly at `side`."""
    if displacement.shape[0] == side:
        return displacement
    planes = displacement.permute(2, 0, 1)[None]
    return F.interpolate(planes, size=(side, side), mode="bilinear", align_corners=True)[0].permute(1, 2, 0)


def sample(picture: Tensor, where: Tensor) -> Tensor:
    """`picture` (1, C, H, W) at the positions `where` (h, w, 2): (C, h, w), bicubic, clamped at the border."""
    return F.grid_sample(picture, where[None], mode="bicubic", padding_mode="border", align_corners=True)[0]
