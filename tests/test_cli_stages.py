"""The stages of a call: priced on this machine, and what a quiet one would run."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.cli.stages import affordable, make_stages
from avcall.common.clock import monotonic_ms
from avcall.common.errors import ConfigError
from avcall.common.stats import Stats
from avcall.models.classical import ClassicalReenactor
from avcall.receiver.budget import Version


def test_stages_are_ladders_over_one_budget() -> None:
    stats = Stats()
    stages = make_stages(
        ClassicalReenactor(), device="cpu", display_size=128, quality="low", clock=monotonic_ms, stats=stats
    )
    assert stages.prices.keys() == {"drive", "enhance", "upscale"}
    assert stages.prices["drive"][0].name == "classical"
    assert all(0 <= version.reference_ms < 5000 for ladder in stages.prices.values() for version in ladder)
    picture = np.full((64, 64, 3), 99, np.uint8)
    assert np.array_equal(stages.enhancer.enhance(picture), picture)
    assert stages.upscaler.upscale(picture, 128).shape == (128, 128, 3)
    assert stages.budget.running() == ()
    assert not stats.counters


def test_another_quality_is_refused() -> None:
    with pytest.raises(ConfigError, match="--quality best"):
        make_stages(
            ClassicalReenactor(), device="cpu", display_size=128, quality="best", clock=monotonic_ms, stats=Stats()
        )


def test_what_a_quiet_machine_comes_to_run() -> None:
    prices = {
        "drive": (Version("warp", 8.0), Version("lite", 16.0)),
        "enhance": (Version("as drawn", 0.0), Version("sharp", 5.0)),
        "upscale": (Version("blend", 1.0), Version("patches", 20.0)),
    }
    assert affordable(prices) == (("lite", "sharp"), 22.0)
    slow = {"drive": (Version("warp", 50.0), Version("lite", 90.0))}
    assert affordable(slow) == ((), 50.0)
