"""How should the links of a chain of pivots be coded? A picture a second of real clips, by several settings of SVT-AV1.

Each codes with several rate factors; `avcall.bench.pivot_chain_table` compares them where they take the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from avcall.bench.tensors import tensor
from avcall.common.errors import InputError
from avcall.common.keypoints import Image
from avcall.models.lpips import Lpips
from avcall.models.metrics import psnr
from avcall.models.pivot_video import BOOST, PRESET, ChainDecoder, open_chain
from avcall.models.training.clips import read_frames

FPS = 25
LINKS = 8
"""After the key frame; shorter clips have fewer."""
CRFS = (45, 50, 55)
SETTINGS: tuple[tuple[str, int, str], ...] = (
    ("preset 8", 8, ""),
    ("preset 6", 6, ""),
    ("preset 6, variance boost", 6, BOOST),
    ("preset 4", 4, ""),
    ("preset 4, variance boost", 4, BOOST),
)
IN_USE = next(name for name, preset, boost in SETTINGS if (preset, boost) == (PRESET, BOOST))


@dataclass(frozen=True)
class Row:
    """One setting at one rate factor: means over the clips."""

    setting: str
    crf: int
    key_bytes: float
    link_bytes: float
    mean_bytes: float
    """Of all pictures, key frames included."""
    psnr_db: float
    lpips_alex: float
    key_ms: float
    link_ms: float
    """CPU time of coding."""


def measure(clips: Sequence[Path], clock: Callable[[], float] = time.process_time) -> dict[str, Any]:
    """Every setting at every rate factor: {"clips", "rows"}.

    Raises:
        InputError: a clip of less than two seconds, or not square.
    """
    lpips = Lpips("alex")
    chains = [pictures_of(path) for path in clips]
    rows = [
        asdict(_row(name, preset, boost, crf, chains, lpips, clock)) for name, preset, boost in SETTINGS for crf in CRFS
    ]
    return {"clips": [path.stem for path in clips], "in_use": IN_USE, "rows": rows}


def pictures_of(clip: Path) -> list[Image]:
    """A picture a second.

    Raises:
        InputError: fewer than two.
    """
    pictures = read_frames(clip, FPS)[::FPS][: LINKS + 1]
    if len(pictures) < 2:
        raise InputError(f"{clip.name} is shorter than two seconds: give longer clips")
    return pictures


def _row(
    name: str,
    preset: int,
    boost: str,
    crf: int,
    chains: Sequence[Sequence[Image]],
    lpips: Lpips,
    clock: Callable[[], float],
) -> Row:
    keys: list[tuple[int, float]] = []
    links: list[tuple[int, float]] = []
    likeness: list[tuple[float, float]] = []
    for pictures in chains:
        height, width = pictures[0].shape[:2]
        encoder, decoder = open_chain(width, height, crf, preset, boost), ChainDecoder(width, height)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="yuv420p")
            frame.pts = number
            begin = clock()
            data = b"".join(bytes(packet) for packet in encoder.encode(frame))
            (links if number else keys).append((len(data), (clock() - begin) * 1000.0))
            shown = decoder.decode(data)
            with torch.inference_mode():
                likeness.append((psnr(picture, shown), float(lpips(tensor(picture), tensor(shown)))))
    (key_bytes, key_ms), (link_bytes, link_ms) = np.mean(keys, axis=0), np.mean(links, axis=0)
    mean_bytes = float(np.mean([size for size, _ in (*keys, *links)]))
    figures = (key_bytes, link_bytes, mean_bytes, *np.mean(likeness, axis=0), key_ms, link_ms)
    return Row(name, crf, *(round(float(value), 5) for value in figures))
