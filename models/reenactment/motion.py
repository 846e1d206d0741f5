"""What the network adds to the classical motion: a correction of its flow, visibility, and features.

FOMM sends a Jacobian with each keypoint; eighty bytes have no room for that. The classical warp derives dense motion
from the points and a face mesh instead. A UNet at a quarter of the side sees what came of it, and pulls it towards two
motions that reach beyond the mesh (similarity and thin-plate spline of the ten points), towards standing still, or
anywhere.

All motion is backward: at a place of the driving frame, where in the pivot its content comes from. Displacements are
in keypoint units (the side of the picture is 2).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT
from avcall.models.reenactment.config import NetworkConfig

_SPLINE_RIDGE = 1e-3


@functools.lru_cache(maxsize=16)
def cell_centres(side: int, cells: int, device: torch.device | str = "cpu") -> Tensor:
    """Centres (cells, cells, 2) of the cells that a picture of `side` pixels is divided into, in keypoint units.

    The tensor is kept and given out again: read it only.
    """
    step = side / cells
    with torch.inference_mode(False):  # training must be able to use what inference was the first to ask for
        axis = ((torch.arange(cells, device=device, dtype=torch.float32) + 0.5) * step - 0.5) * (2.0 / (side - 1)) - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        return torch.stack([x, y], dim=-1)


def sample(source: Tensor, where: Tensor, side: int) -> Tensor:
    """Bilinear samples of a map (N, C, h, w) at places (N, H, W, 2) given in the keypoint units of a picture of `side`.

    A map of fewer cells than pixels holds its values at the centres of its cells; the factor puts them there under
    `align_corners=True`. Outside, the edge is repeated.
    """
    cells = source.shape[-1]
    if cells != side:
        where = where * ((side - 1) / side * cells / (cells - 1))
    sampled: Tensor = functional.grid_sample(
        source.float(), where, mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled


def heat_maps(points: Tensor, grid: Tensor, sigma: float) -> Tensor:
    """Gaussians (N, K, H, W) of height 1 around the points (N, K, 2), on a grid (H, W, 2) of cell centres."""
    x = torch.exp(-((grid[0, :, 0] - points[..., :1]) ** 2) / (2 * sigma**2))
    y = torch.exp(-((grid[:, 0, 1] - points[..., 1:]) ** 2) / (2 * sigma**2))
    return y[..., :, None] * x[..., None, :]


def candidate_displacements(pivot: Tensor, driving: Tensor, grid: Tensor) -> Tensor:
    """Displacements (N, 2, 2, H, W) by similarity and by spline at the grid's places (H, W, 2), x and y in the third
    dimension, from keypoints (N, K, 2) of the pivot and of the driving frame."""
    pivot, driving = pivot.float(), driving.float()
    count = len(pivot)
    places = grid.reshape(1, -1, 2).expand(count, -1, -1)
    similar_places, similar_points = _similarity(pivot, driving, places)
    rest = pivot - similar_points  # what the similarity leaves unexplained at the points
    bent = similar_places + _spline(driving, rest, places)
    moves = torch.stack([similar_places - places, bent - places], 1)
    return moves.transpose(2, 3).reshape(count, 2, 2, *grid.shape[:2])


def _similarity(pivot: Tensor, driving: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Where the least-squares rotation, scaling and shift from driving to pivot takes the places and the points."""
    to, origin = pivot.mean(1, keepdim=True), driving.mean(1, keepdim=True)
    a, b = driving - origin, pivot - to
    power = (a**2).sum((1, 2)).clamp_min(1e-6)
    cosine = (a * b).sum((1, 2)) / power
    sine = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(1) / power
    turn = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], -2)
    return (places - origin) @ turn + to, a @ turn + to


def _kernel(squared: Tensor) -> Tensor:
    """r^2 log r, the thin plate's own."""
    return 0.5 * squared * torch.log(squared + 1e-9)


def _spline(driving: Tensor, rest: Tensor, places: Tensor) -> Tensor:
    """Thin-plate spline through the rest at all points (nearly: ridge against jitter), at the places (N, P, 2)."""
    count, points = driving.shape[:2]
    ones = torch.ones(count, points, 1, device=driving.device)
    inside = _kernel(((driving[:, :, None] - driving[:, None]) ** 2).sum(-1))
    inside = inside + _SPLINE_RIDGE * torch.eye(points, device=driving.device)
    plane = torch.cat([driving, ones], -1)
    # a hair off zero keeps the system solvable when points coincide
    corner = -1e-6 * torch.eye(3, device=driving.device).expand(count, -1, -1)
    system = torch.cat([torch.cat([inside, plane], 2), torch.cat([plane.transpose(1, 2), corner], 2)], 1)
    right = torch.cat([rest, torch.zeros(count, 3, 2, device=driving.device)], 1)
    weights = torch.linalg.solve(system, right)
    squared = (places**2).sum(-1, keepdim=True) - 2 * places @ driving.transpose(1, 2) + (driving**2).sum(-1)[:, None]
    bent: Tensor = _kernel(squared.clamp_min(0)) @ weights[:, :points]
    flat: Tensor = places @ weights[:, points : points + 2] + weights[:, -1:]
    return bent + flat


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.1, inplace=True))


def silence(*layers: nn.Module) -> None:
    """Zeroes the layers' weights, so that training starts from what stands beside them."""
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


def join(*maps: Tensor) -> Tensor:
    """The maps' channels one after the other, in the precision and layout in which the next convolution wants them."""
    device = maps[0].device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    return torch.cat([m.to(dtype=dtype, memory_format=torch.channels_last) for m in maps], 1)


def double(features: Tensor) -> Tensor:
    """The map at twice the side."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")


class ShapeCode(nn.Module):
    """The face's shape now and its change since the pivot, as a code that every level hears.

    A lid falls by two pixels: in maps of points that is hard to see, as a number in the face's own frame it is plain.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4 * config.keypoints, config.code),
            nn.LeakyReLU(0.1),
            nn.Linear(config.code, config.code),
            nn.LeakyReLU(0.1),
        )

    def forward(self, pivot: Tensor, driving: Tensor) -> Tensor:
        """Code (N, C) from the keypoints (N, K, 2) of both."""
        then, now = in_face_frame(pivot), in_face_frame(driving)
        code: Tensor = self.layers(torch.cat([now, 8.0 * (now - then)], 1).flatten(1))
        return code


def in_face_frame(points: Tensor) -> Tensor:
    """The points (N, K, 2) with the outer eye corners at (-1, 0) and (1, 0)."""
    left, right = points[:, EYE_LEFT], points[:, EYE_RIGHT]
    middle, axis = ((left + right) / 2)[:, None], (right - left) / 2
    along = torch.stack([axis, torch.stack([-axis[:, 1], axis[:, 0]], -1)], -1)
    return (points - middle) @ along / (axis.square().sum(-1) + 1e-6)[:, None, None]


class Hint(nn.Linear):
    """Adds what the code says to every place of a map; nothing, before training."""

    def __init__(self, code: int, channels: int) -> None:
        super().__init__(code, channels)
        silence(self)

    def add(self, features: Tensor, code: Tensor) -> Tensor:
        said: Tensor = self(code)
        return features + said[:, :, None, None]


class MotionCorrection(nn.Module):
    """Corrects the classical flow at a quarter of the picture's side; leaves it alone before training."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        first, second, third, fourth = config.motion
        self.enter = convolution(12 + config.keypoints, first)
        self.hint_enter, self.hint_deep = Hint(config.code, first), Hint(config.code, fourth)
        self.down = nn.ModuleList(
            nn.Sequential(convolution(a, b, 2), convolution(b, b))
            for a, b in ((first, second), (second, third), (third, fourth))
        )
        self.up = nn.ModuleList(
            nn.Sequential(convolution(a + b, b)) for a, b in ((fourth, third), (third, second), (second, first))
        )
        self.features = nn.Conv2d(first, config.motion_features, 1)
        self.correct = nn.Conv2d(first, 6, 3, 1, 1)
        silence(self.correct)

    def forward(
        self,
        small: Tensor,
        moved: Tensor,
        displacement: Tensor,
        pivot: Tensor,
        driving: Tensor,
        code: Tensor,
        side: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From the pivot's and the classical picture (N, 3, S/4, S/4), the classical displacement (N, 2, S/4, S/4),
        both sets of keypoints (N, K, 2) and their code (N, C): the correction (N, 2, S/4, S/4), the features for the
        generator and the visibility (N, 1, S/4, S/4) in [0, 1]."""
        grid = cell_centres(side, small.shape[-1], small.device)
        moves = candidate_displacements(pivot, driving, grid)
        far = 8.0 * torch.cat([moves.flatten(1, 2), displacement], 1)  # so that the network knows how far things move
        x = self.hint_enter.add(self.enter(join(small, moved, heat_maps(driving, grid, 0.06), far)), code)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.hint_deep.add(x, code)
        for up in self.up:
            x = up(join(double(x), skips.pop()))
        told = self.correct(x).float()
        pull, rest, visible = told[:, :3], told[:, 3:5], told[:, 5:]
        others = torch.cat([moves, torch.zeros_like(moves[:, :1])], 1) - displacement[:, None]
        correction = (pull[:, :, None] * others).sum(1) + 0.05 * rest
        return correction.contiguous(), self.features(x), torch.sigmoid(visible + 2.0)
