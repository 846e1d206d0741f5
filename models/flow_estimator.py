"""Estimates the residual flow of a frame: what would make the receiver's picture look most like it.

A maximum a posteriori fit by Gauss-Newton steps: the picture's differences at a low resolution, robustly weighted; and
a prior by which slow waves are larger than fast ones, and none moves much from one frame to the next. Where a picture
has no texture only the prior speaks, so flat walls and noise make no motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints
from avcall.common.residual_flow import (
    COLUMNS,
    FREQUENCIES,
    LIMIT,
    ROWS,
    WAVES,
    Flow,
    around_features,
    field_of,
    step_sizes,
    waves,
)
from avcall.models.scene_layer import SIDE, Grey, small_grey

BLUR, HIGH_PASS = 0.8, 8.0
"""Deviations of the small picture's blur, and of the blur whose result is taken away from it (light), in its pixels."""
ROUNDS = 3
CLOSE = 0.1
"""A step that changes no amplitude by more, in pixels at 256, is the last."""
OTHER = 8.0
"""Levels of difference from which a pixel counts for a quarter: it may show something else."""
NOISE = 120.0
"""Variance of a pixel's difference, times the number of pixels whose differences are alike."""
AMPLITUDE = 2.0
"""Expected amplitude of a constant flow, in pixels at 256; a wave's falls with its frequency."""
CHANGES = 1.5
"""What it may change by in a few frames, in expected amplitudes."""
KEEPS = 0.8
"""An amplitude is told anew when it is farther than this, in steps, from what was told last: half a step would have it
jump to and fro."""
_PIXELS = 256.0
_UNIT = 127.5
"""Pixels at 256 of the keypoint convention's unit."""


class FlowEstimator:
    """Follows the residual flow of successive frames that refer to one pivot."""

    def __init__(self) -> None:
        self._amplitudes = np.zeros(2 * WAVES, dtype=np.float32)
        """In pixels at 256."""
        self._told = np.zeros(2 * WAVES, dtype=np.float32)
        """In steps."""

    def follow(self, shown: Image, frame: Image, keypoints: Keypoints, share: Grey | None = None) -> Flow:
        """Of `frame` with these keypoints, where the receiver would show `shown` without a flow (both square, of any
        size), in whole steps; empty where nothing moves, or no flow makes the two more alike. `share`, of it that
        each place follows, is 1 but for eyes and mouth where it is not given."""
        sight = _Sight(_small(shown), _small(frame), around_features(keypoints, SIDE) if share is None else share)
        start = self._amplitudes
        still = sight.difference(np.zeros_like(start))
        if start.any() and sight.difference(start) >= still:  # another scene, or long ago
            start = np.zeros_like(start)
        found = sight.fitted(start)
        if sight.difference(found) >= still:
            found = np.zeros_like(start)
        self._amplitudes = found
        steps = found / (step_sizes() * _UNIT)
        told = np.where(np.abs(steps - self._told) < KEEPS, self._told, np.rint(steps))
        self._told = np.clip(told, -LIMIT, LIMIT)
        return tuple(map(int, self._told)) if self._told.any() else ()


def _small(image: Image) -> Grey:
    grey = small_grey(image, BLUR)
    return np.asarray(cv2.subtract(grey, cv2.GaussianBlur(grey, (0, 0), HIGH_PASS)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is shown, what is wanted, and how much of the flow each pixel follows."""

    before: Grey
    wanted: Grey
    share: Grey

    def fitted(self, start: NDArray[np.float32]) -> NDArray[np.float32]:
        """Amplitudes in pixels at 256."""
        along_y, along_x = np.gradient(self.before)
        scale = self.share * np.float32(SIDE / _PIXELS)
        amplitudes = start
        for _ in range(ROUNDS):
            where = self._places(amplitudes)
            difference = _at(self.before, where) - self.wanted
            slope_x, slope_y = (_at(slope, where) * scale for slope in (along_x, along_y))
            weight = 1.0 / np.square(1.0 + np.square(difference / OTHER))
            heavy_x, heavy_y = weight * slope_x, weight * slope_y
            mixed = _products(heavy_x * slope_y)
            normal = np.block([[_products(heavy_x * slope_x), mixed], [mixed, _products(heavy_y * slope_y)]])
            pull = np.concatenate([_sums(heavy_x * difference), _sums(heavy_y * difference)])
            normal[np.diag_indices_from(normal)] += _ABOUT_ZERO + _ABOUT_LAST
            pull += _ABOUT_ZERO * amplitudes + _ABOUT_LAST * (amplitudes - start)
            step = np.linalg.solve(normal, pull)
            amplitudes = amplitudes - step
            if np.abs(step).max() < CLOSE:
                break
        return np.asarray(amplitudes, dtype=np.float32)

    def difference(self, amplitudes: NDArray[np.float32]) -> float:
        """How unlike the moved picture is to what is wanted, the prior not counted."""
        moved = _at(self.before, self._places(amplitudes)) if amplitudes.any() else self.before
        square = np.square((moved - self.wanted) / OTHER)
        return float((square / (1.0 + square)).mean())

    def _places(self, amplitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        field = field_of(amplitudes * np.float32(SIDE / _PIXELS), SIDE)
        return np.asarray(field * self.share[..., None] + _OWN_PLACES)


def _at(grey: Grey, where: NDArray[np.float32]) -> Grey:
    remap: Any = cv2.remap  # its stub wants pictures
    return np.asarray(remap(grey, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)


def _sums(weight: Grey) -> NDArray[np.float32]:
    """(WAVES,): the sum of each wave over the picture."""
    wave = waves(SIDE)
    return np.asarray((wave.T @ weight @ wave)[ROWS, COLUMNS])


def _products(weight: Grey) -> NDArray[np.float32]:
    """(WAVES, WAVES): the sum of the product of each two waves."""
    sums = (_PAIRS.T @ (weight @ _PAIRS)).reshape((FREQUENCIES,) * 4)
    return np.asarray(sums[ROWS[:, None], ROWS, COLUMNS[:, None], COLUMNS])


_PAIRS = (waves(SIDE)[:, :, None] * waves(SIDE)[:, None, :]).reshape(SIDE, FREQUENCIES**2)
_OWN_PLACES = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).astype(np.float32)
_EXPECTED = np.tile(AMPLITUDE / (1.0 + np.hypot(ROWS, COLUMNS)), 2)
_ABOUT_ZERO = (NOISE / np.square(_EXPECTED)).astype(np.float32)
_ABOUT_LAST = (NOISE / np.square(CHANGES * _EXPECTED)).astype(np.float32)
