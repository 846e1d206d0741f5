"""Stages with several versions, behind the Protocols of `avcall.models.interfaces`: the budget says which one runs.

A ladder is itself a reenactor, super-resolver or enhancer. It runs the version that `FrameBudget` chose,
blends it in and out, times it, and where a version fails (raises, or draws no picture) the one below it stands in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import ClassVar, Generic, Literal, TypeAlias, TypeVar, cast

import cv2
import numpy as np

from avcall.common.clock import Clock
from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import STILL, SceneMotion
from avcall.common.stats import Stats
from avcall.models.interfaces import (
    Detailed,
    Drives,
    Encoded,
    Enhancer,
    Guide,
    LateReenactor,
    ModelId,
    Reenactor,
    RepairsPivots,
    SuperResolver,
    driven,
    driven_detailed,
    followed,
)
from avcall.receiver.budget import FrameBudget, Version
from avcall.receiver.late_drive import LateDrive, SparePace, WarpDrive

DRIVE, UPSCALE, ENHANCE = "drive", "upscale", "enhance"
ORDER = (DRIVE, ENHANCE, UPSCALE, DRIVE, UPSCALE)
"""Of the steps up, by what they gain a viewer for their time."""
CALIBRATION_RUNS = 4
"""The first one is slow: networks settle in it."""
Part = TypeVar("Part")
Made = TypeVar("Made", bound=Image | Detailed | None)
_Pictures: TypeAlias = Image | Detailed | None
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
        self.budget: FrameBudget | None = None
        """Who chooses; without one the cheapest version runs."""

    def calibrate(self, use: Callable[[Part, int], object]) -> tuple[Version, ...]:
        """Runs each version a few times and returns what each takes at best. `use` is told the number of the run, as
        versions may do nothing for a picture that they know. One that fails is priced beyond all budgets."""
        versions = []
        for name, part in zip(self.names, self._parts, strict=True):
            took_ms = []
            try:
                for number in range(CALIBRATION_RUNS):
                    start_ms = self._clock()
                    use(part, number)
                    took_ms.append(self._clock() - start_ms)
            except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call goes on without it
                _log.warning("%s of stage %s does not run here: %s", name, self.stage, error)
                took_ms = [float("inf")]
            versions.append(Version(name, min(took_ms)))
        return tuple(versions)

    def run(self, use: Callable[[Part], Made]) -> Made:
        """What the version makes that the budget chose, or the best one below it that makes a picture.

        Raises:
            Exception: what the cheapest version raised.
        """
        choice = None if self.budget is None else self.budget.choice(self.stage)
        level = 0 if choice is None else choice.level
        while level:
            try:
                made = self._timed(level, use)
            except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call outlives it
                self._stats.count(f"{self.stage}_failed")
                _log.warning("%s of stage %s failed: %s", self.names[level], self.stage, error)
                if self.budget is not None:
                    self.budget.failed(self.stage, level, self._clock())
                level -= 1
                continue
            if choice is None or choice.share >= 1.0 or level != choice.level:
                return made
            return cast(Made, _blend(self._timed(level - 1, use), made, choice.share))
        return self._timed(0, use)

    def _timed(self, level: int, use: Callable[[Part], Made]) -> Made:
        start_ms = self._clock()
        made = use(self._parts[level])
        took_ms = self._clock() - start_ms
        if made is None:  # nothing was computed: no price to learn
            return made
        if self.budget is not None:
            self.budget.took(self.stage, level, took_ms)
        self._stats.add_stage(f"{self.stage}_{self.names[level]}".replace(" ", "_"), took_ms)
        for image in _pictures(made):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or (level and not image.any()):
                raise ValueError(f"it drew {image.dtype} {image.shape}, or nothing at all")  # NaN becomes black
        return made


def _pictures(made: _Pictures) -> tuple[Image, ...]:
    if made is None:
        return ()
    return (made.image, made.reference) if isinstance(made, Detailed) else (made,)


def _blend(below: _Pictures, above: _Pictures, share: float) -> _Pictures:
    """`share` of `above`; all of it where the two cannot be blended."""
    if isinstance(below, Detailed) and isinstance(above, Detailed):
        return Detailed(_mix(below.image, above.image, share), _mix(below.reference, above.reference, share))
    if isinstance(below, np.ndarray) and isinstance(above, np.ndarray):
        return _mix(below, above, share)
    return above


def _mix(below: Image, above: Image, share: float) -> Image:
    if below.shape != above.shape:
        return above
    return np.asarray(cv2.addWeighted(above, share, below, 1.0 - share, 0.0), dtype=np.uint8)


class ReenactorLadder(Ladder[Drives]):
    """A `Reenactor`, and a `DetailedReenactor` where it wraps one. A `LateReenactor` has a rung without its network
    and, given a worker for that, one whose network works beside the pictures (`avcall.receiver.late_drive`)."""

    moves_scene: ClassVar[Literal[True]] = True

    def __init__(self, reenactor: Reenactor, clock: Clock, stats: Stats, beside: Executor | None = None) -> None:
        name = reenactor.model.name
        parts: list[tuple[str, Drives]] = [(name, reenactor)]
        self._late: LateDrive | None = None
        if isinstance(reenactor, LateReenactor):
            if beside is not None:
                self._late = LateDrive(reenactor, beside, SparePace(self._spare, clock), clock, stats)
                parts.insert(0, (f"{name} carried", self._late))
            parts.insert(0, ("warp", WarpDrive(reenactor)))
        super().__init__(DRIVE, parts, clock, stats)
        self._reenactor = reenactor
        self._before: Encoded | None = None
        """The pivot that was encoded last."""

    def _spare(self) -> float:
        return 0.0 if self.budget is None else self.budget.spare()

    @property
    def model(self) -> ModelId:
        return self._reenactor.model

    @property
    def device(self) -> str:
        return self._reenactor.device

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        encoded = followed(self._reenactor, self._encoded(pivot, keypoints), self._before)
        self._before = encoded
        level = 0 if self.budget is None else self.budget.choice(DRIVE).level
        if self._late is not None and self._parts[level] is self._late:
            try:
                self._late.prepare(encoded)
            except Exception as error:  # noqa: BLE001 - a network may fail in any way, and the pivot is there
                self._stats.count("residual_failed")
                _log.warning("%s of stage %s failed: %s", self.names[level], self.stage, error)
        return encoded

    def follow(self, encoded: Encoded, other: Encoded) -> Encoded:
        """See `FollowsPivots`."""
        after = followed(self._reenactor, encoded, other)
        if self._late is not None:
            self._late.replace(encoded, after)
        return after

    def _encoded(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        try:
            return self._reenactor.encode(pivot, keypoints)
        except FloatingPointError as error:
            if not isinstance(self._reenactor, RepairsPivots):
                raise
            self._stats.count("repair_failed")
            _log.warning("a pivot was not repaired: %s", error)
            return self._reenactor.encode_uncoded(pivot, keypoints)

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        return self.run(lambda part: driven(part, encoded, keypoints, scene))

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Detailed | None:
        return self.run(lambda part: driven_detailed(part, encoded, keypoints, scene))


class SuperResolverLadder(Ladder[SuperResolver]):
    """A `SuperResolver` of several."""

    def __init__(self, parts: Named[SuperResolver], clock: Clock, stats: Stats) -> None:
        super().__init__(UPSCALE, parts, clock, stats)

    def upscale(self, image: Image, side: int, guide: Guide | None = None) -> Image:
        return self.run(lambda part: part.upscale(image, side, guide))


class EnhancerLadder(Ladder[Enhancer]):
    """An `Enhancer` of several."""

    def __init__(self, parts: Named[Enhancer], clock: Clock, stats: Stats) -> None:
        super().__init__(ENHANCE, parts, clock, stats)

    def enhance(self, image: Image) -> Image:
        return self.run(lambda part: part.enhance(image))
