"""The built-in sample: a talking portrait with sound, made here, the same on every machine of one kind."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from avcall.bench.sample_face import Expression, TalkingPortrait
from avcall.bench.sample_voice import STEP_S, Babble, babble
from avcall.common.errors import InputError, OutputError
from avcall.common.frames import SAMPLE_RATE
from avcall.common.keypoints import Image

SIDE = 512
FPS = 25
PORTRAIT = Path(__file__).parent / "assets" / "portrait.jpg"
_CROP = (63, 0, 320)
"""Left, top and side of the part of the portrait that is shown: head and shoulders."""
_BLINK_S = 0.2
_BLINK_EVERY_S = 2.9


def write_sample(path: Path, seconds: float) -> None:
    """Writes the sample as mp4 (H.264 and AAC).

    Raises:
        OutputError: the file cannot be written.
    """
    voice = babble(seconds)
    try:
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
            video: Any = out.add_stream("libx264", rate=FPS)
            video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
            video.options = {"preset": "veryfast", "crf": "17", "threads": "1"}
            audio: Any = out.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
            audio.bit_rate = 48_000
            step = SAMPLE_RATE // FPS
            for number, image in enumerate(sample_frames(seconds, voice)):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                out.mux(video.encode(frame))
                part = np.ascontiguousarray(voice.samples[number * step : (number + 1) * step])
                if len(part):
                    sound = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
                    sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, number * step, Fraction(1, SAMPLE_RATE)
                    out.mux(audio.encode(sound))
            out.mux(video.encode(None))
            out.mux(audio.encode(None))
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error}): give another place") from error


def sample_frames(seconds: float, voice: Babble) -> Iterator[Image]:
    """The pictures, uint8 (SIDE, SIDE, 3), FPS a second."""
    portrait = TalkingPortrait(_portrait())
    for number in range(round(seconds * FPS)):
        yield portrait.draw(expression_at(number / FPS, voice))


def expression_at(time_s: float, voice: Babble) -> Expression:
    """What the face does at a moment: slow sways, nods with the voice, a blink every few seconds."""
    step = min(int(time_s / STEP_S), len(voice.opening) - 1)
    ease = min(1.0, time_s / 1.0)

    def wave(period_s: float, phase: float) -> float:
        return float(np.sin(2 * np.pi * time_s / period_s + phase)) * ease

    return Expression(
        yaw_deg=9.0 * wave(5.3, 0.0) + 3.0 * wave(2.1, 1.0),
        pitch_deg=3.5 * wave(3.1, 0.5) + 2.5 * ease * float(voice.opening[step]),
        roll_deg=3.0 * wave(4.3, 2.0),
        shift=(0.08 * wave(6.1, 0.3), 0.03 * wave(3.7, 1.2)),
        blink=_blink(time_s),
        opening=float(voice.opening[step]),
        spread=float(voice.spread[step]),
    )


def _blink(time_s: float) -> float:
    """Every few seconds down in a third of the blink and up in the rest of it."""
    count = int(time_s / _BLINK_EVERY_S)
    into = (time_s - count * _BLINK_EVERY_S - 1.3 - 0.4 * ((count * 7) % 3 - 1)) / _BLINK_S
    if not 0.0 <= into <= 1.0:
        return 0.0
    return float(np.interp(into, [0.0, 0.3, 0.55, 1.0], [0.0, 1.0, 1.0, 0.0]))


def _portrait() -> Image:
    """Head and shoulders at SIDE pixels."""
    bgr = cv2.imread(str(PORTRAIT))
    if bgr is None:
        raise InputError(f"the portrait {PORTRAIT.name} is missing from the installation: install avcall again")
    left, top, side = _CROP
    part = cv2.resize(bgr[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_LANCZOS4)
    return np.ascontiguousarray(part[:, :, ::-1], dtype=np.uint8)
