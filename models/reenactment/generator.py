"""The reenactment network: stands on the classical warp and repairs what a warp cannot know.

The classical reenactor warps the pivot. Once a frame the network corrects that warp's flow and lays its own painting
over the classical picture under a learned mask: the inside of mouths, lids, what the head uncovers. So skin, hair and
background stay as sharp as the pivot and stand still where nothing moves. No normalisation layers: what holds for a
crop in training holds for the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.keypoints import LID_LEFT, LID_RIGHT, LOWER_LIP, MOUTH_LEFT, MOUTH_RIGHT, UPPER_LIP
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.motion import (
    Hint,
    MotionCorrection,
    ShapeCode,
    cell_centres,
    convolution,
    double,
    heat_maps,
    join,
    sample,
    silence,
)

LIPS_AND_LIDS = (UPPER_LIP, LOWER_LIP, MOUTH_LEFT, MOUTH_RIGHT, LID_LEFT, LID_RIGHT)
"""Keypoints that the last level sees as heat maps."""
_KEEP_WARP = -4.0
"""Before training the mask lets the warp through: sigmoid(-4) is 2 %."""


@dataclass(frozen=True, slots=True)
class EncodedPivot:
    """What depends on the pivot alone: a quarter of the picture (N, 3, S/4, S/4), features at S/2, S/4, S/8, points."""

    small: Tensor
    features: tuple[Tensor, Tensor, Tensor]
    keypoints: Tensor


@dataclass(frozen=True, slots=True)
class Carried:
    """The classical reenactor's picture (N, 3, S, S) in [0, 1] and displacement (N, 2, S, S)."""

    picture: Tensor
    displacement: Tensor


@dataclass(frozen=True, slots=True)
class Crop:
    """Squares of the output to compute instead of all of it: training learns more from many crops than few pictures.

    `left` and `top` (N * R,), R crops of each picture one after the other, and `side` are in eighths of the
    resolution's cells: multiples of 8 pixels, divided by 8.
    """

    left: Tensor
    top: Tensor
    side: int

    def cut(self, maps: Tensor, cell: int) -> Tensor:
        """The crops (N * R, C, s, s) of maps (N, C, S/cell, S/cell)."""
        scale = 8 // cell
        along = torch.arange(self.side * scale)
        which = torch.arange(len(self.left)) // (len(self.left) // len(maps))
        rows = (self.top * scale)[:, None, None] + along[:, None]
        columns = (self.left * scale)[:, None, None] + along
        places = tuple(index.to(maps.device) for index in (which[:, None, None], rows, columns))
        return maps.permute(0, 2, 3, 1)[places].permute(0, 3, 1, 2)

    def repeat(self, values: Tensor) -> Tensor:
        """What the pictures have, (N, ...), once for each of their crops, (N * R, ...)."""
        each = len(self.left) // len(values)
        return values if each == 1 else values.repeat_interleave(each, 0)

    def inside(self, points: Tensor, cells: int) -> Tensor:
        """Points (N, K, 2) of a picture of `cells` eighths in the crops' own coordinates, (N * R, K, 2)."""
        pixels = self.repeat((points + 1.0) * (4.0 * cells - 0.5))
        corner = 8.0 * torch.stack([self.left, self.top], -1).to(pixels)
        return (pixels - corner[:, None]) / (4.0 * self.side - 0.5) - 1.0


@dataclass(frozen=True, slots=True)
class Driven:
    """The picture and, for the losses, what it was made from."""

    picture: Tensor
    warped: Tensor
    repaired: Tensor
    """Share of the picture (N, 1, S, S) that does not come from the warp."""
    correction: Tensor
    """Of the classical flow, (N, 2, S/4, S/4)."""
    where: Tensor
    """Places (N, S, S, 2) of the classical picture that the warp shows."""


class Block(nn.Module):
    """Residual block of two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu_(self.second(functional.leaky_relu_(self.first(x), 0.1)).add_(x), 0.1)


class SingleBlock(nn.Module):
    """Residual block of one convolution, where maps are large."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.only = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu_(self.only(x).add_(x), 0.1)


class ReenactmentNetwork(nn.Module):
    """`encode` once a pivot, `drive` once a frame.

    Pictures are float32 (N, 3, S, S), RGB, [0, 1], S a multiple of 32.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth = config.encoder
        self.encode_half = convolution(12, half)
        self.encode_quarter = convolution(half, quarter, 2)
        self.encode_eighth = nn.Sequential(
            convolution(quarter, eighth, 2), *(Block(eighth) for _ in range(config.blocks))
        )
        self.code = ShapeCode(config)
        self.motion = MotionCorrection(config)
        told = config.motion_features
        out_half, out_quarter, out_eighth = config.decoder
        self.hint_quarter, self.hint_half = Hint(config.code, out_quarter), Hint(config.code, out_half)
        self.decode_eighth = nn.Sequential(
            convolution(eighth + told, out_eighth),
            *(Block(out_eighth) for _ in range(config.blocks)),
            nn.Conv2d(out_eighth, out_quarter, 1),
        )
        self.decode_quarter = nn.Sequential(
            convolution(out_quarter + quarter + told, out_quarter),
            *(SingleBlock(out_quarter) for _ in range(config.blocks)),
            nn.Conv2d(out_quarter, out_half, 1),
        )
        self.decode_half = nn.Sequential(
            convolution(out_half + half + 12 + len(LIPS_AND_LIDS), out_half),
            *(SingleBlock(out_half) for _ in range(config.blocks)),
        )
        self.paint = nn.Conv2d(out_half, 16, 3, 1, 1)
        silence(self.paint)
        assert self.paint.bias is not None
        with torch.no_grad():
            self.paint.bias[12:] = _KEEP_WARP

    def encode(self, picture: Tensor, keypoints: Tensor) -> EncodedPivot:
        """All work that depends on the pivot alone."""
        half = self.encode_half(functional.pixel_unshuffle(picture, 2))
        quarter = self.encode_quarter(half)
        eighth = self.encode_eighth(quarter)
        small = functional.avg_pool2d(picture, 4)
        # sampling works on float32 maps: convert once here, not in every frame
        return EncodedPivot(small, (half.float(), quarter.float(), eighth.float()), keypoints)

    def drive(self, pivot: EncodedPivot, carried: Carried, driving: Tensor, crop: Crop | None = None) -> Driven:
        """The pivot moved to the driving keypoints (N, K, 2); only inside the crops where they are given."""
        picture, displacement = carried.picture, carried.displacement
        side = picture.shape[-1]
        count, device = driving.shape[0], driving.device
        code = self.code(pivot.keypoints, driving)
        moved, coarse = functional.avg_pool2d(picture, 4), functional.avg_pool2d(displacement, 4)
        correction, told, visible = self.motion(pivot.small, moved, coarse, pivot.keypoints, driving, code, side)
        whole = cell_centres(side, side, device).permute(2, 0, 1)[None].expand(count, -1, -1, -1)
        heat = heat_maps(driving[:, LIPS_AND_LIDS], cell_centres(side, side // 2, device), 0.03)
        shift = correction
        half, quarter, eighth = pivot.features
        if crop is not None:
            shift, told, visible = crop.cut(correction, 4), crop.cut(told, 4), crop.cut(visible, 4)
            whole, displacement, heat = crop.cut(whole, 1), crop.cut(displacement, 1), crop.cut(heat, 2)
            picture, code = crop.repeat(picture), crop.repeat(code)
            half, quarter, eighth = crop.repeat(half), crop.repeat(quarter), crop.repeat(eighth)
        finer = functional.interpolate(shift, scale_factor=4.0, mode="bilinear", align_corners=False)
        shown = whole + finer
        where = shown.permute(0, 2, 3, 1)
        warped = sample(picture, where, side)

        where_half = functional.avg_pool2d(shown + displacement, 2)
        where_quarter = functional.avg_pool2d(where_half, 2)
        where_eighth = functional.avg_pool2d(where_quarter, 2)
        x = sample(eighth, where_eighth.permute(0, 2, 3, 1), side) * functional.avg_pool2d(visible, 2)
        x = self.hint_quarter.add(self.decode_eighth(join(x, functional.avg_pool2d(told, 2))), code)
        y = sample(quarter, where_quarter.permute(0, 2, 3, 1), side) * visible
        x = self.hint_half.add(self.decode_quarter(join(double(x), y, told)), code)
        y = sample(half, where_half.permute(0, 2, 3, 1), side)
        fours = functional.pixel_unshuffle(warped, 2)
        painted = self.paint(self.decode_half(join(double(x), y, fours, heat))).float().contiguous()
        share = torch.sigmoid(painted[:, 12:])
        made = functional.pixel_shuffle(fours * (1.0 - share).repeat(1, 3, 1, 1) + painted[:, :12], 2)
        repaired = functional.pixel_shuffle(share, 2)
        return Driven(made, warped, repaired, correction, where)
