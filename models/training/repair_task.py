"""What `avcall train enhancement` and `pivot-enhancement` share: crops, losses, figures and the sheet of samples.

L1 and LPIPS on crops, DISTS now and then (its network is the dearest). What holds the identity is that only true
pictures of the same person at the same moment are ever aimed at, without a critic. Frames come as three moments in a
row, and the truth is that of the middle one; a pivot is one moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avcall.common.errors import ConfigError
from avcall.common.keypoints import Keypoints
from avcall.models.dists import Dists
from avcall.models.enhancement.enhancer import KIND
from avcall.models.enhancement.network import EnhancementNetwork, EnhancementShape, enhance
from avcall.models.lpips import Lpips
from avcall.models.precision import mixed
from avcall.models.training.crops import crop_corner, planes
from avcall.models.training.pairs import Pack
from avcall.models.training.state import channels_last
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig

SHEET_ROWS = 8
Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pictures of T moments (T, S, S, 3), T odd, and the truth of the middle one (S, S, 3)."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of LPIPS and of DISTS, and the share of the steps in which DISTS looks."""

    perceptual: float
    texture: float
    texture_share: float


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch, uint8: what is given (N, T, C, C, 3), and the truth of the middle moments (N, C, C, 3)."""

    given: Tensor
    truth: Tensor


def check_crop(crop: int, shape: EnhancementShape) -> None:
    """Raises ConfigError where a network of this shape cannot learn from crops of this side."""
    if crop % shape.multiple or crop < 64:
        raise ConfigError(f"--crop {crop}: give a multiple of {shape.multiple} from 64, such as 128")


class RepairTask(ABC):
    """Implements `avcall.models.training.task.Task`, but for where samples come from."""

    kind = KIND

    def __init__(self, config: RunConfig, name: str, shape: EnhancementShape, crop: int, weights: Weights) -> None:
        """
        Raises:
            InputError: no pack. ConfigError: --crop is larger than the pictures.
        """
        self.name, self.shape = name, shape
        self._data, self._crop, self._weights = config.data, crop, weights
        self._pack = Pack(config.data, "train")
        if crop > self._pack.resolution:
            raise ConfigError(f"--crop {crop}: the pack's pictures have {self._pack.resolution} pixels")
        self._device = torch.device("cpu")
        self._lpips, self._dists = Lpips("alex"), Dists()
        for network in (self._lpips, self._dists):
            channels_last(network)

    @abstractmethod
    def _draw_one(self, generator: np.random.Generator) -> Sample:
        """One sample, cut to the crop's side."""

    @abstractmethod
    def _judged(self, pack: Pack) -> Iterator[list[Sample]]:
        """The samples of each val clip that are judged, whole; the last of each clip is for the sheet."""

    def _terms_in_time(self, given: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Further losses of pictures (N, T, 3, C, C)."""
        return {}

    def _figures(self, pictures: Tensor, truth: Tensor) -> dict[str, float]:
        """Distances of the middle one of pictures (T, 3, S, S) from the truth (1, 3, S, S)."""
        middle = pictures[len(pictures) // 2][None]
        return {
            "lpips": float(self._lpips(middle, truth)),
            "dists": float(self._dists(middle, truth)),
            "l1": float((middle - truth).abs().mean()),
        }

    def build(self) -> nn.Module:
        return EnhancementNetwork(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device
        self._lpips.to(device)
        self._dists.to(device)

    def draw(self, generator: np.random.Generator, count: int) -> Crops:
        rows = [_mirrored(self._draw_one(generator), generator) for _ in range(count)]
        given, truth = zip(*rows, strict=True)
        return Crops(torch.from_numpy(np.stack(given)), torch.from_numpy(np.stack(truth)))

    def _window(self, points: Keypoints, side: int, generator: np.random.Generator) -> tuple[slice, slice]:
        """Rows and columns of a crop of a picture of `side` pixels whose keypoints are `points`."""
        left, top = crop_corner(points, side, self._crop, generator)
        return slice(top, top + self._crop), slice(left, left + self._crop)

    def forward(self, network: nn.Module, batch: Crops, generator: np.random.Generator) -> Forward:
        assert isinstance(network, EnhancementNetwork)
        given, truth = planes(batch.given.flatten(0, 1).to(self._device)), planes(batch.truth.to(self._device))
        made = enhance(network, given)
        given, made = (pictures.view(*batch.given.shape[:2], *given.shape[1:]) for pictures in (given, made))
        middle = made[:, made.shape[1] // 2]
        # LPIPS' first layer looks at every fourth place only: a picture could learn to be right just there
        top, left = (int(shift) for shift in generator.integers(0, 8, 2))
        weights = self._weights
        terms = {
            "pixels": (middle - truth).abs().mean(),
            "perceptual": weights.perceptual * self._lpips(middle[..., top:, left:], truth[..., top:, left:]).mean(),
            **self._terms_in_time(given, made),
        }
        if generator.random() < weights.texture_share:
            weight = weights.texture / weights.texture_share
            terms["texture"] = weight * self._dists(middle[:1].clamp(0, 1), truth[:1]).mean()
        return Forward(terms, middle, truth)

    @torch.inference_mode()
    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        """The figures of val samples repaired and, with `_given` behind their names, as given: means over all.

        Raises:
            OSError: the sheet cannot be written.
        """
        assert isinstance(average, EnhancementNetwork)
        found: dict[str, list[float]] = {}
        rows: list[Tensor] = []
        for samples in self._judged(Pack(self._data, "val")):
            for shown, true in samples:
                given, truth = (
                    planes(torch.from_numpy(np.array(part)).to(self._device)) for part in (shown, true[None])
                )
                with mixed(self._device):
                    made = enhance(average, given).clamp(0, 1)
                for name, pictures in (("", made), ("_given", given)):
                    for figure, value in self._figures(pictures, truth).items():
                        found.setdefault(figure + name, []).append(value)
            if len(rows) < SHEET_ROWS:
                before, after = given[len(given) // 2], made[len(made) // 2]
                rows.append(torch.cat([before, after, truth[0], (after - before) * 2 + 0.5], 2).clamp(0, 1))
        pixels = (torch.cat(rows, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        if not cv2.imwrite(str(sheet), np.ascontiguousarray(pixels[..., ::-1])):
            raise OSError(f"cannot write {sheet}")
        return {name: round(float(np.mean(values)), 5) for name, values in found.items()}


def _mirrored(sample: Sample, generator: np.random.Generator) -> Sample:
    """Half of the samples with left and right exchanged."""
    step = -1 if generator.random() < 0.5 else 1
    given, truth = (np.ascontiguousarray(part[..., ::step, :]) for part in sample)
    return given, truth
