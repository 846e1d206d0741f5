"""A trace kept in a folder: log.jsonl, one event a line, and frames_N.nut, the pictures without loss.

Everything is written in a thread of its own, by the fastest coder that loses nothing: a call must not be slower because
it is watched. (Huffyuv takes 2 ms for 512x512 and 240 kB, FFV1 10 ms and 90 kB.) Whatever ends the process, what was
written before can be read: the log is flushed line by line, and NUT needs no index.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import av
import numpy as np

from avcall.common.errors import InputError, OutputError
from avcall.common.keypoints import Image
from avcall.common.threads import yield_to_others

LOG = "log.jsonl"
_QUEUE = 100
"""Pictures and events that may wait for the disk: four seconds at most; what does not fit is left out and counted."""
_FPS = 25
_log = logging.getLogger(__name__)


class TraceWriter:
    """Implements `avcall.common.trace.Trace`. Use it as a context, or call `close`.

    Raises:
        OutputError: the folder cannot be made or written, naming --trace.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("frames_*.nut"):
                old.unlink()
            self._lines: IO[str] = (folder / LOG).open("w", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"--trace {folder}: {error.strerror}: give a folder that can be written") from error
        self.dropped = 0
        self._closed = False
        self._queue: queue.Queue[tuple[str, Image | None, dict[str, object]] | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._run, name="trace", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Pictures and events not yet written."""
        return self._queue.qsize()

    def event(self, kind: str, **values: object) -> None:
        self._put(kind, None, values)

    def picture(self, image: Image, **values: object) -> None:
        self._put("picture", image, values)

    def close(self) -> None:
        """Writes what waits; may be called twice."""
        if self._closed:
            return
        if self.dropped:
            self._queue.put(("trace_dropped", None, {"count": self.dropped}))
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._lines.close()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, kind: str, image: Image | None, values: dict[str, object]) -> None:
        if self._closed:
            return
        try:
            self._queue.put_nowait((kind, image, values))
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        yield_to_others()
        film: _Film | None = None
        failed = False
        while (item := self._queue.get()) is not None:
            if failed:
                continue  # keeps the queue moving
            kind, image, values = item
            line: dict[str, object] = {"kind": kind, **values}
            try:
                if image is not None:
                    if film is None or film.shape != image.shape:
                        number = 0 if film is None else film.number + 1
                        if film is not None:
                            film.close()
                        film = _Film(self._folder / f"frames_{number}.nut", image.shape, number)
                    line.update(film=film.number, frame=film.add(image))
                self._lines.write(json.dumps(line, default=_plain) + "\n")
                self._lines.flush()
            except (av.FFmpegError, OSError) as error:
                failed = True
                _log.warning("--trace %s: %s; the trace ends here", self._folder, error.strerror or error)
        if film is not None:
            with contextlib.suppress(av.FFmpegError, OSError):  # has been told
                film.close()


def _plain(value: Any) -> Any:
    """numpy scalars and arrays as what they hold."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)


class _Film:
    """One file of pictures that share a size."""

    def __init__(self, path: Path, shape: tuple[int, ...], number: int) -> None:
        self.shape = shape
        self.number = number
        self._count = 0
        self._container = av.open(str(path), "w", format="nut")
        self._stream: Any = self._container.add_stream("huffyuv", rate=_FPS)
        self._stream.height, self._stream.width = shape[:2]
        self._stream.pix_fmt = "rgb24"
        self._stream.codec_context.thread_count = 1

    def add(self, image: Image) -> int:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, _FPS)
        self._container.mux(self._stream.encode(frame))
        self._count += 1
        return self._count - 1

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


@dataclass(frozen=True)
class TracedPicture:
    """A picture with the values it was written with."""

    image: Image
    values: dict[str, Any]


class TraceFolder:
    """A trace read back. `events` are all lines in their order, those of pictures included (kind "picture")."""

    def __init__(self, folder: Path) -> None:
        """Raises:
        InputError: there is no trace in the folder.
        """
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        try:
            text = (folder / LOG).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{folder}: no trace in it ({LOG} cannot be read): record one with --trace") from error
        for line in text.splitlines():
            with contextlib.suppress(ValueError):  # the last line of a process that was killed
                self.events.append(json.loads(line))

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event.get("kind") == kind]

    def pictures(self) -> Iterator[TracedPicture]:
        """Decodes the pictures one by one, in their order; ends early where a file was cut off."""
        decoded: dict[int, Iterator[Image]] = {}
        for values in self.of_kind("picture"):
            number = values["film"]
            if number not in decoded:
                decoded[number] = _decode(self.folder / f"frames_{number}.nut")
            image = next(decoded[number], None)
            if image is None:
                return
            yield TracedPicture(image, values)


def _decode(path: Path) -> Iterator[Image]:
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    except (av.FFmpegError, OSError) as error:
        _log.debug("%s: %s", path, error)
