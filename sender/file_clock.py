"""One time line for the picture and the sound of a file, so that both are sent when they belong together."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av

from avcall.common.clock import Clock, monotonic_ms
from avcall.common.errors import InputError

LEAD_MS = 150.0
"""From the first call of `start_ms` to the file's first moment: both tracks have opened and decoded by then."""
SHORTEST_MS = 40.0
"""A single picture lasts one frame, so that it can be looped."""


class FileClock:
    """Opens the file once to see what is in it, and fixes when it starts: at the first call of `start_ms`.

    Attributes: `has_sound`; `begins_s`, the earliest time stamp in the file; `length_ms`, from there to its end.
    """

    def __init__(self, path: Path, clock: Clock = monotonic_ms) -> None:
        """Raises:
        InputError: the file is missing, is not a video, or has no picture.
        """
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._start_ms: float | None = None
        with open_file(path) as container:
            if not container.streams.video:
                raise InputError(f"--video {path} has no picture in it: give a video file (mp4, mkv, webm, mov, avi)")
            self.has_sound = bool(container.streams.audio)
            begins = [float(s.start_time * s.time_base) for s in container.streams if _timed(s)]
            self.begins_s = min(begins, default=0.0)
            self.length_ms = max(SHORTEST_MS, _length_ms(container, self.begins_s))

    def start_ms(self) -> float:
        """When the file's first moment is due, on the clock's scale; the first call settles it."""
        with self._lock:
            if self._start_ms is None:
                self._start_ms = self._clock() + LEAD_MS
            return self._start_ms

    def now_ms(self) -> float:
        return self._clock()


def open_file(path: Path) -> Any:
    """An open PyAV container.

    Raises:
        InputError: naming --video and the cure.
    """
    if not path.is_file():
        raise InputError(f"--video {path} does not exist: give the path of a video file")
    try:
        return av.open(str(path), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"--video {path} is not a video that can be read ({error.strerror}): convert it to mp4"
        ) from error


def _timed(stream: Any) -> bool:
    return stream.type in ("video", "audio") and stream.start_time is not None and stream.time_base is not None


def _length_ms(container: Any, begins_s: float) -> float:
    """To the end of the picture; some files do not say how long they are, so their packets are read."""
    video = container.streams.video[0]
    if video.duration and video.time_base:
        first_s = float((video.start_time or 0) * video.time_base)
        return (first_s - begins_s + float(video.duration * video.time_base)) * 1000.0
    ends_s = begins_s
    for packet in container.demux(video):
        if packet.pts is not None:
            ends_s = max(ends_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return (ends_s - begins_s) * 1000.0
