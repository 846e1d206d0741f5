"""Where pictures come from: a camera or a file, each captured in its own thread, the newest frame first."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import av
import cv2
import numpy as np

from avcall.common.clock import monotonic_ms
from avcall.common.errors import DeviceError, InputError
from avcall.common.frames import VideoFrame
from avcall.common.keypoints import Image
from avcall.sender.file_clock import FileClock, open_file
from avcall.sender.mailbox import Outlet, from_thread

T = TypeVar("T")

LONGEST_SIDE = 1920
"""Pixels: a larger picture is reduced as it is decoded; the crop of a face never needs more."""


class VideoSource(Protocol):
    """Pictures in the order of their capture. Only the newest waits; those it pushed out are in `dropped`."""

    dropped: int

    def frames(self) -> AsyncIterator[VideoFrame]:
        """Ends with the source; leaving the iterator releases the device.

        Raises:
            InputError, DeviceError: what the source met on the way.
        """


class FileSource:
    """A video file at its own pace, resampled to `fps` by dropping or repeating frames.

    A frame's `capture_ms` is when it was due. `loop` starts the file again, and the times run on.
    """

    def __init__(self, clock: FileClock, fps: float, loop: bool = False) -> None:
        self.dropped = 0
        self._clock = clock
        self._fps = fps
        self._loop = loop

    async def frames(self) -> AsyncIterator[VideoFrame]:
        async with aclosing(from_thread(self._run, "file-picture", self._on_drop)) as frames:
            async for frame in frames:
                yield frame

    def _on_drop(self, dropped: int) -> None:
        self.dropped = dropped

    def _run(self, outlet: Outlet[VideoFrame]) -> None:
        start_ms = self._clock.start_ms()
        while not outlet.stopped:
            if not self._play(start_ms, outlet):
                raise InputError(f"--video {self._clock.path} has no frame that can be decoded: convert it to mp4")
            start_ms += self._clock.length_ms
            if not self._loop:
                outlet.wait(start_ms - self._clock.now_ms())  # the last frame lasts until the file's end
                return

    def _play(self, start_ms: float, outlet: Outlet[VideoFrame]) -> int:
        count = 0
        shown: tuple[Any, Image] | None = None
        for tick_ms, decoded in resample(self._decode(), self._fps, self._clock.length_ms):
            count += 1
            due_ms = start_ms + tick_ms
            if shown is None or shown[0] is not decoded:
                shown = (decoded, to_rgb(decoded))
            if outlet.wait(due_ms - self._clock.now_ms()):
                break
            outlet.put(VideoFrame(shown[1], due_ms))
        return count

    def _decode(self) -> Iterator[tuple[float, Any]]:
        with open_file(self._clock.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            step_ms = 1000.0 / float(stream.average_rate or 25)
            time_ms = 0.0
            frames = container.decode(stream)
            while True:
                try:
                    frame = next(frames, None)
                except av.FFmpegError:  # a damaged place: what was decoded before it counts
                    return
                if frame is None:
                    return
                time_ms = time_ms + step_ms if frame.time is None else (frame.time - self._clock.begins_s) * 1000.0
                yield time_ms, frame


def resample(frames: Iterable[tuple[float, T]], fps: float, length_ms: float) -> Iterator[tuple[float, T]]:
    """For each tick of `fps` within `length_ms` the newest of `frames` (time in ms, item) that is not after it.

    The first frame also serves the ticks before it; times are rounded to the nearest millisecond's worth, so that
    25 frames a second at 25 fps come through one to one.
    """
    slack_ms = 1.0
    source = iter(frames)
    current = next(source, None)
    following = next(source, None)
    tick = 0
    while current is not None:
        tick_ms = tick * 1000.0 / fps
        if tick_ms > length_ms - slack_ms:
            return
        while following is not None and following[0] <= tick_ms + slack_ms:
            current, following = following, next(source, None)
        yield tick_ms, current[1]
        tick += 1


def to_rgb(frame: Any) -> Image:
    """A decoded PyAV frame as RGB, upright (telephones store portraits lying down) and not above LONGEST_SIDE."""
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    width, height = round(frame.width * scale), round(frame.height * scale)
    image = frame.to_ndarray(format="rgb24", width=width, height=height)
    turns = round(frame.rotation / 90.0) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else np.asarray(image, dtype=np.uint8)


class CameraSource:
    """A camera by its number. Opened at once, so that its absence is known before the call begins."""

    def __init__(self, number: int, fps: float) -> None:
        """Raises:
        DeviceError: no such camera, or another program has it.
        """
        self.dropped = 0
        self._number = number
        self._fps = fps
        linux = sys.platform.startswith("linux")
        if linux and not Path(f"/dev/video{number}").exists():
            found = sorted(str(path).removeprefix("/dev/video") for path in Path("/dev").glob("video*"))
            there = f"cameras found: {', '.join(found)}" if found else "none is plugged in"
            raise DeviceError(
                f"--camera {number} does not exist ({there}): plug one in, or send a file with --video FILE"
            )
        self._camera: Any = cv2.VideoCapture(number, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
        if self._camera.isOpened():
            self._camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))  # raw 720p exceeds USB 2 at 25 fps
            self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, 1280)
            self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, 720)
            self._camera.set(cv2.CAP_PROP_FPS, max(fps, 30.0))
            self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not self._camera.isOpened() or not self._camera.read()[0]:
            self._camera.release()
            raise DeviceError(
                f"--camera {number} gives no picture (busy, or not allowed): close the program that uses it, "
                "or choose another with --camera N"
            )

    async def frames(self) -> AsyncIterator[VideoFrame]:
        async with aclosing(from_thread(self._run, "camera", self._on_drop)) as frames:
            async for frame in frames:
                yield frame

    def _on_drop(self, dropped: int) -> None:
        self.dropped = dropped

    def _run(self, outlet: Outlet[VideoFrame]) -> None:
        period_ms = 1000.0 / self._fps
        due_ms = 0.0
        failures = 0
        try:
            while not outlet.stopped:
                ok, bgr = self._camera.read()
                now_ms = monotonic_ms()
                if not ok:
                    failures += 1
                    if failures >= 50 or outlet.wait(20.0):
                        raise DeviceError(f"--camera {self._number} stopped giving pictures: is it still plugged in?")
                    continue
                failures = 0
                if now_ms < due_ms - period_ms / 4:  # a 30 fps camera at 25 fps: every sixth frame is left out
                    continue
                due_ms = max(due_ms + period_ms, now_ms)
                outlet.put(VideoFrame(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8), now_ms))
        finally:
            self._camera.release()
