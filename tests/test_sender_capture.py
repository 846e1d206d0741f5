"""Files and cameras as sources of pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avcall.common.errors import DeviceError, InputError
from avcall.common.frames import VideoFrame
from avcall.sender.capture import LONGEST_SIDE, CameraSource, FileSource, resample, to_rgb
from avcall.sender.file_clock import FileClock
from tests.sender_files import level, write_video


def times(count: int, fps: float) -> list[tuple[float, int]]:
    return [(number * 1000.0 / fps, number) for number in range(count)]


def test_same_rate_passes_one_to_one() -> None:
    assert [item for _, item in resample(times(10, 25), 25.0, 400.0)] == list(range(10))


def test_a_faster_source_is_thinned_and_a_slower_one_repeated() -> None:
    assert [item for _, item in resample(times(12, 30), 25.0, 400.0)] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert [item for _, item in resample(times(4, 10), 25.0, 400.0)] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]


def test_a_late_first_frame_serves_the_ticks_before_it() -> None:
    assert list(resample([(90.0, "only")], 25.0, 160.0)) == [
        (0.0, "only"),
        (40.0, "only"),
        (80.0, "only"),
        (120.0, "only"),
    ]
    assert list(resample([], 25.0, 160.0)) == []


@pytest.mark.real_time
async def test_a_file_comes_at_its_own_pace(tmp_path: Path) -> None:
    clock = FileClock(write_video(tmp_path / "a.mp4", frames=8, fps=25))
    source = FileSource(clock, 25.0)
    frames = [frame async for frame in source.frames()]
    assert len(frames) + source.dropped >= 8
    for frame in frames:  # whatever a busy machine dropped, each frame carries its own time
        assert frame.capture_ms - clock.start_ms() == pytest.approx(40.0 * level(frame.image), abs=0.01)


@pytest.mark.real_time
async def test_a_loop_runs_on_in_time(tmp_path: Path) -> None:
    clock = FileClock(write_video(tmp_path / "a.mp4", frames=4, fps=25))
    seen = []
    async for frame in FileSource(clock, 25.0, loop=True).frames():
        seen.append((round(frame.capture_ms - clock.start_ms()), level(frame.image)))
        if seen[-1][0] >= 300:
            break
    assert all(number == due_ms // 40 % 4 for due_ms, number in seen)


@pytest.mark.real_time
async def test_a_file_that_breaks_off_keeps_what_was_decoded(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.ts", frames=20, fps=25).read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(whole[: len(whole) // 2])
    frames = [frame async for frame in FileSource(FileClock(path), 25.0).frames()]
    assert 1 <= len(frames) < 20


@pytest.mark.real_time
async def test_a_file_without_a_frame_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FileSource(FileClock(write_video(tmp_path / "a.mp4", frames=4, fps=25)), 25.0)
    monkeypatch.setattr(source, "_decode", lambda: iter(()))
    with pytest.raises(InputError, match=r"--video .*a\.mp4 has no frame"):
        async for _ in source.frames():
            pass


def test_pictures_stand_upright_and_are_not_too_large() -> None:
    picture = np.zeros((60, 100, 3), dtype=np.uint8)
    picture[:, 90:] = 255  # the right edge

    def convert(format: str, width: int, height: int) -> object:
        assert max(width, height) <= LONGEST_SIDE
        return picture

    lying = SimpleNamespace(width=100, height=60, rotation=90, to_ndarray=convert)
    upright = to_rgb(lying)
    assert upright.shape == (100, 60, 3)
    assert upright[:10].min() == 255  # turned a quarter anticlockwise: right is now up
    huge = SimpleNamespace(width=3840, height=2160, rotation=0, to_ndarray=convert)
    assert to_rgb(huge).shape == picture.shape


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cameras are files on Linux only")
def test_a_missing_camera_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match=r"--camera 97 does not exist .*--video FILE"):
        CameraSource(97, 25.0)


@pytest.mark.real_time
async def test_a_camera_that_dies_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeCamera(pictures=3)
    monkeypatch.setattr("avcall.sender.capture.cv2.VideoCapture", lambda *arguments: camera)
    monkeypatch.setattr("avcall.sender.capture.Path.exists", lambda self: True)
    source = CameraSource(0, 25.0)
    seen: list[VideoFrame] = []

    async def read() -> None:
        async for frame in source.frames():
            seen[:] = [frame]

    with pytest.raises(DeviceError, match="--camera 0 stopped"):
        await read()
    assert tuple(seen[0].image[0, 0]) == (30, 20, 10)  # the camera's BGR became RGB
    assert camera.released


def test_a_busy_camera_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcall.sender.capture.cv2.VideoCapture", lambda *arguments: FakeCamera(pictures=0))
    monkeypatch.setattr("avcall.sender.capture.Path.exists", lambda self: True)
    with pytest.raises(DeviceError, match=r"--camera 0 gives no picture \(busy"):
        CameraSource(0, 25.0)


class FakeCamera:
    """OpenCV's camera with a number of pictures in it."""

    def __init__(self, pictures: int) -> None:
        self.left = pictures
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, key: int, value: float) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None]:
        if self.left == 0:
            return False, None
        self.left -= 1
        return True, np.full((8, 8, 3), (10, 20, 30), dtype=np.uint8)

    def release(self) -> None:
        self.released = True
