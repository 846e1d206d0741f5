"""`avcall train pivot-enhancement`: pivots as a receiver decodes them, the true pictures, and the losses.

A pivot is repaired once and shown for a second or more, so its network may be large, and cannot flicker. L1 and LPIPS
on crops, DISTS now and then (its network is the dearest); a share of the pictures is given uncoded, so that what is
good already is left alone. There is no critic: nothing but the true picture of that moment is ever aimed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avcall.common.config import flag
from avcall.common.errors import ConfigError
from avcall.models.dists import Dists
from avcall.models.enhancement.enhancer import KIND
from avcall.models.enhancement.network import PIVOT_SIZES, EnhancementNetwork, EnhancementShape, enhance
from avcall.models.lpips import Lpips
from avcall.models.precision import mixed
from avcall.models.training.crops import crop_corner, planes
from avcall.models.training.loop import train
from avcall.models.training.pairs import Pack
from avcall.models.training.state import channels_last
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig

UNCODED_SHARE = 0.1
"""Share of the pictures that are given as they were."""
SHEET_ROWS = 8
_JUDGED_PER_CLIP = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PivotEnhancementTrainConfig(RunConfig):
    """`avcall train pivot-enhancement`."""

    crop: int = flag(128, "side of the squares that are learned from", metavar="PIXELS")
    perceptual: float = flag(2.0, "weight of LPIPS", metavar="W")
    texture: float = flag(0.5, "weight of DISTS", metavar="W")
    texture_share: float = flag(0.125, "share of the steps in which DISTS looks, at one sample each", metavar="SHARE")


def train_pivot_enhancement(config: PivotEnhancementTrainConfig) -> Path:
    """Trains and returns the last checkpoint's path.

    Raises:
        ConfigError: --crop does not fit. Others: as `avcall.models.training.loop.train`.
    """
    multiple = PIVOT_SIZES[config.size].multiple
    if config.crop % multiple or config.crop < 64:
        raise ConfigError(f"--crop {config.crop}: give a multiple of {multiple} from 64, such as 128")
    return train(config, make_task)


def make_task(config: RunConfig) -> PivotEnhancementTask:
    assert isinstance(config, PivotEnhancementTrainConfig)
    return PivotEnhancementTask(config)


@dataclass(frozen=True, slots=True)
class Twos:
    """A batch of crops, uint8 (N, C, C, 3): what was decoded, and the truth."""

    decoded: Tensor
    truth: Tensor


class PivotEnhancementTask:
    """Implements `avcall.models.training.task.Task`."""

    kind = KIND

    def __init__(self, config: PivotEnhancementTrainConfig) -> None:
        """
        Raises:
            InputError: no pack. ConfigError: --crop is larger than the pictures.
        """
        self._config = config
        pack = Pack(config.data, "train")
        if config.crop > pack.resolution:
            raise ConfigError(f"--crop {config.crop}: the pack's pictures have {pack.resolution} pixels")
        self._clips = pack.clips
        self._device = torch.device("cpu")
        self._lpips, self._dists = Lpips("alex"), Dists()
        for network in (self._lpips, self._dists):
            channels_last(network)

    @property
    def name(self) -> str:
        return f"{self._config.size}-pivot-{KIND}"

    @property
    def shape(self) -> EnhancementShape:
        return PIVOT_SIZES[self._config.size]

    def build(self) -> nn.Module:
        return EnhancementNetwork(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device
        self._lpips.to(device)
        self._dists.to(device)

    def draw(self, generator: np.random.Generator, count: int) -> Twos:
        rows = [self._draw_one(generator) for _ in range(count)]
        decoded, truth = zip(*rows, strict=True)
        return Twos(torch.from_numpy(np.stack(decoded)), torch.from_numpy(np.stack(truth)))

    def _draw_one(self, generator: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        clip = self._clips[int(generator.integers(len(self._clips)))]
        number = int(generator.integers(len(clip.coded)))
        frame, crop = int(clip.coded_index[number]), self._config.crop
        left, top = crop_corner(clip.keypoints[frame], clip.frames.shape[1], crop, generator)
        rows, columns = slice(top, top + crop), slice(left, left + crop)
        truth = clip.frames[frame][rows, columns]
        decoded = truth if generator.random() < UNCODED_SHARE else clip.coded[number][rows, columns]
        if generator.random() < 0.5:
            decoded, truth = decoded[:, ::-1], truth[:, ::-1]
        return np.ascontiguousarray(decoded), np.ascontiguousarray(truth)

    def forward(self, network: nn.Module, batch: Twos, generator: np.random.Generator) -> Forward:
        assert isinstance(network, EnhancementNetwork)
        truth = planes(batch.truth.to(self._device))
        made = enhance(network, planes(batch.decoded.to(self._device)))
        # LPIPS' first layer looks at every fourth place only: a picture could learn to be right just there
        top, left = (int(shift) for shift in generator.integers(0, 8, 2))
        config = self._config
        terms = {
            "pixels": (made - truth).abs().mean(),
            "perceptual": config.perceptual * self._lpips(made[..., top:, left:], truth[..., top:, left:]).mean(),
        }
        if generator.random() < config.texture_share:
            weight = config.texture / config.texture_share
            terms["texture"] = weight * self._dists(made[:1].clamp(0, 1), truth[:1]).mean()
        return Forward(terms, made, truth)

    @torch.inference_mode()
    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        """LPIPS, DISTS and L1 of val pivots, as decoded and repaired."""
        assert isinstance(average, EnhancementNetwork)
        found: dict[str, list[float]] = {}
        rows: list[Tensor] = []
        for clip in Pack(self._config.data, "val").clips:
            for number in np.linspace(0, len(clip.coded) - 1, _JUDGED_PER_CLIP).astype(int):
                decoded, true = (
                    planes(torch.from_numpy(np.array(picture))[None].to(self._device))
                    for picture in (clip.coded[number], clip.frames[clip.coded_index[number]])
                )
                with mixed(self._device):
                    made = enhance(average, decoded).clamp(0, 1)
                for name, picture in (("", made), ("_given", decoded)):
                    found.setdefault(f"lpips{name}", []).append(float(self._lpips(picture, true)))
                    found.setdefault(f"dists{name}", []).append(float(self._dists(picture, true)))
                    found.setdefault(f"l1{name}", []).append(float((picture - true).abs().mean()))
            if len(rows) < SHEET_ROWS:
                rows.append(torch.cat([decoded[0], made[0], true[0], (made - decoded)[0] * 2 + 0.5], 2).clamp(0, 1))
        shown = (torch.cat(rows, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        if not cv2.imwrite(str(sheet), np.ascontiguousarray(shown[..., ::-1])):
            raise OSError(f"cannot write {sheet}")
        return {name: round(float(np.mean(values)), 5) for name, values in found.items()}
