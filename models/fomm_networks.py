"""FOMM's networks, with the names that its checkpoints use. The sizes are those of `vox-256`.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019. Eighty bytes hold no Jacobians: each
keypoint moves its surroundings by a translation (FOMM's own `estimate_jacobian: false`). FOMM was trained on a PyTorch
whose `grid_sample` aligned corners, as all of ours does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

_SHRINK = 4
"""Detector and dense motion work at a quarter of the picture's side."""
_TEMPERATURE = 0.1
_VARIANCE = 0.01


def _axis_grid(height: int, width: int, device: torch.device) -> Tensor:
    """(H, W, 2), x then y, -1 and 1 at the first and last cell."""
    y, x = torch.linspace(-1, 1, height, device=device), torch.linspace(-1, 1, width, device=device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


class _Convolved(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.norm(self.conv(x))
        return functional.relu(made)


class _Down(_Convolved):
    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(super().forward(x), 2)


class _Up(_Convolved):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.interpolate(x, scale_factor=2.0))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(functional.relu(self.norm1(x)))
        change: Tensor = self.conv2(functional.relu(self.norm2(inner)))
        return x + change


class _Encoder(nn.Module):
    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(_Down(a, b) for a, b in pairwise(channels))


class _Decoder(nn.Module):
    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        blocks = []
        for level in range(len(channels) - 2, -1, -1):
            doubled = 1 if level == len(channels) - 2 else 2  # all but the deepest get a skip beside them
            blocks.append(_Up(doubled * channels[level + 1], channels[level]))
        self.up_blocks = nn.ModuleList(blocks)


class _Hourglass(nn.Module):
    def __init__(self, inputs: int, width: int, blocks: int, most: int) -> None:
        super().__init__()
        inner = [min(most, width * 2 ** (level + 1)) for level in range(blocks)]
        self.encoder = _Encoder([inputs, *inner])
        self.decoder = _Decoder([min(most, width), *inner])
        self.outputs = width + inputs

    def forward(self, x: Tensor) -> Tensor:
        skips = [x]
        for down in self.encoder.down_blocks:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.decoder.up_blocks:
            x = torch.cat([up(x), skips.pop()], 1)
        return x


class _Shrink(nn.Module):
    """Gaussian blur, then every fourth pixel; the kernel is stored in the checkpoint."""

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        sigma = (_SHRINK - 1) / 2
        half = round(sigma * 4)
        bell = torch.exp(-(torch.arange(-half, half + 1, dtype=torch.float32) ** 2) / (2 * sigma**2))
        kernel = torch.outer(bell, bell) / bell.sum() ** 2
        self.register_buffer("weight", kernel.expand(channels, 1, -1, -1).clone())

    def forward(self, x: Tensor) -> Tensor:
        blurred = functional.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2, groups=x.shape[1])
        return blurred[..., ::_SHRINK, ::_SHRINK]


class FommDetector(nn.Module):
    """Heat maps and soft-argmax; the Jacobian head of a checkpoint is left out."""

    def __init__(self, keypoints: int = 10, width: int = 32, blocks: int = 5, most: int = 1024) -> None:
        super().__init__()
        self.predictor = _Hourglass(3, width, blocks, most)
        self.kp = nn.Conv2d(self.predictor.outputs, keypoints, 7)
        self.down = _Shrink(3)

    def forward(self, picture: Tensor) -> Tensor:
        """(N, K, 2) from (N, 3, S, S) in [0, 1]."""
        heat = self.kp(self.predictor(self.down(picture)))
        share = torch.softmax(heat.flatten(2) / _TEMPERATURE, -1)
        return share @ _axis_grid(heat.shape[2], heat.shape[3], heat.device).reshape(-1, 2)


class _DenseMotion(nn.Module):
    def __init__(self, keypoints: int, width: int, blocks: int, most: int) -> None:
        super().__init__()
        self.hourglass = _Hourglass((keypoints + 1) * 4, width, blocks, most)
        self.mask = nn.Conv2d(self.hourglass.outputs, keypoints + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.outputs, 1, 7, padding=3)
        self.down = _Shrink(3)

    def forward(self, small: Tensor, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Backward map (N, h, w, 2) and occlusion (N, 1, h, w) from the shrunk picture and both sets of keypoints."""
        count, _, height, width = small.shape
        grid = _axis_grid(height, width, small.device)

        def bells(points: Tensor) -> Tensor:
            return torch.exp(-0.5 * ((grid - points[:, :, None, None]) ** 2).sum(-1) / _VARIANCE)

        heat = functional.pad(bells(driving) - bells(source), (0, 0, 0, 0, 1, 0))
        moved = grid + (source - driving)[:, :, None, None]
        motions = torch.cat([grid.expand(count, 1, -1, -1, -1), moved], 1)
        number = motions.shape[1]
        repeated = small[:, None].expand(-1, number, -1, -1, -1).reshape(-1, 3, height, width)
        deformed = functional.grid_sample(repeated, motions.flatten(0, 1), align_corners=True)
        seen = torch.cat([heat[:, :, None], deformed.view(count, number, 3, height, width)], 2).flatten(1, 2)
        features = self.hourglass(seen)
        mask = torch.softmax(self.mask(features), 1)
        return (motions * mask[..., None]).sum(1), torch.sigmoid(self.occlusion(features))


class FommGenerator(nn.Module):
    """The occlusion-aware generator, cut in two: `encode` once a source picture, `drive` once a frame."""

    def __init__(
        self,
        keypoints: int = 10,
        width: int = 64,
        most: int = 512,
        bottleneck: int = 6,
        motion: tuple[int, int, int] = (64, 5, 1024),
    ) -> None:
        super().__init__()
        channels = [min(most, width * 2**level) for level in range(3)]
        self.first = _Convolved(3, channels[0], 7)
        self.down_blocks = nn.ModuleList(_Down(a, b) for a, b in pairwise(channels))
        self.bottleneck = nn.ModuleDict({f"r{i}": _Residual(channels[-1]) for i in range(bottleneck)})
        self.up_blocks = nn.ModuleList(_Up(b, a) for a, b in reversed(list(pairwise(channels))))
        self.final = nn.Conv2d(channels[0], 3, 7, padding=3)
        self.dense_motion_network = _DenseMotion(keypoints, *motion)

    def encode(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Features at a quarter of the side, and the shrunk picture."""
        features = self.first(picture)
        for down in self.down_blocks:
            features = down(features)
        return features, self.dense_motion_network.down(picture)

    def drive(self, features: Tensor, small: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """The picture (N, 3, S, S) moved from the source's keypoints to the driving ones."""
        where, occlusion = self.dense_motion_network(small, source, driving)
        size = features.shape[2:]
        if where.shape[1:3] != size:
            where = functional.interpolate(where.permute(0, 3, 1, 2), size, mode="bilinear").permute(0, 2, 3, 1)
            occlusion = functional.interpolate(occlusion, size, mode="bilinear")
        x = functional.grid_sample(features, where, align_corners=True) * occlusion
        for block in self.bottleneck.values():
            x = block(x)
        for up in self.up_blocks:
            x = up(x)
        return torch.sigmoid(self.final(x))


@dataclass(frozen=True, kw_only=True, slots=True)
class FommConfig:
    """Widths of both networks; as published for `vox-256`."""

    keypoints: int = 10
    detector: tuple[int, int, int] = (32, 5, 1024)
    """Width, blocks and most channels of the detector."""
    width: int = 64
    most: int = 512
    bottleneck: int = 6
    motion: tuple[int, int, int] = (64, 5, 1024)


class Fomm(nn.Module):
    """Detector and generator together, as they are trained."""

    def __init__(self, config: FommConfig) -> None:
        super().__init__()
        self.kp_detector = FommDetector(config.keypoints, *config.detector)
        self.generator = FommGenerator(config.keypoints, config.width, config.most, config.bottleneck, config.motion)

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        """Pictures (N, 3, S, S) of the sources moved as the driving pictures."""
        points = self.kp_detector(source), self.kp_detector(driving)
        made: Tensor = self.generator.drive(*self.generator.encode(source), *points)
        return made
