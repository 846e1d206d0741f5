"""WebRTC's suppressor: what is said without its package, and what it does with it."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
import pytest

from avcall.bench.webrtc_noise import FRAME, WebRtcNoise
from avcall.common.errors import InputError


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match="pip install webrtc-noise-gain"):
        WebRtcNoise()


@pytest.mark.skipif(importlib.util.find_spec("webrtc_noise_gain") is None, reason="webrtc-noise-gain is not installed")
def test_hiss_is_taken_away() -> None:
    hiss = np.random.default_rng(1).normal(0, 300, 300 * FRAME).astype(np.int16)
    left = WebRtcNoise().suppress(hiss)
    assert len(left) == len(hiss)
    assert np.std(left[200 * FRAME :]) < 150
