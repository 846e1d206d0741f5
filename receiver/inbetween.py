"""Pictures of poses that were not sent: animated from interpolated keypoints, or made from the pictures around them.

Keypoint space gives the better picture for nothing (docs/interpolation.md), so pictures are interpolated only where a
drive is dear. Then one drive serves a whole gap: the later picture is made with the first one in between, and kept.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
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
"""Interpolation must take less than this share of a drive."""
RUNS, TRUSTED_RUNS = 15, 3
REST_MS = 5_000.0
"""After an interpolation that failed, keypoint space alone for so long."""
_log = logging.getLogger(__name__)

Made: TypeAlias = Detailed | Image


class Inbetween:
    """Times drives and interpolations and chooses; for one thread."""

    def __init__(self, interpolator: Interpolator, clock: Clock, stats: Stats) -> None:
        self._interpolator, self._clock, self._stats = interpolator, clock, stats
        self._kept: list[tuple[Pose, Made]] = []
        self._drive_ms: deque[float] = deque(maxlen=RUNS)
        self._interpolate_ms: deque[float] = deque(maxlen=RUNS)
        self._not_before_ms = float("-inf")

    def picture(self, pose: Pose, between: Between | None, drive: Callable[[Pose], Made]) -> Made:
        """The picture of `pose`, which lies `between` two others if it was not sent.

        Raises:
            Exception: what `drive` raised. An interpolation that fails is counted, and the pose is driven.
        """
        if between is None:
            return self._driven(pose, drive)
        if not self.pays():
            return self._timed_drive(pose, drive)
        before, after = self._driven(between.before, drive), self._driven(between.after, drive)
        start_ms = self._clock()
        try:
            made = self._interpolated(before, after, between.fraction)
        except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call outlives it
            self._stats.count("interpolate_failed")
            self._not_before_ms = self._clock() + REST_MS
            _log.warning("interpolation failed, the keypoints are interpolated instead: %s", error)
            return self._timed_drive(pose, drive)
        took_ms = self._clock() - start_ms
        self._interpolate_ms.append(took_ms)
        self._stats.add_stage("interpolate", took_ms)
        self._stats.count("pictures_interpolated")
        return made

    def pays(self) -> bool:
        """Whether pictures are interpolated at present."""
        if len(self._drive_ms) < TRUSTED_RUNS or self._clock() < self._not_before_ms:
            return False
        drive_ms = median(self._drive_ms)
        if drive_ms <= DEAR_MS:
            return False
        return not self._interpolate_ms or median(self._interpolate_ms) < PAYS * drive_ms

    def _driven(self, pose: Pose, drive: Callable[[Pose], Made]) -> Made:
        for kept, picture in self._kept:
            if kept.pivot_id == pose.pivot_id and np.array_equal(kept.keypoints, pose.keypoints):
                return picture
        made = self._timed_drive(pose, drive)
        self._kept = [*self._kept[-1:], (pose, made)]
        return made

    def _timed_drive(self, pose: Pose, drive: Callable[[Pose], Made]) -> Made:
        start_ms = self._clock()
        made = drive(pose)
        self._drive_ms.append(self._clock() - start_ms)
        return made

    def _interpolated(self, before: Made, after: Made, fraction: float) -> Made:
        if isinstance(before, Detailed) and isinstance(after, Detailed):
            image = self._interpolator.interpolate(before.image, after.image, fraction)
            return Detailed(image, self._interpolator.interpolate(before.reference, after.reference, fraction))
        if isinstance(before, Detailed) or isinstance(after, Detailed):
            raise ValueError("one picture has details and the other has none")
        return self._interpolator.interpolate(before, after, fraction)
