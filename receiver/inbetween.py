"""Pictures of poses that were not sent: animated from interpolated keypoints, or made from the pictures around them.

Keypoint space gives the better picture for nothing (docs/interpolation.md), so pictures are interpolated only where a
drive is dear. Then one drive serves a whole gap: the later picture is made with the first one in between, and kept.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeAlias

import numpy as np

from avcall.common.clock import Clock
from avcall.common.frames import Pose
from avcall.common.keypoints import Image
from avcall.common.stats import Stats
from avcall.models.interfaces import Detailed, Interpolator
from avcall.receiver.jitter_buffer import Between

DEAR_MS = 20.0
"""Half a tick: a drive that takes longer leaves too little for the stages after it."""
PAYS = 0.5
"""An interpolator must take less than this share of a drive."""
RUNS, TRUSTED_RUNS = 15, 3
REST_MS = 5_000.0
"""An interpolator that failed is left alone for so long."""
_log = logging.getLogger(__name__)

Made: TypeAlias = Detailed | Image


class Inbetween:
    """Times drives and interpolations, and takes the first interpolator that pays; for one thread."""

    def __init__(self, interpolators: Sequence[tuple[str, Interpolator]], clock: Clock, stats: Stats) -> None:
        """`interpolators` by name, the preferred one first."""
        self._clock, self._stats = clock, stats
        self._candidates = [_Candidate(name, one) for name, one in interpolators]
        self._kept: list[tuple[Pose, Made]] = []
        self._drive_ms: deque[float] = deque(maxlen=RUNS)

    def picture(self, pose: Pose, between: Between | None, drive: Callable[[Pose], Made]) -> Made:
        """The picture of `pose`, which lies `between` two others if it was not sent.

        Raises:
            Exception: what `drive` raised. An interpolation that fails is counted, and the next best stands in, at last
                the interpolated keypoints.
        """
        if between is None:
            return self._driven(pose, drive)
        while (candidate := self._choice()) is not None:
            before, after = self._driven(between.before, drive), self._driven(between.after, drive)
            start_ms = self._clock()
            try:
                made = _interpolated(candidate.interpolator, before, after, between.fraction)
            except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call outlives it
                self._stats.count("interpolate_failed")
                candidate.not_before_ms = self._clock() + REST_MS
                _log.warning("interpolation by %s failed: %s", candidate.name, error)
                continue
            took_ms = self._clock() - start_ms
            candidate.took_ms.append(took_ms)
            self._stats.add_stage(f"interpolate_{candidate.name}", took_ms)
            self._stats.count("pictures_interpolated")
            return made
        return self._timed_drive(pose, drive)

    def _choice(self) -> _Candidate | None:
        """None: the keypoints are interpolated."""
        if len(self._drive_ms) < TRUSTED_RUNS or median(self._drive_ms) <= DEAR_MS:
            return None
        now_ms, limit_ms = self._clock(), PAYS * median(self._drive_ms)
        ready = (c for c in self._candidates if now_ms >= c.not_before_ms)
        return next((c for c in ready if not c.took_ms or median(c.took_ms) < limit_ms), None)

    def _driven(self, pose: Pose, drive: Callable[[Pose], Made]) -> Made:
        for kept, picture in self._kept:
            same = kept.pivot_id == pose.pivot_id and kept.scene == pose.scene
            if same and np.array_equal(kept.keypoints, pose.keypoints):
                return picture
        made = self._timed_drive(pose, drive)
        self._kept = [*self._kept[-1:], (pose, made)]
        return made

    def _timed_drive(self, pose: Pose, drive: Callable[[Pose], Made]) -> Made:
        start_ms = self._clock()
        made = drive(pose)
        self._drive_ms.append(self._clock() - start_ms)
        return made


class _Candidate:
    """One interpolator and how it fares."""

    def __init__(self, name: str, interpolator: Interpolator) -> None:
        self.name, self.interpolator = name, interpolator
        self.took_ms: deque[float] = deque(maxlen=RUNS)
        self.not_before_ms = float("-inf")


def _interpolated(interpolator: Interpolator, before: Made, after: Made, fraction: float) -> Made:
    if isinstance(before, Detailed) and isinstance(after, Detailed):
        image = interpolator.interpolate(before.image, after.image, fraction)
        return Detailed(image, interpolator.interpolate(before.reference, after.reference, fraction))
    if isinstance(before, Detailed) or isinstance(after, Detailed):
        raise ValueError("one picture has details and the other has none")
    return interpolator.interpolate(before, after, fraction)
