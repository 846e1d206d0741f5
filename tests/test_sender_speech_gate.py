"""Silence is recognised, speech never lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avcall.sender.speech_gate import SpeechGate, level_dbfs


def noise(db: float, pieces: int) -> list[np.ndarray[Any, np.dtype[np.int16]]]:
    rng = np.random.default_rng(1)
    scale = 32768.0 * 10 ** (db / 20)
    return [np.round(rng.normal(0, scale, 320)).clip(-32768, 32767).astype(np.int16) for _ in range(pieces)]


def verdicts(pieces: list[np.ndarray[Any, np.dtype[np.int16]]]) -> list[bool]:
    gate = SpeechGate(20.0)
    return [gate.is_speech(piece) for piece in pieces]


def test_level() -> None:
    assert level_dbfs(np.zeros(320, dtype=np.int16)) == -100.0
    assert level_dbfs(np.full(320, 16384, dtype=np.int16)) == pytest.approx(-6.02, abs=0.01)


def test_digital_silence_is_never_speech() -> None:
    assert not any(verdicts([np.zeros(320, dtype=np.int16)] * 100))


def test_a_steady_background_is_learnt_and_speech_above_it_passes() -> None:
    heard = verdicts(noise(-50, 100) + noise(-25, 25) + noise(-50, 50))
    assert not any(heard[75:100])
    assert all(heard[100:125])
    assert all(heard[125:140])  # the end of a word
    assert not any(heard[146:])


def test_speech_without_a_pause_is_sent_throughout() -> None:
    syllables = [piece for _ in range(40) for piece in noise(-22, 6) + noise(-45, 4)]
    assert all(verdicts(syllables))


def test_what_is_left_of_an_echo_is_not_sent_and_what_follows_is() -> None:
    gate = SpeechGate(20.0)
    for piece in noise(-60, 100):
        gate.is_speech(piece)
    assert not any(gate.is_speech(piece, echo=True) for piece in noise(-35, 50))
    assert all(gate.is_speech(piece) for piece in noise(-30, 25))
    ending = [gate.is_speech(piece, echo=True) for piece in noise(-35, 50)]
    assert all(ending[:15])  # the end of a word
    assert not any(ending[21:])


def test_a_loud_background_is_sent() -> None:
    assert all(verdicts(noise(-30, 400)))
