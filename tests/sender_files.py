"""Small video files for the sender's tests, made on the spot."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48_000


def write_video(
    path: Path, *, frames: int, fps: int, sound_s: float = 0.0, click_s: float = 0.0, side: int = 64
) -> Path:
    """Frame n is grey of level 16 + 8 n; the sound is silence but for a click of 20 ms at `click_s`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "8", "preset": "ultrafast"})
        video.width = video.height = side
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono") if sound_s else None
        for number in range(frames):
            picture = np.full((side, side, 3), 16 + 8 * number % 224, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            sound = np.zeros(round(sound_s * RATE), dtype=np.float32)
            begin = round(click_s * RATE)
            sound[begin : begin + RATE // 50] = 0.5 * np.sin(np.arange(RATE // 50) * 2 * np.pi * 1000 / RATE)
            for start in range(0, len(sound), 1024):
                part = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = RATE, start, Fraction(1, RATE)
                container.mux(audio.encode(part))
            container.mux(audio.encode(None))
    return path


def level(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    """The frame number that `write_video` drew."""
    return round((float(image.mean()) - 16) / 8)
