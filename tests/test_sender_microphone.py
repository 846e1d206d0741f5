"""Sound from files and from a microphone."""

from __future__ import annotations

import builtins
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avcall.common.errors import DeviceError
from avcall.sender.capture import FileSource
from avcall.sender.file_clock import FileClock
from avcall.sender.microphone import CHUNK_SAMPLES, FileSound, Microphone, Resampler, cut, open_microphone
from tests.sender_files import write_video


def test_cut_makes_equal_chunks() -> None:
    pieces = iter([np.arange(100, dtype=np.int16), np.arange(100, 700, dtype=np.int16)])
    chunks = list(cut(pieces))
    assert [len(chunk) for chunk in chunks] == [CHUNK_SAMPLES] * 2
    assert np.array_equal(np.concatenate(chunks), np.arange(640))


def test_resampler_keeps_the_length_in_time() -> None:
    resampler = Resampler()
    parts = [resampler.convert_samples(np.zeros(960, dtype=np.int16), 48_000) for _ in range(50)]
    assert sum(map(len, parts)) == pytest.approx(16_000, abs=64)


async def hear(sound: FileSound, limit: int = 10_000) -> tuple[np.ndarray[Any, np.dtype[np.int16]], list[float]]:
    samples, starts = [np.zeros(0, dtype=np.int16)], []
    async for chunk in sound.chunks():
        samples.append(chunk.samples)
        starts.append(chunk.capture_ms)
        if len(starts) == limit:
            break
    return np.concatenate(samples), starts


@pytest.mark.real_time
async def test_the_sound_of_a_file_stands_where_its_picture_does(tmp_path: Path) -> None:
    """A click 200 ms into the file is captured 200 ms after its first frame, within 10 ms."""
    clock = FileClock(write_video(tmp_path / "a.mp4", frames=12, fps=25, sound_s=0.48, click_s=0.2))
    sound = FileSound(clock)
    samples, starts = await hear(sound)
    assert sound.dropped == 0
    assert np.allclose(np.diff(starts), 20.0)
    click_ms = starts[0] + float(np.argmax(np.abs(samples) > 3000)) / 16.0
    first_frame_ms = next(iter([frame.capture_ms async for frame in FileSource(clock, 25.0).frames()]))
    assert click_ms - first_frame_ms == pytest.approx(200.0, abs=10.0)


@pytest.mark.real_time
async def test_a_short_track_is_filled_up_and_loops_with_the_picture(tmp_path: Path) -> None:
    clock = FileClock(write_video(tmp_path / "a.mp4", frames=8, fps=25, sound_s=0.2, click_s=0.1))
    samples, starts = await hear(FileSound(clock, loop=True), limit=32)
    clicks = np.flatnonzero(np.abs(samples) > 3000) / 16.0
    second = clicks[clicks > 320.0]
    assert starts[-1] - starts[0] == pytest.approx(31 * 20.0)
    assert second[0] - clicks[0] == pytest.approx(320.0, abs=1.0)


async def test_a_file_without_sound_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sound = FileSound(FileClock(write_video(tmp_path / "silent.mp4", frames=4, fps=25)))
    assert (await hear(sound))[1] == []
    assert [record.message for record in caplog.records] == ["no sound in silent.mp4: the call has picture only"]


def test_portaudio_missing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DeviceError, match="apt install libportaudio2, or call with --no-audio"):
        Microphone()
    assert open_microphone("") is None
    assert "the call has no sound: PortAudio is missing" in caplog.text
    with pytest.raises(DeviceError):
        open_microphone("Headset")


class PortAudioError(Exception):
    """Stands for sounddevice's."""


def fake_sounddevice(refused_rates: tuple[int, ...] = (), latency: float = 0.01) -> SimpleNamespace:
    class InputStream:
        def __init__(self, **settings: Any) -> None:
            self.settings = settings
            self.latency = latency
            self.blocks = 5

        def __enter__(self) -> InputStream:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def read(self, count: int) -> tuple[np.ndarray[Any, np.dtype[np.int16]], bool]:
            self.blocks -= 1
            if self.blocks < 0:
                raise PortAudioError("device unavailable")
            return np.full((count, 1), 7, dtype=np.int16), False

    def query_devices(device: Any, kind: str) -> dict[str, float]:
        if device == "Nothing":
            raise ValueError("No input device matching 'Nothing'")
        return {"default_samplerate": 48_000.0}

    def check_input_settings(samplerate: int, **settings: Any) -> None:
        if samplerate in refused_rates:
            raise PortAudioError("Invalid sample rate")

    return SimpleNamespace(
        PortAudioError=PortAudioError,
        InputStream=InputStream,
        query_devices=query_devices,
        check_input_settings=check_input_settings,
    )


def test_a_named_microphone_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice())
    with pytest.raises(DeviceError, match=r"--mic Nothing cannot be used .*--no-audio"):
        open_microphone("Nothing")


def test_a_microphone_that_refuses_every_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(refused_rates=(16_000, 48_000)))
    assert open_microphone("") is None


@pytest.mark.real_time
@pytest.mark.parametrize("refused", [(), (16_000,)])
async def test_chunks_come_until_the_device_goes(monkeypatch: pytest.MonkeyPatch, refused: tuple[int, ...]) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(refused))
    heard: list[int] = []

    async def listen(microphone: Microphone) -> None:
        async for chunk in microphone.chunks():
            heard[len(heard) :] = [len(chunk.samples)]

    with pytest.raises(DeviceError, match="the microphone stopped"):
        await listen(Microphone())
    assert set(heard) == {CHUNK_SAMPLES}
    assert len(heard) >= 4  # the resampler holds a little back
