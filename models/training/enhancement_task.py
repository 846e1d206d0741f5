"""`avcall train enhancement`: driven pictures in threes, and the loss of what flickers.

What flickers more in the repaired three than in the given counts: so what is sharpened stays steady. All else is in
`repair_task`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avcall.common.config import flag
from avcall.models.enhancement.enhancer import KIND
from avcall.models.enhancement.network import SIZES
from avcall.models.registry import device_from_flag, load_pair
from avcall.models.training.enhancement_pairs import make_pairs, read_pairs
from avcall.models.training.loop import train
from avcall.models.training.pairs import Pack
from avcall.models.training.repair_task import RepairTask, Sample, Weights, check_crop
from avcall.models.training.train_config import RunConfig


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
    check_crop(config.crop, SIZES[config.size])
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


class EnhancementTask(RepairTask):
    """Repairs driven pictures, three moments in a row."""

    def __init__(self, config: EnhancementTrainConfig) -> None:
        """
        Raises:
            InputError: no pack, or no pairs of it. ConfigError: --crop is larger than the pictures.
        """
        weights = Weights(config.perceptual, config.texture, config.texture_share)
        super().__init__(config, f"{config.size}-{KIND}", SIZES[config.size], config.crop, weights)
        self._pairs, self._flicker = config.pairs, config.flicker
        self._clips = read_pairs(self._pack, config.pairs / "train")

    def _draw_one(self, generator: np.random.Generator) -> Sample:
        samples = self._clips[int(generator.integers(len(self._clips)))]
        number = int(generator.integers(len(samples.frame)))
        frame = int(samples.frame[number])
        rows, columns = self._window(samples.clip.keypoints[frame], samples.shown.shape[2], generator)
        return samples.shown[number][:, rows, columns], samples.clip.frames[frame][rows, columns]

    def _terms_in_time(self, given: Tensor, made: Tensor) -> dict[str, Tensor]:
        return {"flicker": self._flicker * more_flicker(given, made)}

    def _judged(self, pack: Pack) -> Iterator[list[Sample]]:
        """One sample of each clip, so that clips together show all reenactors and ages of pivots."""
        for turn, samples in enumerate(read_pairs(pack, self._pairs / "val")):
            number = turn * 5 % len(samples.frame)
            yield [(samples.shown[number], samples.clip.frames[samples.frame[number]])]

    def _figures(self, pictures: Tensor, truth: Tensor) -> dict[str, float]:
        flicker = float(_second_difference(pictures[None]).mean())
        return {**super()._figures(pictures, truth), "flicker": flicker}


def more_flicker(given: Tensor, made: Tensor) -> Tensor:
    """By how much the second difference in time of pictures (N, 3, 3, H, W), time second, is larger than that of those
    given, as a mean over all places; where it is smaller counts nothing."""
    return (_second_difference(made) - _second_difference(given)).clamp_min(0).mean()


def _second_difference(threes: Tensor) -> Tensor:
    """|x[t+1] - 2 x[t] + x[t-1]| of the luma (N, H, W); `avcall.models.metrics.flicker` is its mean."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=threes.device).view(1, 1, 3, 1, 1)
    luma = (threes.float() * weights).sum(2)
    return (luma[:, 2] - 2 * luma[:, 1] + luma[:, 0]).abs()
