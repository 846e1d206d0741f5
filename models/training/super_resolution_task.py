"""`avcall train super-resolution`: patches as a call makes them, what the network makes of them, and the losses."""

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
from avcall.models.lpips import Lpips
from avcall.models.precision import mixed
from avcall.models.super_resolution.network import SIZES, SuperResolutionConfig, SuperResolutionNetwork
from avcall.models.training.loop import train
from avcall.models.training.state import channels_last
from avcall.models.training.super_resolution_patches import load_patches, make_patches
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig

JUDGED = 96
SHEET_ROWS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperResolutionTrainConfig(RunConfig):
    """`avcall train super-resolution`."""

    model: str = flag("classical", "the reenactor whose pictures are enlarged", metavar="NAME")
    guided: bool = flag(True, "learn to use the moved pixels of a large pivot")
    perceptual: float = flag(0.5, "weight of LPIPS", metavar="W")


def train_super_resolution(config: SuperResolutionTrainConfig) -> Path:
    """Makes the patches where they are missing, trains, and returns the last checkpoint's path.

    Raises:
        As `make_patches` and `avcall.models.training.loop.train`.
    """
    make_patches(config.data, config.model)
    return train(config, make_task)


def make_task(config: RunConfig) -> SuperResolutionTask:
    assert isinstance(config, SuperResolutionTrainConfig)
    return SuperResolutionTask(config)


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches, float (N, 3, h, w) in [0, 1]; `small` has half the others' side."""

    small: Tensor
    reference: Tensor
    truth: Tensor


class SuperResolutionTask:
    """Implements `avcall.models.training.task.Task`."""

    kind = "super_resolver"

    def __init__(self, config: SuperResolutionTrainConfig) -> None:
        """
        Raises:
            InputError: no patches.
        """
        self._config = config
        self._train = load_patches(config.data, config.model, "train")
        self._val = load_patches(config.data, config.model, "val")
        self._device = torch.device("cpu")
        self._lpips = Lpips("alex")
        channels_last(self._lpips)

    @property
    def name(self) -> str:
        return f"{self._config.size}-super-resolution" + ("" if self._config.guided else "-alone")

    @property
    def shape(self) -> SuperResolutionConfig:
        return SIZES[self._config.size, self._config.guided]

    def build(self) -> nn.Module:
        return SuperResolutionNetwork(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device
        self._lpips.to(device)

    def draw(self, generator: np.random.Generator, count: int) -> Batch:
        chosen = np.sort(generator.integers(len(self._train.truth), size=count))
        step = -1 if generator.random() < 0.5 else 1
        held = (self._train.small, self._train.reference, self._train.truth)
        return Batch(*(_planes(kind[chosen][:, :, ::step]) for kind in held))

    def forward(self, network: nn.Module, batch: Batch, generator: np.random.Generator) -> Forward:
        truth = batch.truth.to(self._device)
        made = self._make(network, batch)
        # LPIPS's first layer looks at every fourth place: shifted, so that no place is looked at more than others
        top, left = (int(shift) for shift in generator.integers(8, size=2))
        distance = self._lpips(made[..., top:, left:], truth[..., top:, left:]).mean()
        terms = {"pixels": (made - truth).abs().mean(), "perceptual": self._config.perceptual * distance}
        return Forward(terms, made, truth)

    @torch.inference_mode()
    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        """LPIPS and PSNR of bicubic enlargement, reference and network on patches of val."""
        chosen = np.unique(np.linspace(0, len(self._val.truth) - 1, JUDGED).astype(int))
        val = Batch(*(_planes(kind[chosen]) for kind in (self._val.small, self._val.reference, self._val.truth)))
        truth, reference = val.truth.to(self._device), val.reference.to(self._device)
        with mixed(self._device):
            made = self._make(average, val).clamp(0, 1)
        bicubic = functional.interpolate(val.small.to(self._device), scale_factor=2.0, mode="bicubic").clamp(0, 1)
        target = self._lpips.features(truth)
        figures = {}
        for name, shown in (("bicubic", bicubic), ("reference", reference), ("network", made)):
            distance = self._lpips.compare(self._lpips.features(shown), target).mean()
            error = (shown - truth).square().mean((1, 2, 3)).clamp(min=1e-6)
            figures[name] = {"lpips": float(distance), "psnr": float((-10 * error.log10()).mean())}
        rows = torch.cat([bicubic, reference, made, truth], -1)[:: max(1, len(chosen) // SHEET_ROWS)]
        if not cv2.imwrite(str(sheet), _image(torch.cat(list(rows), -2))[..., ::-1]):
            raise OSError(f"cannot write {sheet}")
        return {name: {key: round(value, 4) for key, value in of.items()} for name, of in figures.items()}

    def _make(self, network: nn.Module, batch: Batch) -> Tensor:
        reference = batch.reference.to(self._device) if self._config.guided else None
        made: Tensor = network(batch.small.to(self._device), reference)
        return made


def _planes(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255.0


def _image(planes: Tensor) -> NDArray[np.uint8]:
    scaled = (planes * 255.0 + 0.5).permute(1, 2, 0).to(torch.uint8)
    return np.asarray(scaled.cpu().numpy(), dtype=np.uint8)
