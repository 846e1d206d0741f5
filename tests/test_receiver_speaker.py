"""Speakers: silence at the right pace, and a sound card that takes what it is given (its driver is played here)."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avcall.common.errors import DeviceError
from avcall.receiver.speaker import STOCK_MS, SilentSpeaker, SoundCardSpeaker, load_portaudio

CHUNK = np.arange(1, 161, dtype=np.int16)


class PortAudioError(Exception):
    pass


class Stream:
    def __init__(self, driver: Driver, samplerate: int, callback: Any, **_: Any) -> None:
        self.samplerate, self.callback, self.latency, self.open = samplerate, callback, 0.02, False
        driver.stream = self

    def start(self) -> None:
        self.open = True

    def close(self, ignore_errors: bool) -> None:
        self.open = False

    def take(self, count: int) -> list[int]:
        out = np.full((count, 1), -1, np.int16)
        self.callback(out, count, None, None)
        return [int(value) for value in out[:, 0]]


class Driver:
    """What of the sounddevice module is used."""

    PortAudioError = PortAudioError

    def __init__(self, rates: tuple[int, ...] = (16_000, 48_000)) -> None:
        self.rates = rates
        self.stream: Stream | None = None
        self.asked: list[Any] = []

    def check_output_settings(self, samplerate: int, device: Any, **_: Any) -> None:
        self.asked.append(device)
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate")

    def OutputStream(self, **options: Any) -> Stream:  # noqa: N802 - sounddevice's name
        if options["samplerate"] not in self.rates:
            raise PortAudioError("Error opening OutputStream: Device unavailable [PaErrorCode -9985]")
        return Stream(self, **options)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setitem(sys.modules, "sounddevice", driver)
    return driver


def test_silence_keeps_the_pace_of_the_clock() -> None:
    speaker = SilentSpeaker()
    written = 0
    for now_ms in np.arange(5_000.0, 7_000.0, 7.0):
        while speaker.wanted(now_ms) > 0:
            assert now_ms - 7.0 <= speaker.heard_ms(now_ms) <= now_ms
            speaker.write(CHUNK)
            written += len(CHUNK)
    assert written == pytest.approx(32_000, abs=320)


def test_silence_does_not_make_up_for_a_long_stall() -> None:
    speaker = SilentSpeaker()
    speaker.wanted(0.0)
    assert speaker.wanted(10_000.0) < 320
    assert speaker.heard_ms(10_000.0) == 10_000.0


def test_the_card_takes_what_was_written(driver: Driver) -> None:
    speaker = SoundCardSpeaker("3")
    assert driver.asked == [3]
    assert driver.stream is not None
    assert speaker.wanted(0.0) == 16 * STOCK_MS
    speaker.write(CHUNK)
    assert speaker.wanted(0.0) == 16 * STOCK_MS - 160
    assert speaker.heard_ms(100.0) == pytest.approx(130.0)
    assert driver.stream.take(100) == list(range(1, 101))
    assert driver.stream.take(100) == [*range(101, 161), *[0] * 40]
    assert speaker.underruns == 1
    assert speaker.lead_ms == STOCK_MS + 20
    speaker.close()
    assert not driver.stream.open


def test_blocks_of_the_card_do_not_shake_the_time(driver: Driver) -> None:
    speaker = SoundCardSpeaker()
    assert driver.stream is not None
    steps = []
    for now_ms in range(0, 2000, 10):
        while speaker.wanted(now_ms) >= 160:
            before_ms = speaker.heard_ms(now_ms)
            speaker.write(CHUNK)
            steps.append(speaker.heard_ms(now_ms) - before_ms)
        if now_ms % 20 == 0:
            driver.stream.take(320)
    assert all(abs(step - 10.0) < 2.0 for step in steps[20:])
    assert speaker.underruns == 0


def test_a_card_with_its_own_rate_is_resampled_for(driver: Driver) -> None:
    driver.rates = (48_000,)
    speaker = SoundCardSpeaker("hdmi")
    assert driver.stream is not None
    tone = (8000 * np.sin(np.arange(1600) * 2 * np.pi * 400 / 16_000)).astype(np.int16)
    for start in range(0, 1600, 160):
        speaker.write(tone[start : start + 160])
    taken = np.array(driver.stream.take(4_000)[1_000:])
    crossings = np.flatnonzero((taken[:-1] < 0) & (taken[1:] >= 0))
    assert np.diff(crossings).mean() == pytest.approx(120, abs=1)  # 400 Hz at 48 kHz


def test_stock_is_bounded(driver: Driver) -> None:
    speaker = SoundCardSpeaker()
    for _ in range(500):
        speaker.write(CHUNK)
    assert speaker.heard_ms(0.0) <= 550


def test_a_device_that_cannot_be_opened(driver: Driver) -> None:
    driver.rates = ()
    with pytest.raises(DeviceError, match=r"--speaker loud: .*unavailable.*--no-audio"):
        SoundCardSpeaker("loud")


def test_portaudio_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *_: object) -> SimpleNamespace | None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")
            return None

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(DeviceError, match="libportaudio2"):
        load_portaudio()
