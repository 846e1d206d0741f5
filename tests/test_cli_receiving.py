"""What `avcall receive` and `avcall send` open before a call."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from avcall.bench.sample import write_sample
from avcall.cli import receiving
from avcall.cli.receiving import Buttons, PrintedRates, open_renderers, open_speaker
from avcall.cli.sending import open_source
from avcall.common.config import ReceiveConfig, SendConfig
from avcall.common.errors import DeviceError
from avcall.common.trace import NullTrace
from avcall.receiver.overlay import Badges
from avcall.receiver.recorder import Recorder
from avcall.receiver.renderers import Offscreen, ShownFrame
from avcall.receiver.speaker import SilentSpeaker
from avcall.sender.capture import FileSource
from avcall.sender.microphone import FileSound


def no_card(device: str) -> None:
    raise DeviceError("PortAudio is missing: install it")


def test_a_call_without_a_sound_card_goes_on_in_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(receiving, "SoundCardSpeaker", no_card)
    with caplog.at_level(logging.WARNING):
        assert isinstance(open_speaker(ReceiveConfig(room="r")), SilentSpeaker)
    assert "the call is silent here: PortAudio is missing" in caplog.text


def test_a_speaker_that_was_named_must_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "SoundCardSpeaker", no_card)
    with pytest.raises(DeviceError):
        open_speaker(ReceiveConfig(room="r", speaker="USB"))


def test_no_audio_opens_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(receiving, "SoundCardSpeaker")
    assert isinstance(open_speaker(ReceiveConfig(room="r", audio=False)), SilentSpeaker)


def test_a_window_without_a_display_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with ExitStack() as stack, pytest.raises(DeviceError, match="--no-window"):
        open_renderers(ReceiveConfig(room="r"), Buttons(), stack)


def test_a_recorder_is_closed_with_the_call(tmp_path: Path) -> None:
    with ExitStack() as stack:
        (recorder,) = open_renderers(ReceiveConfig(room="r", window=False, record=tmp_path / "x.mp4"), Buttons(), stack)
        assert isinstance(recorder, Recorder)
    recorder.close()


def test_where_nobody_looks_a_call_does_the_work_of_a_window() -> None:
    picture = np.full((64, 64, 3), 128, np.uint8)
    with ExitStack() as stack:
        (renderer,) = open_renderers(ReceiveConfig(room="r", window=False), Buttons(), stack)
        assert isinstance(renderer, Offscreen)
        renderer.show(ShownFrame(picture, picture, 0, 0.0, Badges()))
    assert (picture == 128).all(), "the marks are on a copy"


def test_stats_print_a_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    trace = PrintedRates(NullTrace())
    trace.event("other")
    trace.event(
        "rate",
        payload_kbps={"keypoints": 16.0, "voice": 8.0},
        wire_kbps={"up": 20.0, "down": 60.0},
        fps_shown=25.0,
        delay_ms=80.0,
        keypoints_lost=2,
    )
    (line,) = capsys.readouterr().out.splitlines()
    assert "25 pictures/s" in line
    assert "24.0 kbit/s" in line
    assert "2 lost" in line


def test_a_file_is_opened_with_its_sound(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.mp4", 1.0)
    source, sound, what = open_source(SendConfig(room="r", video=tmp_path / "sample.mp4"))
    assert isinstance(source, FileSource)
    assert isinstance(sound, FileSound)
    assert what == "sample.mp4"
    _, sound, what = open_source(SendConfig(room="r", video=tmp_path / "sample.mp4", audio=False))
    assert sound is None
    assert what == "sample.mp4 (--no-audio)"
