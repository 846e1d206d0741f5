"""`ReenactmentNetwork.drive` for one picture on a CPU: the same weights and function, in an order that suits a CPU.

`avcall.models.reenactment.generator` is what trains and says what is computed. Here

- maps are (H, W, C) from end to end, so nothing is copied between layouts, and samples of features are weighted sums
  of a table's rows;
- positions are resized and averaged by OpenCV, at the sizes at which they are needed;
- a convolution of a map whose cells were repeated is a transposed convolution of the small map, with four ninths of
  the multiplications;
- the picture stays in [0, 255], in squares of four pixels as the last level sees it: pixel first, then colour.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.keypoints import Image
from avcall.models.classical import Moved
from avcall.models.reenactment.generator import LIPS_AND_LIDS, EncodedPivot, ReenactmentNetwork
from avcall.models.reenactment.motion import MotionCorrection, candidate_displacements, cell_centres

_MEETS = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Which rows of a kernel (3) add up to each row of the transposed kernel (4, stride 2) of a map of half the side."""
_BY_PIXEL = [4 * colour + pixel for pixel in range(4) for colour in range(3)]
"""Channels of `pixel_unshuffle` in the order in which a pixel's colours lie together."""


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES, _LARGEST_BYTES = 128 << 20, 16 << 20


def keep_freed_memory() -> None:
    """Has the C library keep freed maps for the next picture. glibc else gives them back to the system, and at each
    picture takes them again page by page, which costs a tenth of the time; elsewhere nothing is changed."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; TypeError on Windows
        return
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TOP_PAD, _KEPT_BYTES)  # what decides it in threads other than the main one
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The driven picture, and the correction (1, 2, S/4, S/4) of the classical displacement."""

    image: Image
    correction: Tensor


class LeanNetwork:
    """Drives what the network encoded, picture by picture, on the CPU. Later changes of its weights do not count."""

    def __init__(self, network: ReenactmentNetwork) -> None:
        half, quarter, _ = network.config.decoder
        self._network = network
        self._motion = _LeanMotion(network.motion)
        self._join_quarter = _Join(_first(network.decode_quarter), quarter)
        colours = half + network.config.encoder[0]
        last = _first(network.decode_half)
        weight = last.weight.detach().clone()
        weight[:, colours : colours + 12] = weight[:, colours : colours + 12][:, _BY_PIXEL] / 255.0
        self._join_half = _Join(last, half, weight)
        order = [*_BY_PIXEL, 12, 13, 14, 15]
        scale = torch.tensor([255.0] * 12 + [1.0] * 4)
        assert network.paint.bias is not None
        self._paint = (network.paint.weight[order] * scale[:, None, None, None], network.paint.bias[order] * scale)

    def drive(self, pivot: EncodedPivot, moved: Moved, driving: Tensor) -> Drawn:
        """The pivot moved to the driving keypoints (1, K, 2)."""
        network, side = self._network, moved.picture.shape[-1]
        code = network.code(pivot.keypoints, driving)
        classical = moved.displacement.numpy()
        small = torch.from_numpy(_reduced(together(moved.picture), side // 4)) / 255.0
        correction, told, visible = self._motion(pivot, small, _reduced(classical, side // 4), driving, code, side)
        finer = enlarged(correction, side)
        where = torch.from_numpy(finer) + cell_centres(side, side)
        warped = functional.grid_sample(
            moved.picture[None], where[None], mode="bilinear", padding_mode="border", align_corners=True
        )
        lines = torch.from_numpy(together(warped[0])).view(side // 2, 2, side // 2, 6)
        fours = torch.cat([lines[:, 0], lines[:, 1]], -1)

        where_half = enlarged(correction, side // 2) + _reduced(classical, side // 2)
        where_half += cell_centres(side, side // 2).numpy()
        where_quarter = _reduced(where_half, side // 4)
        half, quarter, eighth = pivot.features
        x = _rows(eighth, _reduced(where_quarter, side // 8), side) * _pooled(visible)
        x = _layers(network.decode_eighth, torch.cat([x, _pooled(told)], -1)) + network.hint_quarter(code)
        y = _rows(quarter, where_quarter, side) * visible
        x = self._join_quarter(x, torch.cat([y, told], -1))
        x = _layers(network.decode_quarter[1:], x) + network.hint_half(code)
        y = _rows(half, where_half, side)
        heat = _heat(driving[0, LIPS_AND_LIDS], cell_centres(side, side // 2), 0.03)
        x = self._join_half(x, torch.cat([y, fours, heat], -1))
        x = _layers(network.decode_half[1:], x)
        painted = _convolved(x, *self._paint).float()
        keep = torch.sigmoid(-painted[..., 12:]).reshape(-1, 1).numpy()
        kept = torch.from_numpy(cv2.merge([keep, keep, keep])).view_as(fours)
        shown = torch.addcmul(painted[..., :12], fours, kept).add_(0.5).clamp_(0, 255).to(torch.uint8)
        image = shown.view(side // 2, side // 2, 2, 6).transpose(1, 2).reshape(side, side, 3).numpy()
        return Drawn(image, torch.from_numpy(correction).permute(2, 0, 1)[None])


class _LeanMotion:
    """`MotionCorrection` of maps (H, W, C)."""

    def __init__(self, motion: MotionCorrection) -> None:
        self._motion = motion
        widths = motion.hint_deep.out_features, *(_first(up).out_channels for up in list(motion.up)[:-1])
        self._up = [_Join(_first(up), width) for up, width in zip(motion.up, widths, strict=True)]

    def __call__(
        self, pivot: EncodedPivot, moved: Tensor, displacement: NDArray[np.float32], driving: Tensor, code: Tensor,
        side: int,
    ) -> tuple[NDArray[np.float32], Tensor, Tensor]:  # fmt: skip
        """Correction, features and visibility, all at a quarter of the side."""
        motion, own = self._motion, pivot.small[0].permute(1, 2, 0)
        grid = cell_centres(side, own.shape[0])
        moves = candidate_displacements(pivot.keypoints, driving, grid)[0].permute(2, 3, 0, 1)
        carried = torch.from_numpy(displacement)
        far = 8.0 * torch.cat([moves.flatten(2), carried], -1)
        x = torch.cat([own, moved, _heat(driving[0], grid, 0.06), far], -1)
        x = _layers(motion.enter, x) + motion.hint_enter(code)
        skips = []
        for down in motion.down:
            skips.append(x)
            x = _layers(down, x)
        x = x + motion.hint_deep(code)
        for up in self._up:
            x = up(x, skips.pop())
        told = _layers(motion.correct, x).float()
        others = torch.cat([moves, torch.zeros_like(moves[:, :, :1])], 2) - carried[:, :, None]
        correction = (told[..., :3, None] * others).sum(2) + 0.05 * told[..., 3:5]
        return correction.numpy(), _layers(motion.features, x), torch.sigmoid(told[..., 5:] + 2.0)


class _Join:
    """The first convolution of a level: of a map of half the side, its cells repeated, and of others at the side."""

    def __init__(self, convolution: nn.Conv2d, repeated: int, weight: Tensor | None = None) -> None:
        """`repeated` is how many of the inputs come from the smaller map; they are the first."""
        whole = convolution.weight.detach() if weight is None else weight
        meets = _MEETS.to(whole)
        small = torch.einsum("oiyx,ky,lx->iokl", whole[:, :repeated], meets, meets)
        self._small = small.contiguous(memory_format=torch.channels_last)
        self._rest = whole[:, repeated:].contiguous(memory_format=torch.channels_last)
        self._bias = convolution.bias

    def __call__(self, small: Tensor, rest: Tensor) -> Tensor:
        joined = _convolved(rest, self._rest, self._bias)
        joined += functional.conv_transpose2d(_planes(small), self._small, None, 2, 1)[0].permute(1, 2, 0)
        return functional.leaky_relu_(joined, 0.1)


def _first(level: nn.Module) -> nn.Conv2d:
    """A level's first convolution."""
    return next(module for module in level.modules() if isinstance(module, nn.Conv2d))


def _layers(layers: nn.Module, x: Tensor) -> Tensor:
    after: Tensor = layers(_planes(x))
    return after[0].permute(1, 2, 0)


def _planes(x: Tensor) -> Tensor:
    """(1, C, H, W) of (H, W, C), the same memory."""
    return x.permute(2, 0, 1)[None]


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return functional.conv2d(_planes(x), weight, bias, 1, 1)[0].permute(1, 2, 0)


def _pooled(x: Tensor) -> Tensor:
    return functional.avg_pool2d(_planes(x), 2)[0].permute(1, 2, 0)


def together(planes: Tensor) -> NDArray[np.float32]:
    """(H, W, C) of planes (C, H, W); the same memory where it lies so."""
    rows = planes.permute(1, 2, 0)
    if rows.is_contiguous():
        return np.asarray(rows.numpy())
    return np.asarray(cv2.merge(list(planes.numpy())), dtype=np.float32)


def _reduced(field: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A map (H, W, C) at a whole part of its side, by the mean."""
    return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def enlarged(field: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _heat(points: Tensor, grid: Tensor, sigma: float) -> Tensor:
    """As `motion.heat_maps` of points (K, 2): (H, W, K)."""
    x = torch.exp((grid[0, :, :1] - points[:, 0]).square() / (-2 * sigma**2))
    y = torch.exp((grid[:, 0, 1:] - points[:, 1]).square() / (-2 * sigma**2))
    return y[:, None] * x


def _rows(source: Tensor, where: NDArray[np.float32], side: int) -> Tensor:
    """As `motion.sample` of one map (1, C, h, w), at places (H, W, 2): (H, W, C)."""
    cells = source.shape[-1]
    table = source[0].permute(1, 2, 0).reshape(-1, source.shape[1])
    scale = (side - 1) / side * cells / 2.0
    at = torch.from_numpy(where).mul(scale).add_((cells - 1) / 2.0).clamp_(0, cells - 1).view(-1, 2)
    corner = at.int().clamp_(0, cells - 2)  # whatever NaN has become too
    near = at - corner
    x, y = near[:, 0], near[:, 1]
    both, down = x * y, y - x * y
    shares = torch.stack([1.0 - x - down, x - both, down, both], -1)
    first = torch.add(corner[:, 0], corner[:, 1], alpha=cells)
    four = torch.stack([first, first + 1, first + cells, first + (cells + 1)], -1)
    return functional.embedding_bag(four, table, mode="sum", per_sample_weights=shares).view(*where.shape[:2], -1)
