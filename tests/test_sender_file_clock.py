"""What a video file says about itself, and what is said of files that are none."""

from __future__ import annotations

import wave
from pathlib import Path

import cv2
import numpy as np
import pytest

from avcall.common.errors import InputError
from avcall.sender.file_clock import LEAD_MS, FileClock
from tests.sender_files import write_video


def test_length_sound_and_start(tmp_path: Path) -> None:
    now = [5000.0]
    clock = FileClock(write_video(tmp_path / "a.mp4", frames=10, fps=25, sound_s=0.4), lambda: now[0])
    assert clock.has_sound
    assert clock.length_ms == pytest.approx(400.0, abs=1.0)
    assert clock.start_ms() == 5000.0 + LEAD_MS
    now[0] = 9000.0
    assert clock.start_ms() == 5000.0 + LEAD_MS


def test_length_of_a_file_that_does_not_say(tmp_path: Path) -> None:
    assert FileClock(write_video(tmp_path / "a.ts", frames=10, fps=25)).length_ms == pytest.approx(400.0, abs=1.0)


def test_a_single_picture_lasts_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    assert cv2.imwrite(str(path), np.zeros((64, 64, 3), dtype=np.uint8))
    assert FileClock(path).length_ms == 40.0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.mp4", None, "does not exist"),
        ("text.mp4", b"no video\n" * 50, "not a video"),
        ("empty.mp4", b"", "not a video"),
    ],
)
def test_errors_name_the_flag(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"--video .*{name} .*{says}") as caught:
        FileClock(path)
    assert "\n" not in str(caught.value)


def test_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\0" * 3200)
    with pytest.raises(InputError, match="has no picture"):
        FileClock(path)
