"""The echo bench on voices that are made, and its table."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.bench import echo_table
from avcall.bench.echo import CANCELLED, OPEN, Settings, echo, room
from avcall.bench.voice_path import Samples
from avcall.common.errors import InputError
from tests.test_sender_echo import voice

SETTINGS = Settings(far_s=2.0, both_s=1.0, near_s=1.0, settle_s=1.0, echo_db=(0,), wrong_ms=(0, 60))


def judge(reference: Samples, heard: Samples) -> dict[str, float]:
    """How alike they are, whatever the coder's delay."""
    lags = [np.dot(reference[: -lag or None].astype(float), heard[lag:]) for lag in range(0, 320, 8)]
    alike = max(lags) / (np.linalg.norm(reference.astype(float)) * np.linalg.norm(heard.astype(float)) + 1e-9)
    return {"pesq": float(alike), "estoi": float(alike)}


def test_what_comes_back_is_measured_with_and_without_the_canceller() -> None:
    results = echo({name: voice(4.0, seed) for seed, name in enumerate("abc", 1)}, SETTINGS, judge)
    assert results["clips"] == ["a", "b", "c"]
    rows = {(row["system"], row["wrong_ms"]): row for row in results["rows"]}
    assert set(rows) == {(OPEN, 0), (CANCELLED, 0), (CANCELLED, 60)}
    heard, left = rows[OPEN, 0]["metrics"], rows[CANCELLED, 0]["metrics"]
    assert heard["reduced_db"] == 0.0
    assert left["reduced_db"] > 15.0
    assert left["left_dbfs"] == pytest.approx(heard["left_dbfs"] - left["reduced_db"], abs=0.1)
    assert rows[CANCELLED, 60]["metrics"]["reduced_db"] > 15.0
    assert rows[CANCELLED, 0]["reduced_least_db"] <= left["reduced_db"] + 0.1
    assert left["near_pesq"] > 0.5


def test_a_room_has_its_energy_and_its_reverberation() -> None:
    taps = room(Settings(), 1)
    assert np.sum(taps**2) == pytest.approx(1.0)
    assert not taps[:48].any()
    assert np.sum(taps[-480:] ** 2) < 1e-4


def test_one_voice_is_too_few() -> None:
    with pytest.raises(InputError, match="fewer than two"):
        echo({"a": voice(4.0, 1), "short": voice(1.0, 2)}, SETTINGS, judge)


def test_the_table_begins_with_the_loudest_echo() -> None:
    metrics = {
        "reduced_first_db": 22.6,
        "reduced_db": 28.4,
        "left_dbfs": -54.4,
        "sent_kbps": 4.8,
        "both_pesq": 1.2,
        "both_estoi": 0.37,
        "near_pesq": 2.22,
        "near_estoi": 0.83,
        "cpu_ms": 14.0,
    }
    rows = [
        {"echo_db": echo_db, "wrong_ms": wrong_ms, "system": system, "metrics": metrics, "reduced_least_db": 24.5}
        for echo_db, wrong_ms, system in ((-20, 0, CANCELLED), (0, 60, CANCELLED), (0, 0, OPEN))
    ]
    found = echo_table.rows({"rows": rows})
    assert [row[:2] for row in found] == [("0", "as heard"), ("0", "+60"), ("-20", "0")]
    assert found[0][2:4] == ("", "")
    assert found[1][2:] == ("23, 28", "24", "-54", "4.8", "1.20, 0.37", "2.22, 0.83")
