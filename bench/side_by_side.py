"""The original and the received picture side by side, with the received sound."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from avcall.bench.joined_ticks import Tick, fitted
from avcall.common.config import DISPLAY_FPS
from avcall.common.errors import OutputError
from avcall.common.keypoints import Image

SIDE = 512
BAR = 44
"""Height of the caption above each picture."""
HELD_TICKS = 4
"""A picture that has stood for so long is marked."""
_INK, _FAINT, _PAPER, _ALARM = (236, 239, 244), (150, 160, 176), (24, 28, 36), (255, 176, 64)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_log = logging.getLogger(__name__)


def write_side_by_side(path: Path, ticks: Iterable[Tick], sound_from: Path | None, caption: str) -> int:
    """Writes one frame a display tick: original left, received right, and the sound track of `sound_from` (a recording
    that begins with the first tick). `caption` is short and stands over the received picture. Returns the frames.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
            video: Any = out.add_stream("libx264", rate=int(DISPLAY_FPS))
            video.width, video.height, video.pix_fmt = 2 * SIDE, SIDE + BAR, "yuv420p"
            video.options = {"preset": "veryfast", "crf": "18", "threads": "1"}
            sound = _open_sound(sound_from)
            track: Any = None if sound is None else out.add_stream_from_template(sound.streams.audio[0])
            count = 0
            for tick in ticks:
                frame = av.VideoFrame.from_ndarray(side_by_side(tick, caption), format="rgb24")
                frame.pts, frame.time_base = count, Fraction(1, int(DISPLAY_FPS))
                out.mux(video.encode(frame))
                count += 1
            out.mux(video.encode(None))
            if sound is not None:
                _copy_sound(sound, out, track, count / DISPLAY_FPS)
                sound.close()
            return count
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error}): give another --out") from error


def side_by_side(tick: Tick, caption: str) -> Image:
    """One frame, uint8 (SIDE + BAR, 2 SIDE, 3)."""
    frame = np.full((SIDE + BAR, 2 * SIDE, 3), _PAPER, dtype=np.uint8)
    if tick.original is not None:
        frame[BAR:, :SIDE] = fitted(tick.original, SIDE)
    frame[BAR:, SIDE:] = fitted(tick.shown, SIDE)
    _write(frame, "original", 14, _INK)
    _write(frame, "received", SIDE + 14, _INK)
    frozen = tick.held >= HELD_TICKS
    _write(frame, "picture held" if frozen else caption, SIDE + 130, _ALARM if frozen else _FAINT, 0.5)
    frame[:, SIDE - 1 : SIDE + 1] = _PAPER
    return frame


def _write(frame: Image, text: str, x: int, colour: tuple[int, int, int], scale: float = 0.62) -> None:
    cv2.putText(frame, text, (x, 29), _FONT, scale, colour, 1, cv2.LINE_AA)


def _open_sound(path: Path | None) -> Any:
    """The recording, where it has sound."""
    if path is None or not path.is_file():
        return None
    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        _log.debug("%s: %s", path, error)
        return None
    if container.streams.audio:
        return container
    container.close()
    return None


def _copy_sound(sound: Any, out: Any, track: Any, length_s: float) -> None:
    """Coded sound as it is, up to the last picture."""
    for packet in sound.demux(sound.streams.audio[0]):
        if packet.dts is None or packet.pts is None:
            continue
        if float(packet.pts * packet.time_base) >= length_s:
            return
        packet.stream = track
        out.mux(packet)
