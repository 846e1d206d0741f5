"""`avcall train interpolation`: true frames between two others, and what the network makes of those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.config import flag
from avcall.common.errors import ConfigError
from avcall.models.interpolation.config import SIZES, InterpolationConfig
from avcall.models.interpolation.flow import FlowInterpolator, coarse_flows, flow_estimator
from avcall.models.interpolation.network import CELL, InterpolationNetwork, Motion, compose
from avcall.models.lpips import MIN_SIDE, Lpips
from avcall.models.precision import mixed
from avcall.models.training.loop import train
from avcall.models.training.state import channels_last
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig
from avcall.models.training.windows import LENGTH, Triplets, draw_triplets, read_windows

PERCEPTUAL_SIDE = 96
"""LPIPS looks at a crop of the crop: it costs as much as the network."""
JUDGED = 40
SHEET_ROWS = 6
_COARSER = 0.2
"""Weight of each level's own picture, but for the last: so the coarse ones learn to find the large motions."""
_SMOOTH = 0.002


@dataclass(frozen=True, kw_only=True, slots=True)
class InterpolationTrainConfig(RunConfig):
    """`avcall train interpolation`."""

    data: Path = flag(
        Path(),
        "training pack, or a folder with square videos in train/ and val/, which are read at 25 frames a second",
        metavar="DIR",
        required=True,
    )
    windows: int = flag(1500, "runs of five frames to hold in memory, 1 MB each", metavar="N")
    crop: int = flag(160, "side in pixels of what is learned from at a time", metavar="PIXELS")
    perceptual: float = flag(0.1, "weight of LPIPS", metavar="W")


def train_interpolation(config: InterpolationTrainConfig) -> Path:
    """Trains and returns the last checkpoint's path; raises as `avcall.models.training.loop.train`."""
    return train(config, make_task)


def make_task(config: RunConfig) -> InterpolationTask:
    assert isinstance(config, InterpolationTrainConfig)
    return InterpolationTask(config)


class InterpolationTask:
    """Implements `avcall.models.training.task.Task`."""

    kind = "interpolator"

    def __init__(self, config: InterpolationTrainConfig) -> None:
        """
        Raises:
            ConfigError: a crop that does not fit. InputError: no pack and no videos.
        """
        if config.crop % CELL or config.crop < PERCEPTUAL_SIDE:
            raise ConfigError(f"--crop {config.crop}: give a multiple of {CELL} from {PERCEPTUAL_SIDE}")
        if config.windows < 1:
            raise ConfigError(f"--windows {config.windows}: give at least 1")
        self._config = config
        self._windows: NDArray[np.uint8] | None = None
        self._judged = read_windows(config.data, "val", JUDGED, config.seed)
        if self._judged.shape[2] < config.crop:
            raise ConfigError(f"--crop {config.crop}: the pictures have {self._judged.shape[2]} pixels a side")
        self._device = torch.device("cpu")
        self._lpips = Lpips("alex")
        channels_last(self._lpips)

    @property
    def name(self) -> str:
        return f"{self._config.size}-interpolator"

    @property
    def shape(self) -> InterpolationConfig:
        return SIZES[self._config.size]

    def build(self) -> nn.Module:
        return InterpolationNetwork(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device
        self._lpips.to(device)

    def draw(self, generator: np.random.Generator, count: int) -> Triplets:
        if self._windows is None:  # late: what only checks the flags does not wait for it
            self._windows = read_windows(self._config.data, "train", self._config.windows, self._config.seed)
        return draw_triplets(self._windows, generator, count, self._config.crop, self.shape.scales[0])

    def forward(self, network: nn.Module, batch: Triplets, generator: np.random.Generator) -> Forward:
        assert isinstance(network, InterpolationNetwork)
        before, truth, after = (self._pictures(x) for x in (batch.before, batch.middle, batch.after))
        motions = network(before, after, batch.flows.to(self._device), batch.time.to(self._device), every_level=True)
        made = compose(before, after, motions[-1])
        halves = [functional.avg_pool2d(x, 2) for x in (before, truth, after)]
        coarser = [(_at_half(halves[0], halves[2], motion) - halves[1]).abs().mean() for motion in motions[:-1]]
        top, left = generator.integers(0, self._config.crop - PERCEPTUAL_SIDE + 1, 2)
        window = (..., slice(top, top + PERCEPTUAL_SIDE), slice(left, left + PERCEPTUAL_SIDE))
        terms = {
            "pixels": (made - truth).abs().mean(),
            "coarser": _COARSER * torch.stack(coarser).sum(),
            "perceptual": self._config.perceptual * self._lpips(made[window], truth[window]).mean(),
            "smoothness": _SMOOTH * _bend(motions[-1].flow),
        }
        return Forward(terms, made, truth)

    @torch.inference_mode()
    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        assert isinstance(average, InterpolationNetwork)
        found: dict[str, list[float]] = {}
        rows = []
        estimator, twin = flow_estimator(), FlowInterpolator()
        for number, window in enumerate(self._judged):
            gap = 2 + number % (LENGTH - 2)
            step = 1 + number % (gap - 1)
            images = window[0], window[gap]
            before, truth, after = (self._pictures(torch.from_numpy(window[[i]])) for i in (0, step, gap))
            flows = torch.from_numpy(coarse_flows(estimator, *images, self.shape.scales[0]))[None].to(self._device)
            time = torch.tensor([step / gap], device=self._device)
            with mixed(self._device):
                motion = average(before, after, flows, time)[-1]
            flowed = torch.from_numpy(twin.interpolate(*images, step / gap))[None]
            shown = {"network": compose(before, after, motion), "flow": self._pictures(flowed)}
            for name, picture in shown.items():
                found.setdefault(f"{name}_psnr", []).append(_psnr(picture, truth))
                if min(truth.shape[2:]) >= MIN_SIDE:
                    found.setdefault(f"{name}_lpips", []).append(float(self._lpips(picture, truth)))
            if number % max(1, len(self._judged) // SHEET_ROWS) == 0:
                rows.append(torch.cat([before, truth, *shown.values()], 3))
        pixels = (torch.cat(rows, 2)[0].permute(1, 2, 0).clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
        if not cv2.imwrite(str(sheet), np.ascontiguousarray(pixels[..., ::-1])):
            raise OSError(f"cannot write {sheet}")
        return {name: round(float(np.mean(values)), 4) for name, values in found.items()}

    def _pictures(self, images: Tensor) -> Tensor:
        return images.to(self._device).permute(0, 3, 1, 2).float() / 255.0


def _at_half(before: Tensor, after: Tensor, motion: Motion) -> Tensor:
    return compose(before, after, Motion(motion.flow / 2.0, motion.mask))


def _bend(flow: Tensor) -> Tensor:
    """Mean |difference| of neighbouring motions, in pixels."""
    return (flow[..., 1:, :] - flow[..., :-1, :]).abs().mean() + (flow[..., 1:] - flow[..., :-1]).abs().mean()


def _psnr(a: Tensor, b: Tensor) -> float:
    return float(-10.0 * torch.log10((a.clamp(0, 1) - b).square().mean().clamp_min(1e-10)))
