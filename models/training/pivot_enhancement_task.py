"""`avcall train pivot-enhancement`: pivots as a receiver decodes them, and the true pictures.

A pivot is repaired once and shown for a second or more, so its network may be large, and cannot flicker. A share of the
pictures is given uncoded, so that what is good already is left alone. All else is in `repair_task`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avcall.common.config import flag
from avcall.models.enhancement.enhancer import KIND
from avcall.models.enhancement.network import SIZES
from avcall.models.training.loop import train
from avcall.models.training.pairs import Pack
from avcall.models.training.repair_task import RepairTask, Sample, Weights, check_crop
from avcall.models.training.train_config import RunConfig

UNCODED_SHARE = 0.1
"""Share of the pictures that are given as they were."""
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
    check_crop(config.crop, SIZES[config.size])
    return train(config, make_task)


def make_task(config: RunConfig) -> PivotEnhancementTask:
    assert isinstance(config, PivotEnhancementTrainConfig)
    return PivotEnhancementTask(config)


class PivotEnhancementTask(RepairTask):
    """Repairs decoded pivots."""

    def __init__(self, config: PivotEnhancementTrainConfig) -> None:
        """
        Raises:
            InputError: no pack. ConfigError: --crop is larger than the pictures.
        """
        weights = Weights(config.perceptual, config.texture, config.texture_share)
        super().__init__(config, f"{config.size}-pivot-{KIND}", SIZES[config.size], config.crop, weights)

    def _draw_one(self, generator: np.random.Generator) -> Sample:
        clips = self._pack.clips
        clip = clips[int(generator.integers(len(clips)))]
        number = int(generator.integers(len(clip.coded)))
        frame = int(clip.coded_index[number])
        rows, columns = self._window(clip.keypoints[frame], clip.frames.shape[1], generator)
        truth = clip.frames[frame][rows, columns]
        given = truth if generator.random() < UNCODED_SHARE else clip.coded[number][rows, columns]
        return given[None], truth

    def _judged(self, pack: Pack) -> Iterator[list[Sample]]:
        for clip in pack.clips:
            numbers = np.linspace(0, len(clip.coded) - 1, _JUDGED_PER_CLIP).astype(int)
            yield [(clip.coded[[number]], clip.frames[clip.coded_index[number]]) for number in numbers]
