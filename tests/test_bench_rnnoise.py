"""The way to 48 kHz and back, and what is said where RNNoise is not installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from avcall.bench.rnnoise import FRAME, RATE_48K, TAPS, Resampler48k, RNNoise
from avcall.common.errors import InputError


def test_there_and_back_is_only_late() -> None:
    t = np.arange(40 * FRAME)
    samples = (4000 * np.sin(t * 0.3) + 2000 * np.sin(t * 1.9)).astype(np.int16)
    resampler = Resampler48k()
    wide = [resampler.up(frame) for frame in samples.reshape(-1, FRAME)]
    back = np.concatenate([resampler.down(frame) for frame in wide])
    late = (TAPS - 1) // RATE_48K
    assert sum(map(len, wide)) == RATE_48K * len(samples)
    error = back[200:] - samples[200 - late : -late]
    assert np.abs(error).max() < 40


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps pyrnnoise"):
        RNNoise()


@pytest.mark.skipif(importlib.util.find_spec("pyrnnoise") is None, reason="pyrnnoise is not installed")
def test_hiss_is_taken_away() -> None:
    hiss = np.random.default_rng(1).normal(0, 300, 200 * FRAME).astype(np.int16)
    left = RNNoise().suppress(hiss)
    assert len(left) == len(hiss)
    assert np.std(left[100 * FRAME + RNNoise.delay :]) < 30
