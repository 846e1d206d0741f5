"""Shortens or lengthens speech by one pitch period, unheard: how the voice is steered. Sans-IO."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avcall.common.frames import SAMPLE_RATE

Samples = NDArray[np.int16]
_SHORTEST, _LONGEST = SAMPLE_RATE // 400, SAMPLE_RATE // 80
"""Periods from 2.5 to 12.5 ms: 80 to 400 Hz."""
NEEDED = 2 * _LONGEST
"""Samples that `best_period` looks at."""


def best_period(samples: Samples) -> int:
    """The lag at which the first part of `samples` (NEEDED or more) resembles what follows it best."""
    signal = samples[:NEEDED].astype(np.float64)
    window = signal[:_LONGEST]
    lags = np.arange(_SHORTEST, _LONGEST + 1)
    frames = np.lib.stride_tricks.sliding_window_view(signal, _LONGEST)[lags]
    likeness = frames @ window / np.sqrt((frames**2).sum(axis=1) + 1e3)
    return int(lags[likeness.argmax()])


def shorten(samples: Samples, period: int) -> Samples:
    """`samples` without their first `period`; the seam is cross-faded."""
    return np.concatenate([_fade(samples[:period], samples[period : 2 * period]), samples[2 * period :]])


def lengthen(samples: Samples, period: int) -> Samples:
    """`samples` with their first `period` heard twice."""
    seam = _fade(samples[period : 2 * period], samples[:period])
    return np.concatenate([samples[:period], seam, samples[period:]])


def resample(samples: Samples, count: int) -> Samples:
    """`count` samples over the span of `samples`, whose last one is the first of what follows (it fixes the slope at
    the end and is not part of the result). Linear: meant for changes of a per cent."""
    span = len(samples) - 1
    if span == count:
        return samples[:-1]
    at = np.arange(count) * (span / count)
    return np.interp(at, np.arange(span + 1), samples).round().astype(np.int16)


def _fade(old: Samples, new: Samples) -> Samples:
    share = (np.arange(len(old)) + 0.5) / len(old)
    return ((1.0 - share) * old + share * new).round().astype(np.int16)
