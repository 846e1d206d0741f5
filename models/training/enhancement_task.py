"""`avcall train enhancement`: driven pictures in threes, the repaired ones, and the losses.

L1 and LPIPS on the middle picture, DISTS now and then (its network is the dearest), and what flickers more in
the repaired three than in the given: so what is sharpened stays steady. What holds the identity is that only true
pictures of the same person at the same moment are ever aimed at, without a critic.
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
from avcall.models.enhancement.network import SIZES, EnhancementNetwork, EnhancementShape, enhance
from avcall.models.lpips import Lpips
from avcall.models.precision import mixed
from avcall.models.registry import device_from_flag, load_pair
from avcall.models.training.crops import crop_corner, planes
from avcall.models.training.enhancement_pairs import EnhancementClip, make_pairs, read_pairs
from avcall.models.training.loop import train
from avcall.models.training.pairs import Pack
from avcall.models.training.state import channels_last
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig

SHEET_ROWS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhancementTrainConfig(RunConfig):
    """`avcall train enhancement`."""

    pairs: Path = flag(
        Path(), "folder of driven pictures; made from the pack where it is missing", metavar="DIR", required=True
    )
    models: tuple[str, ...] = flag(
        (), "reenactor whose pictures are repaired (classical and lite if none is given)", metavar="NAME"
    )
    per_clip: int = flag(24, "samples made of each clip", metavar="N")
    crop: int = flag(128, "side of the squares that are learned from", metavar="PIXELS")
    perceptual: float = flag(1.0, "weight of LPIPS", metavar="W")
    texture: float = flag(1.0, "weight of DISTS", metavar="W")
    texture_share: float = flag(0.25, "share of the steps in which DISTS looks, at one sample each", metavar="SHARE")
    flicker: float = flag(5.0, "weight of flicker beyond the input's", metavar="W")


def train_enhancement(config: EnhancementTrainConfig) -> Path:
    """Trains and returns the last checkpoint's path; makes the pairs first where they are missing.

    Raises:
        ConfigError: --crop does not fit. Others: as `avcall.models.training.loop.train` and `make_pairs`.
    """
    multiple = SIZES[config.size].multiple
    if config.crop % multiple or config.crop < 64:
        raise ConfigError(f"--crop {config.crop}: give a multiple of {multiple} from 64, such as 128")
    packs = {split: Pack(config.data, split) for split in ("val", "train")}
    if not all((config.pairs / split / clip.name).exists() for split, pack in packs.items() for clip in pack.clips):
        device = device_from_flag(config.device)
        reenactors = [load_pair(name, device)[1] for name in config.models or ("classical", "lite")]
        for split, pack in packs.items():
            make_pairs(pack, reenactors, config.pairs / split, config.per_clip, config.seed)
    return train(config, make_task)


def make_task(config: RunConfig) -> EnhancementTask:
    assert isinstance(config, EnhancementTrainConfig)
    return EnhancementTask(config)


@dataclass(frozen=True, slots=True)
class Threes:
    """A batch of crops, uint8: what was shown (N, 3, C, C, 3), and the truth of the middle ones (N, C, C, 3)."""

    shown: Tensor
    truth: Tensor


class EnhancementTask:
    """Implements `avcall.models.training.task.Task`."""

    kind = KIND

    def __init__(self, config: EnhancementTrainConfig) -> None:
        """
        Raises:
            InputError: no pack, or no pairs of it. ConfigError: --crop is larger than the pictures.
        """
        self._config = config
        pack = Pack(config.data, "train")
        if config.crop > pack.resolution:
            raise ConfigError(f"--crop {config.crop}: the pack's pictures have {pack.resolution} pixels")
        self._clips = read_pairs(pack, config.pairs / "train")
        self._device = torch.device("cpu")
        self._lpips, self._dists = Lpips("alex"), Dists()
        for network in (self._lpips, self._dists):
            channels_last(network)

    @property
    def name(self) -> str:
        return f"{self._config.size}-{KIND}"

    @property
    def shape(self) -> EnhancementShape:
        return SIZES[self._config.size]

    def build(self) -> nn.Module:
        return EnhancementNetwork(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device
        self._lpips.to(device)
        self._dists.to(device)

    def draw(self, generator: np.random.Generator, count: int) -> Threes:
        rows = [self._draw_one(generator) for _ in range(count)]
        shown, truth = zip(*rows, strict=True)
        return Threes(torch.from_numpy(np.stack(shown)), torch.from_numpy(np.stack(truth)))

    def _draw_one(self, generator: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        samples = self._clips[int(generator.integers(len(self._clips)))]
        number = int(generator.integers(len(samples.frame)))
        frame = int(samples.frame[number])
        side, crop = samples.shown.shape[2], self._config.crop
        left, top = crop_corner(samples.clip.keypoints[frame], side, crop, generator)
        rows, columns = slice(top, top + crop), slice(left, left + crop)
        shown = samples.shown[number][:, rows, columns]
        truth = samples.clip.frames[frame][rows, columns]
        if generator.random() < 0.5:
            shown, truth = shown[:, :, ::-1], truth[:, ::-1]
        return np.ascontiguousarray(shown), np.ascontiguousarray(truth)

    def forward(self, network: nn.Module, batch: Threes, generator: np.random.Generator) -> Forward:
        assert isinstance(network, EnhancementNetwork)
        shown = planes(batch.shown.flatten(0, 1).to(self._device))
        truth = planes(batch.truth.to(self._device))
        made = enhance(network, shown)
        count, shape = len(truth), shown.shape[1:]
        threes_in, threes_out = shown.view(count, 3, *shape), made.view(count, 3, *shape)
        middle = threes_out[:, 1]
        # LPIPS' first layer looks at every fourth place only: a picture could learn to be right just there
        top, left = (int(shift) for shift in generator.integers(0, 8, 2))
        config = self._config
        terms = {
            "pixels": (middle - truth).abs().mean(),
            "perceptual": config.perceptual * self._lpips(middle[..., top:, left:], truth[..., top:, left:]).mean(),
            "flicker": config.flicker * more_flicker(threes_in, threes_out),
        }
        if generator.random() < config.texture_share:
            weight = config.texture / config.texture_share
            terms["texture"] = weight * self._dists(middle[:1].clamp(0, 1), truth[:1]).mean()
        return Forward(terms, middle, truth)

    @torch.inference_mode()
    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        """LPIPS, DISTS and flicker of val samples, as shown and repaired; one sample of each clip."""
        assert isinstance(average, EnhancementNetwork)
        clips = read_pairs(Pack(self._config.data, "val"), self._config.pairs / "val")
        found: dict[str, list[float]] = {}
        rows: list[Tensor] = []
        for turn, samples in enumerate(clips):
            three, truth = _sample(samples, turn)
            shown, true = planes(three.to(self._device)), planes(truth[None].to(self._device))
            with mixed(self._device):
                made = enhance(average, shown).clamp(0, 1)
            for name, pictures in (("", made), ("_given", shown)):
                found.setdefault(f"lpips{name}", []).append(float(self._lpips(pictures[1:2], true)))
                found.setdefault(f"dists{name}", []).append(float(self._dists(pictures[1:2], true)))
                found.setdefault(f"l1{name}", []).append(float((pictures[1:2] - true).abs().mean()))
                found.setdefault(f"flicker{name}", []).append(float(_second_difference(pictures[None]).mean()))
            if len(rows) < SHEET_ROWS:
                rows.append(torch.cat([shown[1], made[1], true[0], (made[1] - shown[1]) * 2 + 0.5], 2).clamp(0, 1))
        picture = (torch.cat(rows, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        if not cv2.imwrite(str(sheet), np.ascontiguousarray(picture[..., ::-1])):
            raise OSError(f"cannot write {sheet}")
        return {name: round(float(np.mean(values)), 5) for name, values in found.items()}


def more_flicker(given: Tensor, made: Tensor) -> Tensor:
    """By how much the second difference in time of pictures (N, 3, 3, H, W), time second, is larger than that of those
    given, as a mean over all places; where it is smaller counts nothing."""
    return (_second_difference(made) - _second_difference(given)).clamp_min(0).mean()


def _second_difference(threes: Tensor) -> Tensor:
    """|x[t+1] - 2 x[t] + x[t-1]| of the luma (N, H, W); `avcall.models.metrics.flicker` is its mean."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=threes.device).view(1, 1, 3, 1, 1)
    luma = (threes.float() * weights).sum(2)
    return (luma[:, 2] - 2 * luma[:, 1] + luma[:, 0]).abs()


def _sample(samples: EnhancementClip, turn: int) -> tuple[Tensor, Tensor]:
    """One of a clip's samples, so that clips together show all reenactors and ages of pivots."""
    number = turn * 5 % len(samples.frame)
    shown, truth = samples.shown[number], samples.clip.frames[samples.frame[number]]
    return torch.from_numpy(np.array(shown)), torch.from_numpy(np.array(truth))
