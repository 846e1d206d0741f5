"""What comes back of the other end's voice when it is played beside an open microphone, with and without the canceller.

    python -m avcall.bench.echo --clips FOLDER --json results/echo.json

It wants `pip install pesq pystoi`; no call does.

For each clip another one is the far end: coded and decoded as the call does it, played by a speaker that distorts a
little, in a made room (reverberation of 0.3 s), and heard by the microphone beside the clip's own voice: first the far
end alone, then both, then the near end alone. What the microphone sends then goes through the call's own coder, gate
and voice buffer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcall.bench.noises import active, level_db
from avcall.bench.provenance import provenance
from avcall.bench.voice_noise import FAINTEST_DBFS, Judge, at_level, perceptual_judge
from avcall.bench.voice_path import Samples, bits_in, run_on_clips, send
from avcall.common.errors import InputError
from avcall.common.frames import SAMPLE_RATE, AudioChunk
from avcall.sender.echo import DELAY_MS, EchoCanceller, PlayedSound
from avcall.sender.microphone import CHUNK_SAMPLES

OPEN, CANCELLED = "as heard", "cancelled"
SPEECH_DBFS = -26.0
NOISE_DBFS = -65.0
"""Of the microphone itself."""
AHEAD_MS = 200.0
"""So much of what is played is known before it is heard."""
DRIVE = 1.5
"""How far the speaker is driven into its curve."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Seconds of the three parts; the first `settle_s` of the far end alone count apart. `echo_db`: loudness of the
    echo against the near voice. `wrong_ms`: what the sound card's latency is off by."""

    far_s: float = 5.0
    both_s: float = 3.0
    near_s: float = 2.0
    settle_s: float = 1.0
    echo_db: tuple[int, ...] = (0, -10, -20)
    wrong_ms: tuple[int, ...] = (-30, 0, 60)
    reverberation_s: float = 0.3
    kbps: float = 8.0
    frame_ms: int = 120


def room(settings: Settings, seed: int) -> NDArray[np.float64]:
    """An impulse response (n,) of unit energy: the direct way, then noise that falls by 60 dB in `reverberation_s`."""
    count = round(settings.reverberation_s * SAMPLE_RATE)
    taps = np.random.default_rng(seed).normal(size=count) * 10.0 ** (-3.0 * np.arange(count) / count)
    begin = round(0.003 * SAMPLE_RATE)
    taps[:begin] = 0.0
    taps[begin] = 6.0
    return np.asarray(taps / np.sqrt(np.sum(taps**2)))


def heard_by_microphone(far: Samples, near: Samples, settings: Settings, echo_db: float, seed: int) -> Samples:
    """Both voices, of the same length; `far` is what the speaker is given."""
    played = np.tanh(DRIVE * far / 32768.0) / DRIVE
    echo = np.convolve(played, room(settings, seed))[: len(far)]
    loud = 10.0 ** ((SPEECH_DBFS + echo_db) / 20.0) / (np.sqrt(np.mean(echo**2)) + 1e-12)
    noise = 10.0 ** (NOISE_DBFS / 20.0) * np.random.default_rng(seed).normal(size=len(far))
    mixed = 32768.0 * (loud * echo + noise) + near
    return np.asarray(np.clip(np.rint(mixed), -32768, 32767), np.int16)


def cancelled(heard: Samples, far: Samples, wrong_ms: float) -> tuple[Samples, list[bool], float]:
    """By the call's own canceller, in step with what went in; which of its chunks were all echo; and the processor time
    of a second of it in ms."""
    played = PlayedSound()
    canceller = EchoCanceller(played)
    late = round(DELAY_MS * SAMPLE_RATE / 1000)
    padded = np.concatenate([heard, np.zeros(CHUNK_SAMPLES, np.int16)])
    ahead = round(AHEAD_MS * SAMPLE_RATE / 1000)
    played.play(far[:ahead], -wrong_ms)
    parts, echo, took_s = [], [], 0.0
    for at in range(0, len(padded) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        time_ms = at * 1000.0 / SAMPLE_RATE
        played.play(far[ahead + at :][:CHUNK_SAMPLES], time_ms + AHEAD_MS - wrong_ms)
        begin_s = time.process_time()
        left = canceller.cancel(AudioChunk(padded[at : at + CHUNK_SAMPLES], time_ms))
        took_s += time.process_time() - begin_s
        parts.append(left.samples)
        echo.append(left.echo)
    return np.concatenate(parts)[late : late + len(heard)], echo, 1000.0 * took_s * SAMPLE_RATE / len(padded)


def measure(far: Samples, near: Samples, settings: Settings, judge: Judge, seed: int) -> list[dict[str, Any]]:
    """A row for each loudness, error of the latency and system."""
    lengths = (settings.far_s, settings.both_s, settings.near_s)
    begins = np.cumsum([0, *(round(s * SAMPLE_RATE) // CHUNK_SAMPLES * CHUNK_SAMPLES for s in lengths)])
    alone, both, last = (slice(begins[i], begins[i + 1]) for i in range(3))
    settle = slice(0, round(settings.settle_s * SAMPLE_RATE))
    settled = slice(settle.stop, alone.stop)
    played, spoken = np.zeros(begins[-1], np.int16), np.zeros(begins[-1], np.int16)
    played[: both.stop] = send(far[: both.stop], settings.kbps, settings.frame_ms).samples
    spoken[both.start :] = near[: begins[-1] - both.start]
    rows = []
    for echo_db, wrong_ms in product(settings.echo_db, settings.wrong_ms):
        heard = heard_by_microphone(played, spoken, settings, echo_db, seed)
        systems = {CANCELLED: cancelled(heard, played, wrong_ms)}
        if wrong_ms == 0:
            systems[OPEN] = heard, [], 0.0
        for system, (sound, all_echo, took_ms) in systems.items():
            sent = send(sound, settings.kbps, settings.frame_ms, all_echo)
            seconds = (settled.stop - settled.start) / SAMPLE_RATE
            bits = bits_in(sent.packets, settings.settle_s, settings.far_s, settings.frame_ms)
            rows.append(
                {
                    "echo_db": echo_db,
                    "wrong_ms": wrong_ms,
                    "system": system,
                    "metrics": {
                        "reduced_first_db": _level(heard[settle]) - _level(sound[settle]),
                        "reduced_db": _level(heard[settled]) - _level(sound[settled]),
                        "left_dbfs": _level(sound[settled]),
                        "sent_kbps": bits / seconds / 1000.0,
                        "cpu_ms": took_ms,
                        **{f"both_{name}": value for name, value in judge(spoken[both], sent.samples[both]).items()},
                        **{f"near_{name}": value for name, value in judge(spoken[last], sent.samples[last]).items()},
                    },
                }
            )
    return rows


def _level(samples: Samples) -> float:
    return float(10.0 * np.log10(np.mean(np.square(samples / 32768.0)) + 1e-12))


def echo(sounds: Mapping[str, Samples], settings: Settings, judge: Judge) -> dict[str, Any]:
    """The results but for "command".

    Raises:
        InputError: fewer than two clips have enough speech.
    """
    made_with = provenance()
    wanted_s = max(settings.far_s + settings.both_s, settings.both_s + settings.near_s)
    voices = {
        name: at_level(clip, SPEECH_DBFS)
        for name, clip in sounds.items()
        if len(clip) >= wanted_s * SAMPLE_RATE and level_db(clip, active(clip)) > FAINTEST_DBFS
    }
    if len(voices) < 2:
        raise InputError(f"--clips: fewer than two clips have {wanted_s:g} s of speech")
    names = list(voices)
    found: dict[tuple[int, int, str], list[dict[str, float]]] = {}
    for seed, name in enumerate(names):
        far = voices[names[(seed + 1) % len(names)]]
        for row in measure(far, voices[name], settings, judge, seed):
            found.setdefault((row["echo_db"], row["wrong_ms"], row["system"]), []).append(row["metrics"])
        logger.info("%s: done", name)
    rows = [
        {
            "echo_db": echo_db,
            "wrong_ms": wrong_ms,
            "system": system,
            "metrics": {key: round(float(np.mean([row[key] for row in of])), 4) for key in of[0]},
            "reduced_least_db": round(min(row["reduced_db"] for row in of), 1),
        }
        for (echo_db, wrong_ms, system), of in found.items()
    ]
    return {**made_with, "clips": names, "settings": asdict(settings), "rows": rows}


if __name__ == "__main__":
    run_on_clips("echo", __doc__, lambda sounds: echo(sounds, Settings(), perceptual_judge()))
