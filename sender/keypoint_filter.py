"""Steadies the keypoints in time: the One-Euro filter of Casiez, Roussel and Vogel (CHI 2012), for each coordinate.

A still head stands still, a fast movement passes without delay. Lips, chin and lids are filtered less than the rigid
points: a blink lasts 100 ms and must not be smoothed away.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import (
    CHIN,
    COUNT,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    UPPER_LIP,
    Keypoints,
)

RIGID_CUTOFF_HZ = 1.0
LIVELY_CUTOFF_HZ = 3.0
LIVELY = (UPPER_LIP, LOWER_LIP, MOUTH_LEFT, MOUTH_RIGHT, CHIN, LID_LEFT, LID_RIGHT)
RIGID_BETA = 40.0
LIVELY_BETA = 60.0
"""Hz of cut-off per unit a second of speed (one unit is half the crop's side)."""
SPEED_CUTOFF_HZ = 5.0
LONGEST_STEP_MS = 200.0
"""After a longer pause the filter starts anew."""


class KeypointFilter:
    """Sans-IO; times are the frames' capture times."""

    def __init__(self) -> None:
        lively = np.isin(np.arange(COUNT), LIVELY)[:, None]
        self._cutoff_hz = np.where(lively, LIVELY_CUTOFF_HZ, RIGID_CUTOFF_HZ)
        self._beta = np.where(lively, LIVELY_BETA, RIGID_BETA)
        self._time_ms = 0.0
        self._value: NDArray[np.float64] | None = None
        self._speed = np.zeros((COUNT, 2))

    def reset(self) -> None:
        """The next keypoints are taken as they are: another crop, or the face has come back."""
        self._value = None

    def filter(self, keypoints: Keypoints, time_ms: float) -> Keypoints:
        step_ms = time_ms - self._time_ms
        self._time_ms = time_ms
        if self._value is None or not 0.0 < step_ms <= LONGEST_STEP_MS:
            self._value = keypoints.astype(np.float64)
            self._speed = np.zeros((COUNT, 2))
            return keypoints.copy()
        step_s = step_ms / 1000.0
        speed = (keypoints - self._value) / step_s
        self._speed += _weight(SPEED_CUTOFF_HZ, step_s) * (speed - self._speed)
        weight = _weight(self._cutoff_hz + self._beta * np.abs(self._speed), step_s)
        self._value = self._value + weight * (keypoints - self._value)
        return np.asarray(self._value, dtype=np.float32)


def _weight(cutoff_hz: Any, step_s: float) -> Any:
    """Of the new value in a first-order low-pass of this cut-off."""
    radians = 2.0 * math.pi * cutoff_hz * step_s
    return radians / (radians + 1.0)
