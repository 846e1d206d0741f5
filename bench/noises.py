"""Noises that are made, not recorded, for measuring what noise does to a voice: the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from avcall.common.frames import SAMPLE_RATE

Sound = NDArray[np.float64]
PIECE = SAMPLE_RATE // 50
ACTIVE_DB = 35.0
LOWEST_HZ = 20.0


def noises(count: int, seed: int, voices: Sequence[NDArray[np.int16]] = ()) -> dict[str, Sound]:
    """`count` samples of each kind, at a root mean square of 1; babble only where there are `voices` to mix."""
    random = np.random.default_rng(seed)
    made = {
        "white": _coloured(random, count, np.ones_like),
        "pink": _coloured(random, count, lambda hz: hz**-0.5),
        "hum": _hum(random, count),
        "fan": _fan(random, count),
    }
    if voices:
        made["babble"] = _babble(random, count, voices)
    return {name: sound / _rms(sound) for name, sound in made.items()}


def active(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which pieces of 20 ms are within ACTIVE_DB of the loudest; a last part that does not fill one is left out."""
    power = _powers(samples)
    return np.asarray(power > power.max(initial=0.0) * 10.0 ** (-ACTIVE_DB / 10.0))


def level_db(samples: NDArray[np.int16], pieces: NDArray[np.bool_]) -> float:
    """Mean level of the chosen pieces, relative to a full-scale square wave; -100 for silence."""
    power = _powers(samples)[pieces]
    return max(-100.0, 10.0 * float(np.log10((power.mean() if len(power) else 0.0) + 1e-12)))


def background_db(samples: NDArray[np.int16]) -> float:
    """How far the quietest twentieth of the pieces is below the active ones (negative)."""
    quiet = 10.0 * np.log10(np.quantile(_powers(samples), 0.05) + 1e-12)
    return float(quiet) - level_db(samples, active(samples))


def _powers(samples: NDArray[np.int16]) -> Sound:
    whole = samples[: len(samples) // PIECE * PIECE].astype(np.float64) / 32768.0
    return np.asarray(np.mean(np.square(whole.reshape(-1, PIECE)), axis=1))


def _rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound)))) + 1e-12


def _coloured(random: np.random.Generator, count: int, gain: Callable[[Sound], Sound]) -> Sound:
    """Gaussian noise with this gain over frequency."""
    spectrum = np.fft.rfft(random.normal(size=count))
    hz = np.maximum(np.fft.rfftfreq(count, 1.0 / SAMPLE_RATE), LOWEST_HZ)
    return np.asarray(np.fft.irfft(spectrum * gain(hz), count))


def _hum(random: np.random.Generator, count: int) -> Sound:
    """50 Hz with eleven harmonics that fall by 6 dB an octave, over pink noise 20 dB below."""
    seconds = np.arange(count) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * (50.0 * n * seconds + random.uniform())) / n for n in range(1, 13)]
    hum = np.sum(tones, axis=0)
    hiss = _coloured(random, count, lambda hz: hz**-0.5)
    return np.asarray(hum / _rms(hum) + 0.1 * hiss / _rms(hiss))


def _fan(random: np.random.Generator, count: int) -> Sound:
    """Air noise that falls from 400 Hz on, with two resonances, swelling seven times a second."""

    def gain(hz: Sound) -> Sound:
        bumps = 1.0 + 2.0 * np.exp(-(((hz - 180.0) / 15.0) ** 2)) + 1.5 * np.exp(-(((hz - 1200.0) / 40.0) ** 2))
        return np.asarray((1.0 + (hz / 400.0) ** 2) ** -0.75 * bumps)

    swell = 1.0 + 0.15 * np.sin(2 * np.pi * 7.0 * np.arange(count) / SAMPLE_RATE)
    return np.asarray(_coloured(random, count, gain) * swell)


def _babble(random: np.random.Generator, count: int, voices: Sequence[NDArray[np.int16]]) -> Sound:
    """All voices at once, equally loud, each from anywhere in it and repeated where it is too short."""
    total = np.zeros(count)
    for voice in voices:
        sound = voice.astype(np.float64)
        total += np.resize(np.roll(sound, int(random.integers(len(sound)))), count) / _rms(sound)
    return total
