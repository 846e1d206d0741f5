"""The bench of noise and voice, with a suppressor and a judge that are easy to foretell."""

from __future__ import annotations

import json

import numpy as np
import pytest

from avcall.bench import voice_noise
from avcall.bench.sample_voice import babble
from avcall.bench.voice_noise import CLEAN, FULL, LIMITED, NONE, WEBRTC, Makers, Settings, cost, suppressed, versions
from avcall.bench.voice_path import BUNDLED_BYTES, Samples, bits_in, send
from avcall.common.errors import InputError
from avcall.common.frames import SAMPLE_RATE

BRIEF = Settings(
    speech_s=1.2,
    before_s=2.4,
    settle_s=1.2,
    after_s=2.4,
    recorded_s=2.0,
    kbps=(8.0,),
    snrs_db=(10,),
    soft_babble_db=(40,),
)


class Late:
    """Lets everything through, softer and late."""

    delay = 352

    def __init__(self, gain: float = 0.5) -> None:
        self._gain = gain
        self._before = np.zeros(self.delay, np.int16)

    def suppress(self, samples: Samples) -> Samples:
        joined = np.concatenate([self._before, samples])
        self._before = joined[-self.delay :]
        return np.rint(self._gain * joined[: len(samples)]).astype(np.int16)


MAKERS: Makers = {FULL: Late, WEBRTC: lambda: Late(0.25)}


def judge(reference: Samples, heard: Samples) -> dict[str, float]:
    assert len(reference) == len(heard)
    return {"likeness": float(np.corrcoef(reference, heard)[0, 1])}


def voice(seed: int) -> Samples:
    return babble(3.0, seed).samples[SAMPLE_RATE // 3 :]


def test_what_is_heard_is_in_step_with_what_was_said() -> None:
    said = voice(1)
    heard = send(said, 32.0, 20)
    assert len(heard.samples) == len(said) // 160 * 160
    assert judge(said[: len(heard.samples)], heard.samples)["likeness"] > 0.85


def test_bits_are_those_of_the_packets_of_a_stretch() -> None:
    quiet = np.zeros(2 * SAMPLE_RATE, np.int16)
    packets = send(np.concatenate([quiet, voice(1)]), 8.0, 120).packets
    assert bits_in(packets, 0.0, 1.5, 120) == 0
    every = bits_in(packets, 0.0, 10.0, 120)
    assert every == sum(8 * (len(packet.opus) + BUNDLED_BYTES) for packet in packets)


def test_a_version_is_in_step_and_limited_ones_keep_a_quarter() -> None:
    said = voice(2)
    made = versions(said, {FULL: lambda: Late(0.0), WEBRTC: Late})
    assert set(made) == {NONE, FULL, LIMITED, WEBRTC}
    assert not made[FULL].any()
    assert np.std(made[LIMITED]) == pytest.approx(0.251 * np.std(said), rel=0.01)
    assert np.abs(suppressed(said, Late(1.0)) - said).max() == 0


def test_the_results_have_a_row_for_each_noise_ratio_and_system() -> None:
    silent, faint = np.zeros(3 * SAMPLE_RATE, np.int16), voice(3) // 100
    sounds = {"a": voice(1), "b": voice(2), "silent": silent, "faint": faint, "none": silent[:0]}
    results = json.loads(json.dumps(voice_noise.voice_noise(sounds, BRIEF, judge, MAKERS)))
    assert results["clips"] == ["a", "b"]
    cases = [(row["noise"], row["snr_db"]) for row in results["rows"]]
    assert list(dict.fromkeys(cases)) == [
        (CLEAN, None),
        *((noise, 10) for noise in ("white", "pink", "hum", "fan")),
        ("babble", 40),
        ("babble", 10),
    ]
    assert len(cases) == 4 * len(set(cases))
    first = {row["system"]: row["metrics"] for row in results["rows"] if row["noise"] == CLEAN}
    assert first[NONE]["level_db"] == pytest.approx(0.0, abs=0.1)
    assert first[FULL]["level_db"] == pytest.approx(-6.0, abs=0.1)
    assert first[FULL]["level_lowest_db"] == pytest.approx(-6.0, abs=0.1)
    white = next(row["metrics"] for row in results["rows"] if row["noise"] == "white" and row["system"] == NONE)
    assert white["listen_kbps"] > 3.0 > 1.5 > first[NONE]["listen_kbps"]
    assert [row["clip"] for row in results["recorded"]] == ["a", "b"]
    assert results["recorded"][0]["level_db"] == pytest.approx({NONE: 0.0, FULL: -6.0, WEBRTC: -12.0}, abs=0.2)
    assert list(results["cost"]) == [FULL, WEBRTC, "speech coder"]


def test_a_folder_without_quiet_speech_is_refused() -> None:
    with pytest.raises(InputError, match="fewer than two"):
        voice_noise.voice_noise({"a": voice(1)}, BRIEF, judge, MAKERS)


def test_the_delay_is_found() -> None:
    assert cost(voice(1), Late)["delay_ms"] == Late.delay / 16


def test_missing_measures_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(voice_noise.importlib, "import_module", missing)
    with pytest.raises(InputError, match="pesq is missing: pip install"):
        voice_noise.perceptual_judge()
