"""What noise costs the voice, and whether RNNoise in front of the speech coder pays.

    python -m avcall.bench.voice_noise --clips FOLDER --json results/voice_noise.json

It wants `pip install --no-deps pyrnnoise==0.4.5` and `pip install webrtc-noise-gain pesq pystoi`; no call does.

Each clip with a quiet background is brought to -26 dBFS, put between two stretches of listening, mixed with a noise
that is there all the time, suppressed or not, sent through the call's own coder and gate, and played out by the call's
own voice buffer.
"""

from __future__ import annotations

import importlib
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Protocol, TypeAlias

import numpy as np

from avcall.bench.noises import active, background_db, level_db, noises
from avcall.bench.provenance import provenance
from avcall.bench.rnnoise import RNNoise
from avcall.bench.voice_path import PULL, Samples, bits_in, encode, run_on_clips, send
from avcall.bench.webrtc_noise import WebRtcNoise
from avcall.common.errors import InputError
from avcall.common.frames import SAMPLE_RATE
from avcall.sender.voice import VoiceEncoder

Judge: TypeAlias = Callable[[Samples, Samples], dict[str, float]]
NONE, FULL, LIMITED, WEBRTC = "none", "rnnoise", "rnnoise, at most 12 dB", "webrtc"
CLEAN = "no noise"
LIMIT_DB = 12.0
SPEECH_DBFS = -26.0
QUIET_BACKGROUND_DB, FAINTEST_DBFS = -20.0, -40.0
LEAST_S = 2.0
logger = logging.getLogger(__name__)


class Suppressor(Protocol):
    """See `RNNoise`."""

    delay: int

    def suppress(self, samples: Samples) -> Samples: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Seconds: of speech at most, listened before it (the first `settle_s` do not count) and after it."""

    speech_s: float = 4.0
    before_s: float = 3.0
    settle_s: float = 2.0
    after_s: float = 4.0
    recorded_s: float = 10.0
    frame_ms: int = 120
    kbps: tuple[float, ...] = (6.0, 8.0)
    snrs_db: tuple[int, ...] = (20, 10, 5, 0)
    soft_babble_db: tuple[int, ...] = (40, 30)


Makers: TypeAlias = Mapping[str, Callable[[], Suppressor]]
SUPPRESSORS: Makers = {FULL: RNNoise, WEBRTC: WebRtcNoise}


def suppressed(samples: Samples, suppressor: Suppressor) -> Samples:
    """In step with what went in."""
    room = -(-suppressor.delay // PULL) * PULL
    late = suppressor.suppress(np.concatenate([samples, np.zeros(room, np.int16)]))
    return late[suppressor.delay :][: len(samples)]


def versions(samples: Samples, makers: Makers) -> dict[str, Samples]:
    """The sound as it is, by each suppressor, and by RNNoise held to LIMIT_DB."""
    made = {NONE: samples, **{name: suppressed(samples, make()) for name, make in makers.items()}}
    left = 10.0 ** (-LIMIT_DB / 20.0)
    return {**made, LIMITED: np.rint((1.0 - left) * made[FULL] + left * samples).astype(np.int16)}


def perceptual_judge() -> Judge:
    """PESQ (ITU-T P.862.2, wideband, by `pesq`), STOI and ESTOI (by `pystoi`) of (reference, heard).

    Raises:
        InputError: a package is missing.
    """
    try:
        pesq, pystoi = importlib.import_module("pesq"), importlib.import_module("pystoi")
    except ImportError as error:
        raise InputError(f"{error.name} is missing: pip install pesq pystoi") from error

    def judge(reference: Samples, heard: Samples) -> dict[str, float]:
        a, b = reference / 32768.0, heard / 32768.0
        try:
            quality = float(pesq.pesq(SAMPLE_RATE, reference, heard, "wb"))
        except pesq.NoUtterancesError:
            quality = 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain, extended = (float(pystoi.stoi(a, b, SAMPLE_RATE, extended=more)) for more in (False, True))
        return {"pesq": quality, "stoi": plain, "estoi": extended}

    return judge


class Bench:
    """Measures clips one by one and keeps the sums."""

    def __init__(self, settings: Settings, judge: Judge, makers: Makers) -> None:
        self._settings, self._judge, self._makers = settings, judge, makers
        self._found: dict[tuple[str, int | None, float, str], list[dict[str, float]]] = {}

    def add(self, clip: Samples, others: Sequence[Samples], seed: int) -> None:
        """Every noise, ratio, rate and system with this clip."""
        settings = self._settings
        speech = at_level(clip[: round(settings.speech_s * SAMPLE_RATE)], SPEECH_DBFS)
        before, after = (np.zeros(round(s * SAMPLE_RATE), np.int16) for s in (settings.before_s, settings.after_s))
        quiet = np.concatenate([before, speech, after])
        self._add(speech, quiet, CLEAN, None)
        for name, noise in noises(len(quiet), seed, others).items():
            ratios = (*settings.soft_babble_db, *settings.snrs_db) if name == "babble" else settings.snrs_db
            for ratio in ratios:
                loud = 32768.0 * 10.0 ** ((SPEECH_DBFS - ratio) / 20.0) * noise
                mixed = np.clip(np.rint(quiet + loud), -32768, 32767).astype(np.int16)
                self._add(speech, mixed, name, ratio)

    def _add(self, speech: Samples, mixed: Samples, noise: str, ratio: int | None) -> None:
        settings = self._settings
        begin_s, speech_s, whole_s = settings.before_s, len(speech) / SAMPLE_RATE, len(mixed) / SAMPLE_RATE
        end_s = begin_s + speech_s
        begin = round(begin_s * SAMPLE_RATE)
        pieces = active(speech)
        kept_db = level_db(speech, pieces)
        for (system, sound), kbps in product(versions(mixed, self._makers).items(), settings.kbps):
            heard = send(sound, kbps, settings.frame_ms)
            talk = bits_in(heard.packets, begin_s, end_s, settings.frame_ms)
            listen = bits_in(heard.packets, settings.settle_s, begin_s, settings.frame_ms)
            listen += bits_in(heard.packets, end_s, whole_s, settings.frame_ms)
            row = {
                "talk_kbps": talk / speech_s / 1000.0,
                "listen_kbps": listen / (whole_s - speech_s - settings.settle_s) / 1000.0,
                "level_db": level_db(sound[begin : begin + len(speech)], pieces) - kept_db,
                **self._judge(speech, heard.samples[begin : begin + len(speech)]),
            }
            self._found.setdefault((noise, ratio, kbps, system), []).append(row)

    def rows(self) -> list[dict[str, Any]]:
        """Means over the clips, and the lowest level that was left of any clip's speech."""
        return [
            {
                "noise": noise,
                "snr_db": ratio,
                "kbps": kbps,
                "system": system,
                "metrics": {
                    **{name: round(float(np.mean([row[name] for row in of])), 4) for name in of[0]},
                    "level_lowest_db": round(min(row["level_db"] for row in of), 1),
                },
            }
            for (noise, ratio, kbps, system), of in self._found.items()
        ]


def at_level(samples: Samples, dbfs: float) -> Samples:
    """As loud where somebody speaks."""
    gain = 10.0 ** ((dbfs - level_db(samples, active(samples))) / 20.0)
    louder: Samples = np.clip(np.rint(gain * samples), -32768, 32767).astype(np.int16)
    return louder


def as_recorded(name: str, clip: Samples, makers: Makers, settings: Settings) -> dict[str, Any]:
    """What is left of a clip as it is, its own background included: {"clip", "background_db", "level_db" and "kbps" by
    system}."""
    samples = clip[: round(settings.recorded_s * SAMPLE_RATE)]
    pieces, seconds = active(samples), len(samples) / SAMPLE_RATE
    sounds = {NONE: samples, **{system: suppressed(samples, make()) for system, make in makers.items()}}
    sent = {system: send(sound, settings.kbps[-1], settings.frame_ms) for system, sound in sounds.items()}
    loud_db = level_db(samples, pieces)
    return {
        "clip": name,
        "background_db": round(background_db(samples), 1),
        "level_db": {system: round(level_db(sound, pieces) - loud_db, 1) for system, sound in sounds.items()},
        "kbps": {
            system: round(bits_in(heard.packets, -1.0, seconds, settings.frame_ms) / seconds / 1000.0, 2)
            for system, heard in sent.items()
        },
    }


def cost(samples: Samples, make: Callable[[], Suppressor]) -> dict[str, float]:
    """{"delay_ms": by correlation with what went in, "cpu_ms": processor time a second of sound, least of three}."""
    took_s = []
    for _ in range(3):
        suppressor = make()
        begin_s = time.process_time()
        late = suppressor.suppress(samples)
        took_s.append(time.process_time() - begin_s)
    size = 2 * len(samples)
    before, after = (np.fft.rfft(sound.astype(np.float64), size) for sound in (samples, late))
    found = int(np.argmax(np.fft.irfft(np.conj(before) * after, size)[: SAMPLE_RATE // 10]))
    return {
        "delay_ms": round(1000.0 * found / SAMPLE_RATE, 1),
        "cpu_ms": round(1000.0 * min(took_s) * SAMPLE_RATE / len(samples), 1),
    }


class Coder:
    """The speech coder as a `Suppressor` that suppresses nothing, to have its cost beside theirs."""

    delay = 0

    def __init__(self, settings: Settings) -> None:
        self._encoder = VoiceEncoder(settings.kbps[-1], settings.frame_ms)

    def suppress(self, samples: Samples) -> Samples:
        encode(samples, self._encoder)
        return samples


def voice_noise(
    sounds: Mapping[str, Samples], settings: Settings, judge: Judge, makers: Makers = SUPPRESSORS
) -> dict[str, Any]:
    """The results but for "command".

    Raises:
        InputError: fewer than two clips with speech and a quiet background.
    """
    made_with = provenance()
    voices = {
        name: clip
        for name, clip in sounds.items()
        if len(clip) >= LEAST_S * SAMPLE_RATE and level_db(clip, active(clip)) > FAINTEST_DBFS
    }
    clean = [name for name, clip in voices.items() if background_db(clip) <= QUIET_BACKGROUND_DB]
    if len(clean) < 2:
        raise InputError("--clips: fewer than two clips have speech over a background 20 dB below it")
    bench = Bench(settings, judge, makers)
    for seed, name in enumerate(clean):
        bench.add(voices[name], [voices[other] for other in clean if other != name], seed)
        logger.info("%s: done", name)
    timed: dict[str, Callable[[], Suppressor]] = {**makers, "speech coder": lambda: Coder(settings)}
    return {
        **made_with,
        "clips": clean,
        "settings": asdict(settings),
        "cost": {name: cost(voices[clean[0]], make) for name, make in timed.items()},
        "rows": bench.rows(),
        "recorded": [as_recorded(name, clip, makers, settings) for name, clip in voices.items()],
    }


if __name__ == "__main__":
    run_on_clips("voice_noise", __doc__, lambda sounds: voice_noise(sounds, Settings(), perceptual_judge()))
