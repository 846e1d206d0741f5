"""Records picture and sound to an mp4, in a thread of its own.

Pictures stand at constant 25 a second by their display ticks (a missed tick repeats the picture before it), sound where
it was heard on the same time line. The file is written in fragments of a second: whatever ends the process, it
is playable up to there.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from avcall.common.config import DISPLAY_FPS
from avcall.common.errors import ConfigError, OutputError
from avcall.common.frames import SAMPLE_RATE
from avcall.common.keypoints import Image
from avcall.common.threads import yield_to_others
from avcall.receiver.display_stats import TICK_MS
from avcall.receiver.opus_decoder import Samples
from avcall.receiver.renderers import ShownFrame

_FPS = int(DISPLAY_FPS)
_QUEUE = 50
_EARLY_CHUNKS = 50
_SEAM, _SEAM_IN_SILENCE = SAMPLE_RATE * 20 // 1000, SAMPLE_RATE * 4 // 1000
"""Sound that lies this far from where the last ended is moved to its place; below, it simply goes on."""
_QUIET = 100
_SILENCE_BEHIND = SAMPLE_RATE
_MAX_OFFSET_MS, _OFFSET_FOLLOWED = 26.0, 0.05
"""Farther from their time than this, pictures are moved by one; sound follows what is left."""
_log = logging.getLogger(__name__)


class Recorder:
    """A Renderer. `close` finishes the file.

    Raises:
        ConfigError: a name that does not end in .mp4.
        OutputError: a file that cannot be written (from `close`, too, when the disk filled up).
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() != ".mp4":
            raise ConfigError(f"--record {path}: give a name that ends in .mp4")
        existed = path.exists()
        try:
            with path.open("ab"):
                pass
        except OSError as error:
            raise OutputError(f"--record {path}: {error.strerror}: give a place that can be written") from error
        if not existed:
            path.unlink()
        self._path = path
        self._queue: queue.Queue[ShownFrame | tuple[Samples, float] | None] = queue.Queue(_QUEUE)
        self._failure: str | None = None
        self._closed = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def show(self, frame: ShownFrame) -> None:
        self._put(frame)

    def hear(self, samples: Samples, heard_ms: float) -> None:
        self._put((samples, heard_ms))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        if self._failure:
            raise OutputError(f"--record {self._path}: {self._failure}; what came before is kept")

    def _put(self, item: ShownFrame | tuple[Samples, float]) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        yield_to_others()
        film: _Film | None = None
        early: deque[tuple[Samples, float]] = deque(maxlen=_EARLY_CHUNKS)
        while (item := self._queue.get()) is not None:
            if self._failure:
                continue  # keeps the queue moving
            try:
                if isinstance(item, tuple):
                    early.append(item) if film is None else film.hear(*item)
                    continue
                if film is None:
                    film = _Film(self._path, item)
                    for chunk in early:
                        film.hear(*chunk)
                film.show(item)
            except (FFmpegError, OSError) as error:
                self._failure = str(error.strerror or error)
                _log.warning("--record %s: %s", self._path, self._failure)
        if film is not None:
            try:
                film.close()
            except (FFmpegError, OSError) as error:
                self._failure = self._failure or str(error.strerror or error)


class _Film:
    """The open file; its time starts with the first picture."""

    def __init__(self, path: Path, first: ShownFrame) -> None:
        self._start_ms = first.due_ms
        self._tick = first.tick - 1
        self._offset_ms = 0.0
        """How much later pictures are due than they stand in the film."""
        side_y, side_x = (side // 2 * 2 for side in first.display.shape[:2])
        options = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
        self._container = av.open(str(path), "w", format="mp4", options=options)
        self._video: Any = self._container.add_stream("libx264", rate=_FPS)
        self._video.width, self._video.height, self._video.pix_fmt = side_x, side_y, "yuv420p"
        self._video.codec_context.gop_size = _FPS
        self._video.options = {"preset": "superfast", "crf": "20", "tune": "zerolatency", "threads": "1"}
        self._audio: Any = self._container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        self._audio.bit_rate = 48_000
        self._shown: Image | None = None
        self._pictures = 0
        self._samples = 0

    def show(self, frame: ShownFrame) -> None:
        index = self._pictures + frame.tick - self._tick - 1
        self._tick = frame.tick
        offset_ms = frame.due_ms - self._start_ms - index * TICK_MS
        self._offset_ms += _OFFSET_FOLLOWED * (offset_ms - self._offset_ms)
        if abs(self._offset_ms) > _MAX_OFFSET_MS:  # ticks follow the sender's clock: now and then one more or less
            step = 1 if self._offset_ms > 0 else -1
            index += step
            self._offset_ms -= step * TICK_MS
        if self._shown is not None:
            while self._pictures < index:
                self._write(self._shown)
        self._shown = frame.display
        if self._pictures <= index:
            self._write(frame.display)
        behind = self._picture_samples - _SILENCE_BEHIND
        if self._samples < behind:
            self._sound(np.zeros(behind - self._samples, np.int16))

    def hear(self, samples: Samples, heard_ms: float) -> None:
        start = round((heard_ms - self._start_ms - self._offset_ms) * SAMPLE_RATE / 1000)
        apart = start - self._samples
        quiet = np.abs(samples).max(initial=0) < _QUIET
        if self._samples == 0 or abs(apart) > (_SEAM_IN_SILENCE if quiet else _SEAM):
            if apart > 0:
                self._sound(np.zeros(apart, np.int16))
            samples = samples[max(0, -apart) :]
        if len(samples):
            self._sound(samples)

    def close(self) -> None:
        missing = self._picture_samples - self._samples
        if missing > 0:
            self._sound(np.zeros(missing, np.int16))
        for stream in (self._video, self._audio):
            self._container.mux(stream.encode(None))
        self._container.close()

    @property
    def _picture_samples(self) -> int:
        return self._pictures * SAMPLE_RATE // _FPS

    def _write(self, image: Image) -> None:
        even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame.pts, frame.time_base = self._pictures, Fraction(1, _FPS)
        self._pictures += 1
        self._container.mux(self._video.encode(frame))

    def _sound(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._samples, Fraction(1, SAMPLE_RATE)
        self._samples += len(samples)
        self._container.mux(self._audio.encode(frame))
