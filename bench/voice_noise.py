"""What noise costs the voice, and whether RNNoise in front of the speech coder pays.

    python -m avcall.bench.voice_noise --clips FOLDER --json results/voice_noise.json

It wants `pip install --no-deps pyrnnoise==0.4.5` and `pip install pesq pystoi`; no call does. Each clip with a quiet
background is brought to -26 dBFS, put between two stretches of listening, mixed with a noise that is there all the
time, suppressed or not, sent through the call's own coder and gate, and played out by the call's own voice buffer.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from avcall.bench.calls import clips_in
from avcall.bench.noises import active, background_db, level_db, noises
from avcall.bench.provenance import provenance
from avcall.bench.rnnoise import DELAY, FRAME, RNNoise
from avcall.bench.voice_path import Samples, bits_in, encode, read_sound, send
from avcall.common.errors import InputError
from avcall.common.frames import SAMPLE_RATE
from avcall.sender.voice import VoiceEncoder

Judge: TypeAlias = Callable[[Samples, Samples], dict[str, float]]
NONE, FULL, LIMITED = "none", "rnnoise", "rnnoise, at most 12 dB"
CLEAN = "no noise"
LIMIT_DB = 12.0
SPEECH_DBFS = -26.0
QUIET_BACKGROUND_DB, FAINTEST_DBFS = -20.0, -40.0
LEAST_S = 2.0
logger = logging.getLogger(__name__)


class Suppressor(Protocol):
    """See `RNNoise`."""

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


def suppressed(samples: Samples, suppressor: Suppressor, delay: int = DELAY) -> Samples:
    """In step with what went in."""
    room = -(-delay // FRAME) * FRAME
    return suppressor.suppress(np.concatenate([samples, np.zeros(room, np.int16)]))[delay:][: len(samples)]


def versions(samples: Samples, suppressor: Suppressor) -> dict[str, Samples]:
    """The sound as it is, suppressed, and suppressed by no more than LIMIT_DB."""
    full = suppressed(samples, suppressor)
    left = 10.0 ** (-LIMIT_DB / 20.0)
    limited = np.rint((1.0 - left) * full + left * samples).astype(np.int16)
    return {NONE: samples, FULL: full, LIMITED: limited}


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

    def __init__(self, settings: Settings, judge: Judge, make: Callable[[], Suppressor]) -> None:
        self._settings, self._judge, self._make = settings, judge, make
        self._found: dict[tuple[str, int | None, float, str], list[dict[str, float]]] = {}

    def add(self, clip: Samples, others: Sequence[Samples], seed: int) -> None:
        """Every noise, ratio, rate and system with this clip."""
        settings = self._settings
        speech = _at_level(clip[: round(settings.speech_s * SAMPLE_RATE)], SPEECH_DBFS)
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
        for (system, sound), kbps in product(versions(mixed, self._make()).items(), settings.kbps):
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


def _at_level(samples: Samples, dbfs: float) -> Samples:
    gain = 10.0 ** ((dbfs - level_db(samples, active(samples))) / 20.0)
    louder: Samples = np.clip(np.rint(gain * samples), -32768, 32767).astype(np.int16)
    return louder


def as_recorded(name: str, clip: Samples, suppressor: Suppressor, settings: Settings) -> dict[str, Any]:
    """What is left of a clip as it is, its own background included: {"clip", "background_db", "level_db", "kbps"}."""
    samples = clip[: round(settings.recorded_s * SAMPLE_RATE)]
    pieces, quieter = active(samples), suppressed(samples, suppressor)
    seconds, kbps = len(samples) / SAMPLE_RATE, settings.kbps[-1]
    sent = {
        system: bits_in(send(sound, kbps, settings.frame_ms).packets, -1.0, seconds, settings.frame_ms)
        for system, sound in ((NONE, samples), (FULL, quieter))
    }
    return {
        "clip": name,
        "background_db": round(background_db(samples), 1),
        "level_db": round(level_db(quieter, pieces) - level_db(samples, pieces), 1),
        "kbps": {system: round(bits / seconds / 1000.0, 2) for system, bits in sent.items()},
    }


def cost(samples: Samples, make: Callable[[], Suppressor], settings: Settings) -> dict[str, float]:
    """{"delay_ms": by correlation with what went in, "suppress_ms", "encode_ms": processor time a second of sound}."""
    seconds = len(samples) / SAMPLE_RATE
    begin_s = time.process_time()
    quieter = make().suppress(samples)
    middle_s = time.process_time()
    encode(samples, VoiceEncoder(settings.kbps[-1], settings.frame_ms))
    end_s = time.process_time()
    size = 2 * len(samples)
    spectra = [np.fft.rfft(sound.astype(np.float64), size) for sound in (samples, quieter)]
    late = int(np.argmax(np.fft.irfft(np.conj(spectra[0]) * spectra[1], size)[: SAMPLE_RATE // 10]))
    return {
        "delay_ms": 1000.0 * late / SAMPLE_RATE,
        "suppress_ms": round(1000.0 * (middle_s - begin_s) / seconds, 1),
        "encode_ms": round(1000.0 * (end_s - middle_s) / seconds, 1),
    }


def voice_noise(
    sounds: Mapping[str, Samples], settings: Settings, judge: Judge, make: Callable[[], Suppressor] = RNNoise
) -> dict[str, Any]:
    """The results but for "command".

    Raises:
        InputError: fewer than two clips with speech and a quiet background.
    """
    voices = {
        name: clip
        for name, clip in sounds.items()
        if len(clip) >= LEAST_S * SAMPLE_RATE and level_db(clip, active(clip)) > FAINTEST_DBFS
    }
    clean = [name for name, clip in voices.items() if background_db(clip) <= QUIET_BACKGROUND_DB]
    if len(clean) < 2:
        raise InputError("--clips: fewer than two clips have speech over a background 20 dB below it")
    bench = Bench(settings, judge, make)
    for seed, name in enumerate(clean):
        bench.add(voices[name], [voices[other] for other in clean if other != name], seed)
        logger.info("%s: done", name)
    return {
        **provenance(),
        "clips": clean,
        "settings": asdict(settings),
        "cost": cost(voices[clean[0]], make, settings),
        "rows": bench.rows(),
        "recorded": [as_recorded(name, clip, make(), settings) for name, clip in voices.items()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    values = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sounds = {path.stem: read_sound(path) for path in clips_in(values.clips)}
    command = f"python -m avcall.bench.voice_noise --clips {values.clips.name} --json {values.json.name}"
    results = {"command": command, **voice_noise(sounds, Settings(), perceptual_judge())}
    values.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
