"""Recordings: playable, in sync, honest about paths."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from avcall.common.errors import ConfigError, OutputError
from avcall.common.frames import SAMPLE_RATE
from avcall.receiver.overlay import Badges
from avcall.receiver.recorder import Recorder
from avcall.receiver.renderers import ShownFrame

CHUNK = SAMPLE_RATE // 50
START_MS = 7_000.0


def picture(grey: int, tick: int, side: int = 64) -> ShownFrame:
    image = np.full((side, side, 3), grey, np.uint8)
    return ShownFrame(image, image, tick, START_MS + 40.0 * tick, Badges())


def beep(loud: bool) -> NDArray[np.int16]:
    tone = 12_000 * np.sin(np.arange(CHUNK) * 2 * np.pi * 1000 / SAMPLE_RATE)
    return (tone if loud else 0 * tone).astype(np.int16)


def settle(recorder: Recorder, left: int) -> None:
    """Waits until at most `left` items are still to be written."""
    while recorder._queue.qsize() > left:
        time.sleep(0.002)


def record(path: Path, seconds: float, *, missed: frozenset[int] = frozenset(), close: bool = True) -> Recorder:
    """Flashes and beeps together for 200 ms in every second; sound comes in pieces of 20 ms, heard 33 ms later."""
    recorder = Recorder(path)
    for tick in range(round(25 * seconds)):
        now_ms = START_MS + 40.0 * tick
        for piece in range(2):
            heard_ms = now_ms + 33.0 + 20.0 * piece
            loud = 400.0 <= (heard_ms + 10.0 - START_MS) % 1000.0 < 600.0
            recorder.hear(beep(loud), heard_ms)
        flash = 400 <= 40 * tick % 1000 < 600
        if tick not in missed:
            recorder.show(picture(220 if flash else 20, tick))
        settle(recorder, 20)
    if close:
        recorder.close()
    return recorder


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Times (s) and brightness of the pictures; times and loudness of the sound, as a player places them."""
    with av.open(str(path)) as container:
        pictures = [(float(f.time), f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = []
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().reshape(-1)
            times = float(frame.time) + np.arange(len(samples)) / frame.sample_rate
            sound += list(zip(times, np.abs(samples), strict=True))
    video, audio = np.array(pictures), np.array(sound)
    return video[:, 0], video[:, 1], audio[:, 0], audio[:, 1]


def onsets(times: NDArray[np.float64], values: NDArray[np.float64], level: float, apart_s: float) -> list[float]:
    above = times[values > level]
    return [float(above[0]), *(float(b) for a, b in pairwise(above) if b - a > apart_s)]


def test_flash_and_beep_stay_together(tmp_path: Path) -> None:
    record(tmp_path / "call.mp4", 6.0)
    video_s, grey, audio_s, level = read(tmp_path / "call.mp4")
    flashes = onsets(video_s, grey, 120, 0.5)
    beeps = onsets(audio_s, level, 0.15, 0.5)
    assert len(flashes) == len(beeps) == 6
    assert np.abs(np.array(flashes) - beeps).max() < 0.04
    assert len(video_s) == 150
    assert np.allclose(np.diff(video_s), 0.04)


def test_a_missed_tick_repeats_the_picture(tmp_path: Path) -> None:
    record(tmp_path / "call.mp4", 2.0, missed=frozenset({3, 4, 5, 12}))
    video_s, grey, _, _ = read(tmp_path / "call.mp4")
    assert len(video_s) == 50
    assert grey[12] == pytest.approx(grey[11], abs=3)


def test_what_is_on_disk_is_playable_at_any_moment(tmp_path: Path) -> None:
    recorder = record(tmp_path / "call.mp4", 4.0, close=False)
    settle(recorder, 0)
    shutil.copy(tmp_path / "call.mp4", tmp_path / "killed.mp4")
    recorder.close()
    video_s, _, audio_s, _ = read(tmp_path / "killed.mp4")
    assert len(video_s) >= 50
    assert audio_s[-1] > 1.5


def test_ticks_that_drift_stay_with_the_sound(tmp_path: Path) -> None:
    """Ticks of 40.4 ms, 30 s long: 300 ms in all."""
    recorder = Recorder(tmp_path / "call.mp4")
    chunks = 0
    for tick in range(743):
        due_ms = START_MS + 40.4 * tick
        while 20.0 * chunks < due_ms - START_MS:
            recorder.hear(beep(20 * chunks % 1000 < 200), START_MS + 20.0 * chunks)
            chunks += 1
        frame = picture(220 if (due_ms - START_MS) % 1000 < 200 else 20, tick)
        recorder.show(replace(frame, due_ms=due_ms))
        settle(recorder, 20)
    recorder.close()
    video_s, grey, audio_s, level = read(tmp_path / "call.mp4")
    flashes, beeps = onsets(video_s, grey, 120, 0.5), onsets(audio_s, level, 0.15, 0.5)
    assert len(flashes) == len(beeps) == 30
    late_s = np.array(flashes) - beeps
    assert late_s.min() > -0.01
    assert late_s.max() < 0.055  # up to 40 ms of it: the flash waits for its tick


def test_silence_is_filled_in(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mp4")
    recorder.show(picture(20, 0))
    recorder.hear(beep(True), START_MS)
    recorder.hear(beep(True), START_MS + 1000.0)
    for tick in range(1, 40):
        recorder.show(picture(20, tick))
    recorder.close()
    _, _, audio_s, level = read(tmp_path / "call.mp4")
    assert onsets(audio_s, level, 0.15, 0.5) == pytest.approx([0.0, 1.0], abs=0.01)
    assert audio_s[-1] == pytest.approx(1.6, abs=0.1)


@pytest.mark.parametrize("name", ["call.avi", "call"])
def test_only_mp4(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--record"):
        Recorder(tmp_path / name)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--record"):
        Recorder(tmp_path / "missing" / "call.mp4")


def test_nothing_shown_leaves_no_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mp4")
    recorder.hear(beep(True), 0.0)
    recorder.close()
    recorder.close()
    assert not (tmp_path / "call.mp4").exists()
