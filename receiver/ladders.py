"""Stages with several versions, behind the Protocols of `avcall.models.interfaces`: the budget says which one runs.

A ladder is itself a reenactor, super-resolver, enhancer or interpolator. It runs the version that `FrameBudget` chose,
blends it in and out, times it, and where a version fails (raises, or draws no picture) the one below it stands in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from avcall.common.clock import Clock
from avcall.common.keypoints import Image, Keypoints
from avcall.common.stats import Stats
from avcall.models.interfaces import Encoded, Enhancer, Interpolator, ModelId, Reenactor, SuperResolver
from avcall.receiver.budget import FrameBudget, Version

DRIVE, INTERPOLATE, UPSCALE, ENHANCE = "drive", "interpolate", "upscale", "enhance"
ORDER = (DRIVE, ENHANCE, UPSCALE, INTERPOLATE, UPSCALE, UPSCALE)
"""Of the steps up, by what they gain a viewer for their time."""
CALIBRATION_RUNS = 3
Part = TypeVar("Part")
Named = Sequence[tuple[str, Part]]
"""Versions of a stage with the names that the overlay and the report give them, cheapest first."""
_log = logging.getLogger(__name__)


class Ladder(Generic[Part]):
    """Versions of one stage and how to run one."""

    def __init__(self, stage: str, parts: Named[Part], clock: Clock, stats: Stats) -> None:
        self.stage = stage
        self.names = tuple(name for name, _ in parts)
        self._parts = tuple(part for _, part in parts)
        self._clock, self._stats = clock, stats
        self._budget: FrameBudget | None = None

    def follow(self, budget: FrameBudget) -> None:
        """From now on `budget` chooses; before that the cheapest version runs."""
        self._budget = budget

    def calibrate(self, use: Callable[[Part], object]) -> tuple[Version, ...]:
        """Runs each version a few times and returns what each takes. One that fails is priced beyond all budgets."""
        versions = []
        for name, part in zip(self.names, self._parts, strict=True):
            took_ms = []
            try:
                for _ in range(CALIBRATION_RUNS + 1):
                    start_ms = self._clock()
                    use(part)
                    took_ms.append(self._clock() - start_ms)
            except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call goes on without it
                _log.warning("%s of stage %s does not run here: %s", name, self.stage, error)
                took_ms = [float("inf")]
            versions.append(Version(name, min(took_ms)))
        return tuple(versions)

    def run(self, use: Callable[[Part], Image]) -> Image:
        """The picture by the version that the budget chose, or by the best one below it that gives a picture.

        Raises:
            Exception: what the cheapest version raised.
        """
        choice = None if self._budget is None else self._budget.choice(self.stage)
        level = 0 if choice is None else choice.level
        while level:
            try:
                image = self._timed(level, use)
            except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call outlives it
                self._stats.count(f"{self.stage}_failed")
                _log.warning("%s of stage %s failed: %s", self.names[level], self.stage, error)
                if self._budget is not None:
                    self._budget.failed(self.stage, level, self._clock())
                level -= 1
                continue
            if choice is None or choice.share >= 1.0 or level != choice.level:
                return image
            below = self._timed(level - 1, use)
            if below.shape != image.shape:
                return image
            return np.asarray(cv2.addWeighted(image, choice.share, below, 1.0 - choice.share, 0.0), dtype=np.uint8)
        return self._timed(0, use)

    def _timed(self, level: int, use: Callable[[Part], Image]) -> Image:
        start_ms = self._clock()
        image = use(self._parts[level])
        took_ms = self._clock() - start_ms
        if self._budget is not None:
            self._budget.took(self.stage, level, took_ms)
        self._stats.add_stage(f"{self.stage}_{self.names[level]}", took_ms)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or (level and not image.any()):
            raise ValueError(f"it drew {image.dtype} {image.shape}, or nothing at all")  # NaN becomes black in uint8
        return image


class ReenactorLadder(Ladder[Callable[[Encoded, Keypoints], Image]]):
    """A `Reenactor` whose `drive` has cheaper versions of the same encoded pivot."""

    def __init__(self, reenactor: Reenactor, clock: Clock, stats: Stats) -> None:
        """Uses `reenactor.drive_cheap`, where it has one, as the lower rung."""
        cheap: Any = getattr(reenactor, "drive_cheap", None)
        name = reenactor.model.name
        parts = [(name, reenactor.drive)] if cheap is None else [("warp", cheap), (name, reenactor.drive)]
        super().__init__(DRIVE, parts, clock, stats)
        self._reenactor = reenactor

    @property
    def model(self) -> ModelId:
        return self._reenactor.model

    @property
    def device(self) -> str:
        return self._reenactor.device

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        return self._reenactor.encode(pivot, keypoints)

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        return self.run(lambda drive: drive(encoded, keypoints))


class SuperResolverLadder(Ladder[SuperResolver]):
    """A `SuperResolver` of several."""

    def __init__(self, parts: Named[SuperResolver], clock: Clock, stats: Stats) -> None:
        super().__init__(UPSCALE, parts, clock, stats)

    def upscale(self, image: Image, side: int) -> Image:
        return self.run(lambda part: part.upscale(image, side))


class EnhancerLadder(Ladder[Enhancer]):
    """An `Enhancer` of several."""

    def __init__(self, parts: Named[Enhancer], clock: Clock, stats: Stats) -> None:
        super().__init__(ENHANCE, parts, clock, stats)

    def enhance(self, image: Image) -> Image:
        return self.run(lambda part: part.enhance(image))


class InterpolatorLadder(Ladder[Interpolator]):
    """An `Interpolator` of several."""

    def __init__(self, parts: Named[Interpolator], clock: Clock, stats: Stats) -> None:
        super().__init__(INTERPOLATE, parts, clock, stats)

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        return self.run(lambda part: part.interpolate(before, after, fraction))
