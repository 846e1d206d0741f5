"""Speech-like babble from a small formant synthesiser: no recording, nobody's voice, the same for the same seed.

A glottal pulse train (harmonics with a falling spectrum) and noise pass through three formants (Fant's source-filter
model), computed as sums of sines whose amplitudes follow the formants. The words mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avcall.common.frames import SAMPLE_RATE

Track = NDArray[np.float64]

STEP_S = 0.005
"""Control tracks have one value each 5 ms."""
_HARMONICS = 38
_VOWELS = {  # formants in Hz of a woman's voice, how far the mouth opens, how far it spreads
    "a": ((880, 1350, 2850), 1.0, 0.1),
    "e": ((600, 2100, 2900), 0.6, 0.5),
    "i": ((340, 2650, 3300), 0.3, 0.9),
    "o": ((560, 950, 2800), 0.6, -0.6),
    "u": ((370, 900, 2700), 0.3, -1.0),
    "y": ((540, 1700, 2750), 0.5, 0.0),
}
_WIDTHS_HZ = np.array([80.0, 110.0, 160.0])
_CONSONANTS = ("b", "d", "k", "m", "n", "s", "f", "l", "w")


@dataclass(frozen=True)
class Babble:
    """Sound with what the mouth does meanwhile; the tracks have one value each STEP_S."""

    samples: NDArray[np.int16]
    """Mono at SAMPLE_RATE."""
    opening: Track
    """0 for closed lips to 1 for wide open."""
    spread: Track
    """-1 for rounded lips to 1 for spread ones."""


@dataclass(slots=True)
class _Tracks:
    """What the synthesiser is told, each STEP_S: formants (3,), loudness of voice and of noise, pitch, mouth."""

    formants: list[tuple[float, float, float]]
    voice: list[float]
    noise: list[float]
    noise_hz: list[float]
    pitch_hz: list[float]
    opening: list[float]
    spread: list[float]


def babble(seconds: float, seed: int = 1) -> Babble:
    """Phrases of four to nine syllables with pauses between."""
    random = np.random.default_rng(seed)
    steps = int(np.ceil(seconds / STEP_S))
    tracks = _Tracks([], [], [], [], [], [], [])
    _pause(tracks, 0.3)
    while len(tracks.voice) < steps:
        syllables = int(random.integers(4, 10))
        for number in range(syllables):
            _syllable(tracks, random, number / syllables, last=number == syllables - 1)
        _pause(tracks, float(random.uniform(0.3, 0.6)))
    opening = _smooth(np.array(tracks.opening[:steps]), 0.05)
    spread = _smooth(np.array(tracks.spread[:steps]), 0.08)
    return Babble(_synthesise(tracks, steps, round(seconds * SAMPLE_RATE), random), opening, spread)


def _add(tracks: _Tracks, seconds: float, formants: tuple[float, float, float], **values: float) -> None:
    """Extends all tracks by a piece that is constant; smoothing makes the transitions."""
    count = max(1, round(seconds / STEP_S))
    tracks.formants += [formants] * count
    for name in ("voice", "noise", "noise_hz", "pitch_hz", "opening", "spread"):
        getattr(tracks, name).extend([values.get(name, 0.0)] * count)


def _pause(tracks: _Tracks, seconds: float) -> None:
    last_hz = tracks.pitch_hz[-1] if tracks.pitch_hz else 200.0
    _add(tracks, seconds, _VOWELS["y"][0], pitch_hz=last_hz, noise_hz=3000.0)


def _syllable(tracks: _Tracks, random: np.random.Generator, at: float, *, last: bool) -> None:
    """A consonant and a vowel; the pitch falls along the phrase (`at` from 0 to 1) and rises on stressed ones."""
    formants, opening, spread = _VOWELS[str(random.choice(list(_VOWELS)))]
    stressed = random.random() < 0.4
    pitch_hz = 225.0 - 50.0 * at + (22.0 if stressed else 0.0) + random.normal(0.0, 4.0)
    mouth = {"pitch_hz": pitch_hz, "spread": spread}
    match str(random.choice(_CONSONANTS)):
        case "b":
            _add(tracks, 0.06, (300, 900, 2500), voice=0.05, **mouth)
            _add(tracks, 0.01, (600, 1100, 2600), noise=0.25, noise_hz=1500.0, opening=0.2, **mouth)
        case "d":
            _add(tracks, 0.05, (300, 1800, 2900), voice=0.05, opening=0.15, **mouth)
            _add(tracks, 0.012, (500, 1900, 3000), noise=0.3, noise_hz=4200.0, opening=0.25, **mouth)
        case "k":
            _add(tracks, 0.06, (300, 1900, 2500), opening=0.25, **mouth)
            _add(tracks, 0.03, (500, 1900, 2500), noise=0.35, noise_hz=2300.0, opening=0.3, **mouth)
        case "m":
            _add(tracks, 0.08, (280, 1000, 2300), voice=0.3, **mouth)
        case "n":
            _add(tracks, 0.07, (280, 1600, 2600), voice=0.3, opening=0.15, **mouth)
        case "s":
            _add(tracks, 0.09, (400, 1800, 2900), noise=0.3, noise_hz=5800.0, opening=0.12, **mouth)
        case "f":
            _add(tracks, 0.08, (400, 1400, 2700), noise=0.14, noise_hz=4500.0, opening=0.05, **mouth)
        case "l":
            _add(tracks, 0.06, (380, 1300, 2900), voice=0.45, opening=0.3, **mouth)
        case _:
            _add(tracks, 0.06, (340, 800, 2500), voice=0.4, opening=0.15, pitch_hz=pitch_hz, spread=-0.9)
    loud = 1.0 if stressed else 0.75
    length_s = float(random.uniform(0.09, 0.15)) * (1.3 if stressed else 1.0) + (0.08 if last else 0.0)
    _add(tracks, length_s, formants, voice=loud, opening=opening * loud, noise_hz=3000.0, **mouth)


def _smooth(track: Track, seconds: float) -> Track:
    """A moving average with a round window, ends repeated."""
    count = max(1, round(seconds / STEP_S)) | 1
    window = np.hanning(count + 2)[1:-1]
    return np.convolve(np.pad(track, count // 2, mode="edge"), window / window.sum(), mode="valid")


def _synthesise(tracks: _Tracks, steps: int, count: int, random: np.random.Generator) -> NDArray[np.int16]:
    formants = np.stack([_smooth(line, 0.04) for line in np.array(tracks.formants[:steps], dtype=np.float64).T])
    voice, noise = _smooth(np.array(tracks.voice[:steps]), 0.03), _smooth(np.array(tracks.noise[:steps]), 0.015)
    pitch_hz = _smooth(np.array(tracks.pitch_hz[:steps]), 0.09)
    noise_hz = _smooth(np.array(tracks.noise_hz[:steps]), 0.02)
    control_s, sample_s = (np.arange(steps) + 0.5) * STEP_S, np.arange(count) / SAMPLE_RATE

    vibrato = 1.0 + 0.008 * np.sin(2 * np.pi * 5.2 * control_s) + _smooth(random.normal(0, 0.012, steps), 0.05)
    pitch = np.interp(sample_s, control_s, pitch_hz * vibrato)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    sound = np.zeros(count)
    for harmonic in range(1, _HARMONICS + 1):
        hz = harmonic * pitch_hz
        level = voice * _gain(formants, hz) * harmonic**-1.15 * (hz < 0.47 * SAMPLE_RATE)
        sound += np.interp(sample_s, control_s, level) * np.sin(harmonic * phase + 2.4 * harmonic**0.5)
    sound /= np.sqrt(np.mean(sound**2)) + 1e-9
    breath = _noise(random, sample_s, np.interp(sample_s, control_s, noise_hz))
    sound += 5.0 * np.interp(sample_s, control_s, noise) * breath
    edge_s = 0.02
    sound *= np.clip(np.minimum(sample_s, sample_s[-1] - sample_s) / edge_s, 0.0, 1.0)
    return np.asarray(np.clip(0.1 * sound, -0.95, 0.95) * 32767, dtype=np.int16)


def _gain(formants: Track, hz: Track) -> Track:
    """Size of three resonances in cascade at the frequencies `hz`, 1 at 0 Hz."""
    gain = np.ones_like(hz)
    for centre, width in zip(formants, _WIDTHS_HZ, strict=True):
        gain *= centre**2 / np.sqrt((centre**2 - hz**2) ** 2 + (width * hz) ** 2)
    return gain


def _noise(random: np.random.Generator, sample_s: Track, centre_hz: Track) -> Track:
    """Noise of about 1.5 kHz of bandwidth around a moving centre."""
    count = len(sample_s)
    spectrum = np.fft.rfft(random.normal(0.0, 1.0, (2, count)), axis=1)
    spectrum[:, np.fft.rfftfreq(count, 1.0 / SAMPLE_RATE) > 900.0] = 0.0
    low = np.fft.irfft(spectrum, count, axis=1)
    phase = 2 * np.pi * np.cumsum(centre_hz) / SAMPLE_RATE
    noise = low[0] * np.cos(phase) - low[1] * np.sin(phase)
    return np.asarray(noise / (np.std(noise) + 1e-9))
