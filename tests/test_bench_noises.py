"""Made noises: loud as asked, coloured as named, the same again."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.bench.noises import PIECE, Sound, active, background_db, level_db, noises
from avcall.common.frames import SAMPLE_RATE

COUNT = 4 * SAMPLE_RATE
VOICE = (3000 * np.sin(np.arange(SAMPLE_RATE) * 0.2)).astype(np.int16)


def share_below(sound: Sound, hz: float) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(power[np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE) < hz].sum() / power.sum())


def test_all_have_one_loudness_and_come_again_for_the_same_seed() -> None:
    made, again = (noises(COUNT, 3, [VOICE]) for _ in range(2))
    assert list(made) == ["white", "pink", "hum", "fan", "babble"]
    for name, sound in made.items():
        assert len(sound) == COUNT
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(1.0)
        assert np.array_equal(sound, again[name])
    assert not np.array_equal(made["white"], noises(COUNT, 4)["white"])


def test_without_voices_there_is_no_babble() -> None:
    assert "babble" not in noises(COUNT, 1)


def test_colours() -> None:
    made = noises(COUNT, 1)
    assert share_below(made["white"], 1000.0) == pytest.approx(1 / 8, abs=0.01)
    assert share_below(made["pink"], 400.0) == pytest.approx(0.57, abs=0.03)
    assert share_below(made["fan"], 1000.0) > 0.7
    assert share_below(made["hum"], 650.0) > 0.95


def test_levels_are_those_of_the_speech_and_of_what_lies_behind_it() -> None:
    loud = np.full(10 * PIECE, 3277, np.int16)
    samples = np.concatenate([loud, loud // 100, np.zeros(5, np.int16)])
    pieces = active(samples)
    assert pieces.tolist() == [True] * 10 + [False] * 10
    assert level_db(samples, pieces) == pytest.approx(-20.0, abs=0.01)
    assert background_db(samples) == pytest.approx(-40.0, abs=0.3)
    assert level_db(np.zeros(PIECE, np.int16), np.array([True])) == -100.0
