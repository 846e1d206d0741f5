"""`avcall train reenactment`: pairs of one clip, what the network makes of them, and the losses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from avcall.common.config import flag
from avcall.common.errors import ConfigError
from avcall.models.lpips import Lpips
from avcall.models.reenactment.config import SIZES, NetworkConfig
from avcall.models.reenactment.generator import Crop, ReenactmentNetwork
from avcall.models.reenactment.motion import cell_centres
from avcall.models.training.judge import Judge
from avcall.models.training.loop import train
from avcall.models.training.losses import LossWeights, attention, reenactment_losses
from avcall.models.training.pairs import CROP_EIGHTHS, Pack, Pairs
from avcall.models.training.state import channels_last
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ReenactmentTrainConfig(RunConfig):
    """`avcall train reenactment`."""

    resolution: int = flag(256, "side of the pictures; must be the pack's", metavar="PIXELS")
    perceptual: float = flag(1.0, "weight of LPIPS", metavar="W")


def train_reenactment(config: ReenactmentTrainConfig) -> Path:
    """Trains and returns the last checkpoint's path; raises as `avcall.models.training.loop.train`."""
    return train(config, make_task)


def make_task(config: RunConfig) -> ReenactmentTask:
    assert isinstance(config, ReenactmentTrainConfig)
    return ReenactmentTask(config)


class ReenactmentTask:
    """Implements `avcall.models.training.task.Task`."""

    kind = "reenactor"

    def __init__(self, config: ReenactmentTrainConfig) -> None:
        """
        Raises:
            InputError: no pack. ConfigError: a pack of another resolution.
        """
        self._config = config
        self._pack = Pack(config.data, "train")
        if self._pack.resolution != config.resolution:
            held = self._pack.resolution
            raise ConfigError(f"--resolution {config.resolution}: the pack holds {held}; prepare it again")
        self._weights = LossWeights(perceptual=config.perceptual)
        self._device = torch.device("cpu")
        self._lpips = Lpips("alex")
        channels_last(self._lpips)
        self._judge: Judge | None = None

    @property
    def name(self) -> str:
        return self._config.size

    @property
    def shape(self) -> NetworkConfig:
        return SIZES[self._config.size]

    def build(self) -> nn.Module:
        return ReenactmentNetwork(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device
        self._lpips.to(device)
        self._grid = cell_centres(self._config.resolution, self._config.resolution, device)

    def draw(self, generator: np.random.Generator, count: int) -> Pairs:
        return self._pack.draw(generator, count)

    def forward(self, network: nn.Module, batch: Pairs, generator: np.random.Generator) -> Forward:
        assert isinstance(network, ReenactmentNetwork)
        shift = (int(generator.integers(8)), int(generator.integers(8)))
        pivot = batch.pivot.to(self._device).permute(0, 3, 1, 2).float() / 255.0
        driving = batch.driving.to(self._device).permute(0, 3, 1, 2).float() / 255.0
        pivot_points, points = batch.pivot_keypoints.to(self._device), batch.driving_keypoints.to(self._device)
        crop = Crop(batch.crop_left, batch.crop_top, CROP_EIGHTHS)
        weights, truth = crop.cut(attention(points, self._grid), 1), crop.cut(driving, 1)
        driven = network.drive(network.encode(pivot, pivot_points), points, crop)
        terms = reenactment_losses(driven, truth, weights, self._lpips, self._weights, shift)
        return Forward(terms, driven.picture, truth)

    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        assert isinstance(average, ReenactmentNetwork)
        if self._judge is None:
            self._judge = Judge(self._config.data, self._device)
        return self._judge.judge(average, sheet)
