"""`avcall train reenactment`: pairs of one clip, what the network makes of them, and the losses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avcall.common.config import flag
from avcall.common.errors import CheckpointError, ConfigError
from avcall.models.checkpoint import fill, read_weights, rebuild_config
from avcall.models.lpips import Lpips
from avcall.models.reenactment.config import SIZES, NetworkConfig
from avcall.models.reenactment.generator import Carried, Crop, ReenactmentNetwork
from avcall.models.reenactment.motion import cell_centres
from avcall.models.registry import device_from_flag, load_pivot_enhancer
from avcall.models.training.colours import recoloured
from avcall.models.training.judge import Judge
from avcall.models.training.landmark_network import LandmarkConfig, LandmarkNetwork
from avcall.models.training.loop import train
from avcall.models.training.losses import LossWeights, attention, landmark_loss, reenactment_losses
from avcall.models.training.pairs import CROP_EIGHTHS, Pack, Pairs
from avcall.models.training.repaired_pivots import repair_pivots
from avcall.models.training.state import channels_last
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ReenactmentTrainConfig(RunConfig):
    """`avcall train reenactment`."""

    size: str = flag("lite", "which network", choices=("lite", "full"))
    resolution: int = flag(256, "side of the pictures; must be the pack's", metavar="PIXELS")
    pivots: Path | None = flag(
        None,
        "folder of the pack's coded pivots as the shipped enhancement repairs them; made where it is missing",
        metavar="DIR",
    )
    crops: int = flag(
        1, "crops of each pair that are decoded and judged; more pay where cores are scarcer than GPU", metavar="N"
    )
    recolour: float = flag(0.0, "how far each pair's colours are changed; 0.15 is a lot", metavar="SHARE")
    perceptual: float = flag(3.0, "weight of LPIPS", metavar="W")
    landmarks: Path | None = flag(
        None,
        "weights of a reader of lips and lids (avcall train landmarks); without it there is no such loss",
        metavar="FILE",
    )
    landmark_weight: float = flag(2.0, "weight of that loss", metavar="W")


def train_reenactment(config: ReenactmentTrainConfig) -> Path:
    """Trains and returns the last checkpoint's path; repairs the pack's pivots first where that is asked for.

    Raises:
        ConfigError: --pivots without a shipped enhancer. Others: as `avcall.models.training.loop.train` and
        `repair_pivots`.
    """
    if config.pivots is not None:
        enhancer = load_pivot_enhancer(device_from_flag(config.device))
        if enhancer is None:
            raise ConfigError("--pivots: no enhancement of pivots is shipped; leave the flag out")
        for split in ("val", "train"):
            repair_pivots(Pack(config.data, split), enhancer, config.pivots / split)
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
            InputError: no pack. ConfigError: a pack of another resolution. CheckpointError: damaged --landmarks.
        """
        self._config = config
        self._pack = Pack(config.data, "train", config.pivots)
        if self._pack.resolution != config.resolution:
            held = self._pack.resolution
            raise ConfigError(f"--resolution {config.resolution}: the pack holds {held}; prepare it again")
        self._weights = LossWeights(perceptual=config.perceptual)
        self._reader = _reader(config.landmarks) if config.landmarks else None
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
        if self._reader is not None:
            self._reader.to(device)
        self._grid = cell_centres(self._config.resolution, self._config.resolution, device)

    def draw(self, generator: np.random.Generator, count: int) -> Pairs:
        return self._pack.draw(generator, count, self._config.crops)

    def forward(self, network: nn.Module, batch: Pairs, generator: np.random.Generator) -> Forward:
        assert isinstance(network, ReenactmentNetwork)
        shift = (int(generator.integers(8)), int(generator.integers(8)))
        pivot, driving = self._picture(batch.pivot), self._picture(batch.driving)
        displacement, carried = batch.displacement.to(self._device), batch.carried.to(self._device)
        if self._config.recolour > 0:
            pivot, driving, carried = recoloured(self._config.recolour, generator, pivot, driving, carried)
        pivot_points, points = batch.pivot_keypoints.to(self._device), batch.driving_keypoints.to(self._device)
        encoded = network.encode(pivot, pivot_points)
        crop = Crop(batch.crop_left, batch.crop_top, CROP_EIGHTHS)
        driven = network.drive(encoded, Carried(carried, displacement), points, crop)
        weights, truth = crop.cut(attention(points, self._grid), 1), crop.cut(driving, 1)
        terms = reenactment_losses(driven, crop.repeat(carried), truth, weights, self._lpips, self._weights, shift)
        if self._reader is not None:
            amount, local = self._config.landmark_weight, crop.inside(points, self._config.resolution // 8)
            terms["landmarks"] = amount * landmark_loss(self._reader, driven.picture, truth, local)
        return Forward(terms, driven.picture, truth)

    def _picture(self, images: Tensor) -> Tensor:
        return images.to(self._device).permute(0, 3, 1, 2).float() / 255.0

    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        assert isinstance(average, ReenactmentNetwork)
        if self._judge is None:
            self._judge = Judge(self._config.data, self._device, self._config.pivots)
        return self._judge.judge(average, sheet)


def _reader(path: Path) -> LandmarkNetwork:
    weights = read_weights(path)
    if weights.kind != "landmarks":
        raise CheckpointError(f"--landmarks {path} holds a {weights.kind}: give what avcall train landmarks wrote")
    network = LandmarkNetwork(rebuild_config(LandmarkConfig, weights))
    fill(network, weights)
    channels_last(network)
    return network.eval().requires_grad_(False)
