"""A small network that reads lips and lids off a picture, so that a loss can ask where they are.

mediapipe's mesh cannot be differentiated; this student of it can. It sees three windows that the keypoints place, the
mouth and either eye, and gives the mesh points in them. It is used in training only and never shipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT
from avcall.models.classical_shapes import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LIDS,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
)

MOUTH = (*INNER_UPPER_LIP, *INNER_LOWER_LIP, *OUTER_UPPER_LIP, *OUTER_LOWER_LIP)
"""Mesh indices of the mouth's points."""
MOUTH_GAP = (5, 16)
"""Positions in MOUTH of the middles of the inner lips."""
EYES = tuple((*upper, *lower) for upper, lower in LIDS)
"""Mesh indices of the left and right eye's points, outer corner first, so that they mirror each other."""
EYE_GAP = (4, 13)
SIDE = 64
"""Side of a window in samples."""
MOUTH_REACH, EYE_REACH = 0.52, 0.27
"""Half a window's side, in distances of the outer eye corners."""
EYE_INWARD = 0.17
"""An eye's middle, seen from its outer corner, in the same unit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkConfig:
    channels: tuple[int, int, int] = (16, 32, 48)
    hidden: int = 128


@dataclass(frozen=True, slots=True)
class Window:
    """Squares in pictures: `origin` (N, 2) and `across` (N, 2), half a side along the window's own x axis, in keypoint
    units."""

    origin: Tensor
    across: Tensor

    def grid(self) -> Tensor:
        """Places (N, SIDE, SIDE, 2) of the window's samples."""
        line = torch.linspace(-1.0, 1.0, SIDE, device=self.origin.device)
        x, y = line[None, None, :, None], line[None, :, None, None]
        return self.origin[:, None, None] + x * self.across[:, None, None] + y * self._down()[:, None, None]

    def local(self, points: Tensor) -> Tensor:
        """Points (N, P, 2) of the picture in the window's own units: 1 is its edge."""
        offset = points - self.origin[:, None]
        size = self.across.square().sum(-1)[:, None]
        return torch.stack([(offset * axis[:, None]).sum(-1) / size for axis in (self.across, self._down())], -1)

    def half(self) -> Tensor:
        """Half the windows' side (N,), in keypoint units."""
        return self.across.square().sum(-1).sqrt()

    def extent(self) -> Tensor:
        """How far (N,) a window reaches from its origin along the picture's axes."""
        return self.across.abs().sum(-1)

    def _down(self) -> Tensor:
        return torch.stack([-self.across[:, 1], self.across[:, 0]], -1)


def windows(keypoints: Tensor) -> tuple[Window, Window, Window]:
    """The windows of mouth, left and right eye for keypoints (N, 10, 2). The right eye's is mirrored."""
    left, right = keypoints[:, EYE_LEFT], keypoints[:, EYE_RIGHT]
    axis = right - left
    mouth = (keypoints[:, MOUTH_LEFT] + keypoints[:, MOUTH_RIGHT]) / 2
    return (
        Window(mouth, MOUTH_REACH * axis),
        Window(left + EYE_INWARD * axis, EYE_REACH * axis),
        Window(right - EYE_INWARD * axis, EYE_REACH * axis),
    )


class LandmarkNetwork(nn.Module):
    """One small network for the mouth and one for both eyes."""

    def __init__(self, config: LandmarkConfig) -> None:
        super().__init__()
        self.config = config
        self.mouth = _reader(config, len(MOUTH))
        self.eye = _reader(config, len(EYES[0]))

    def forward(self, picture: Tensor, places: tuple[Window, Window, Window]) -> tuple[Tensor, Tensor, Tensor]:
        """Points (N, P, 2) of mouth, left and right eye in units of their windows, x mirrored for the right eye.

        `picture` is (N, 3, S, S) in [0, 1].
        """
        mouth, left, right = (_cut(picture, window) for window in places)
        return self.read(mouth, left, right.flip(-1))

    def read(self, mouth: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, from windows (N, 3, SIDE, SIDE) already cut, the right eye's mirrored."""
        count = len(mouth)
        eyes = self.eye(torch.cat([left, right])).float().unflatten(1, (-1, 2))
        return self.mouth(mouth).float().unflatten(1, (-1, 2)), eyes[:count], eyes[count:]


def _cut(picture: Tensor, window: Window) -> Tensor:
    return functional.grid_sample(picture.float(), window.grid(), padding_mode="border", align_corners=True)


def _reader(config: LandmarkConfig, points: int) -> nn.Sequential:
    first, second, third = config.channels
    layers: list[nn.Module] = []
    for before, after, stride in ((3, first, 2), (first, second, 2), (second, third, 2), (third, third, 1)):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.LeakyReLU(0.1)]
    flat = third * (SIDE // 8) ** 2
    layers += [nn.Flatten(), nn.Linear(flat, config.hidden), nn.LeakyReLU(0.1), nn.Linear(config.hidden, 2 * points)]
    return nn.Sequential(*layers)
