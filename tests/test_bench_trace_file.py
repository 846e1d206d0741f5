"""The trace folder: pictures without loss, changes of size, killed writers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avcall.bench.trace_file import LOG, TraceFolder, TraceWriter
from avcall.common.errors import InputError, OutputError


def noise(seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_pictures_and_events_come_back_as_they_were(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace") as trace:
        trace.event("pivot", pivot_id=np.int64(3), crop=[1, 2, 3], points=np.zeros(2))
        for number in range(5):
            trace.picture(noise(number), capture_ms=40.0 * number)
    read = TraceFolder(tmp_path / "trace")
    assert read.of_kind("pivot") == [{"kind": "pivot", "pivot_id": 3, "crop": [1, 2, 3], "points": [0.0, 0.0]}]
    pictures = list(read.pictures())
    assert [picture.values["capture_ms"] for picture in pictures] == [0.0, 40.0, 80.0, 120.0, 160.0]
    for number, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture.image, noise(number))


def test_a_change_of_size_opens_another_film(tmp_path: Path) -> None:
    with TraceWriter(tmp_path) as trace:
        trace.picture(noise(0, 64))
        trace.picture(noise(1, 128))
        trace.picture(noise(2, 128))
    shapes = [picture.image.shape for picture in TraceFolder(tmp_path).pictures()]
    assert shapes == [(64, 64, 3), (128, 128, 3), (128, 128, 3)]


def test_an_old_trace_is_replaced(tmp_path: Path) -> None:
    for seed in (0, 1):
        with TraceWriter(tmp_path) as trace:
            trace.picture(noise(seed))
    (only,) = TraceFolder(tmp_path).pictures()
    np.testing.assert_array_equal(only.image, noise(1))


def test_what_a_killed_process_wrote_can_be_read(tmp_path: Path) -> None:
    script = f"""
import os, time, pathlib, numpy as np
from avcall.bench.trace_file import TraceWriter
trace = TraceWriter(pathlib.Path({str(tmp_path)!r}))
for i in range(60):
    trace.picture(np.random.default_rng(i).integers(0, 256, (256, 256, 3), dtype=np.uint8), number=i)
    time.sleep(0.005)
time.sleep(0.5)
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    with (tmp_path / LOG).open("a") as log:
        log.write('{"kind": "pict')
    pictures = list(TraceFolder(tmp_path).pictures())
    assert len(pictures) >= 20
    assert [picture.values["number"] for picture in pictures] == list(range(len(pictures)))


def test_writing_after_close_does_nothing(tmp_path: Path) -> None:
    trace = TraceWriter(tmp_path)
    trace.close()
    trace.event("late")
    trace.close()
    assert TraceFolder(tmp_path).events == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--trace"):
        TraceWriter(tmp_path / "file" / "trace")


def test_a_folder_without_a_trace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trace"):
        TraceFolder(tmp_path)
