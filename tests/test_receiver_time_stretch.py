"""Leaving out and repeating periods, resampling by a per cent."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.frames import SAMPLE_RATE
from avcall.receiver.time_stretch import best_period, lengthen, resample, shorten


def buzz(count: int, hz: float = 160.0) -> np.ndarray:
    t = np.arange(count) / SAMPLE_RATE
    return (6000 * sum(np.sin(2 * np.pi * hz * k * t) / k for k in (1, 2, 3))).astype(np.int16)


def test_the_period_is_found() -> None:
    assert best_period(buzz(400)) == 100
    assert best_period(buzz(400, hz=320.0)) % 50 == 0
    assert 40 <= best_period(np.zeros(400, np.int16)) <= 200


def test_a_period_less_or_more_leaves_no_seam() -> None:
    sound = buzz(800)
    shorter, longer = shorten(sound, 100), lengthen(sound, 100)
    assert (len(shorter), len(longer)) == (700, 900)
    steepest = np.abs(np.diff(sound.astype(int))).max()
    for result in (shorter, longer):
        assert np.abs(np.diff(result.astype(int))).max() <= 1.05 * steepest
        assert np.abs(result - buzz(len(result))).max() < 30


@pytest.mark.parametrize("span", [317, 320, 323])
def test_resampling_joins_from_chunk_to_chunk(span: int) -> None:
    sound = buzz(20 * span + 1)
    out = np.concatenate([resample(sound[i * span : (i + 1) * span + 1], 320) for i in range(20)])
    assert len(out) == 6400
    expected = np.interp(np.arange(6400) * span / 320, np.arange(len(sound)), sound)
    assert np.abs(out - expected).max() <= 1
