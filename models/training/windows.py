"""Short runs of consecutive frames, to learn and to judge interpolation: true pictures stand between two others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.errors import InputError
from avcall.common.keypoints import Image
from avcall.models.interpolation.flow import coarse_flows, flow_estimator
from avcall.models.training.clips import Clip, read_frames
from avcall.models.training.prepare import FPS, VIDEO_SUFFIXES

LENGTH = 5
"""Frames of a window: gaps of two to four frames fit in."""
SIDE = 256
CANDIDATES = 3
"""Of so many windows the one with the most motion is kept."""
DOUBLED = 0.25
"""A step of less than this share of its window's median step shows a frame twice: the source had fewer frames."""
_GAPS, _GAP_SHARES = (2, 3, 4), (0.45, 0.35, 0.2)


@dataclass(frozen=True, slots=True)
class Triplets:
    """A batch: pictures uint8 (N, S, S, 3) and where in time `middle` stands, float32 (N,) in (0, 1)."""

    before: Tensor
    middle: Tensor
    after: Tensor
    time: Tensor
    flows: Tensor
    """The network's first guess, see `coarse_flows`."""


def read_windows(folder: Path, split: str, count: int, seed: int) -> NDArray[np.uint8]:
    """About `count` windows (n, LENGTH, SIDE, SIDE, 3) spread over the clips of one split, long clips giving more.

    `folder` is a pack of `avcall prepare`, or has the split's videos in a folder of its name; those are read at 25
    frames a second and cut to their centre square.

    Raises:
        InputError: neither, or no clip of LENGTH frames.
    """
    generator = np.random.default_rng([seed, len(split)])
    lengths = _lengths(folder, split)
    weights = np.sqrt(np.array(lengths, dtype=np.float64))
    shares = np.maximum(1, np.round(count * weights / weights.sum())).astype(int)
    windows = []
    for frames, share in zip(_clips(folder, split), shares, strict=True):
        windows += _choose(frames, int(share), generator)
    if not windows:
        raise InputError(f"--data {folder}: no {split} clip has {LENGTH} frames that move")
    return np.stack(windows)


def centre_squares(frames: list[Image]) -> list[Image]:
    """The middle square of each frame, at SIDE."""
    height, width = frames[0].shape[:2]
    side = min(height, width)
    square = Clip(0, len(frames), (width - side) // 2, (height - side) // 2, side)
    return [square.cut(frame, SIDE) for frame in frames]


def draw_triplets(
    windows: NDArray[np.uint8], generator: np.random.Generator, count: int, side: int, scale: int
) -> Triplets:
    """A batch of crops of `side` pixels: any gap of two to four frames, any frame in between, mirrored and reversed in
    time by chance. It follows from the generator alone. The flows are reduced by `scale`."""
    rows = [_draw_one(windows, generator, side) for _ in range(count)]
    before, middle, after, time = zip(*rows, strict=True)
    pictures = [torch.from_numpy(np.stack(images)) for images in (before, middle, after)]
    estimator = flow_estimator()
    flows = [coarse_flows(estimator, *pair, scale) for pair in zip(before, after, strict=True)]
    times = torch.tensor(time, dtype=torch.float32)
    return Triplets(pictures[0], pictures[1], pictures[2], times, torch.from_numpy(np.stack(flows)))


def _draw_one(
    windows: NDArray[np.uint8], generator: np.random.Generator, side: int
) -> tuple[Image, Image, Image, float]:
    window = windows[generator.integers(len(windows))]
    gap = int(generator.choice(_GAPS, p=_GAP_SHARES))
    start, step = int(generator.integers(LENGTH - gap)), int(generator.integers(1, gap))
    top, left = generator.integers(0, window.shape[1] - side + 1, 2)
    cut = window[:, top : top + side, left : left + side]
    before, middle, after, time = cut[start], cut[start + step], cut[start + gap], step / gap
    if generator.random() < 0.5:
        before, middle, after = before[:, ::-1], middle[:, ::-1], after[:, ::-1]
    if generator.random() < 0.5:
        before, after, time = after, before, 1.0 - time
    return before, middle, after, time


def _choose(frames: Sequence[Image], count: int, generator: np.random.Generator) -> list[NDArray[np.uint8]]:
    last = len(frames) - LENGTH
    if last < 0:
        return []
    chosen = []
    for _ in range(count):
        starts = generator.integers(0, last + 1, CANDIDATES)
        candidates = [np.stack([frames[start + i] for i in range(LENGTH)]) for start in starts]
        steps = [_steps(window) for window in candidates]
        moving = [float(s.sum()) if s.min() > DOUBLED * np.median(s) else 0.0 for s in steps]
        best = int(np.argmax(moving))
        if moving[best] > 0.0:
            chosen.append(candidates[best])
    return chosen


def _steps(window: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean |difference| between neighbours, in levels of 255."""
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in window]
    return np.array([float(cv2.absdiff(a, b).mean()) for a, b in itertools.pairwise(gray)])


def _sources(folder: Path, split: str) -> tuple[bool, list[Path]]:
    """Whether it is a pack, and the split's clip folders or videos."""
    manifest = folder / "manifest.json"
    if manifest.is_file():
        clips = json.loads(manifest.read_text())["clips"]
        return True, [folder / split / clip["name"] for clip in clips if clip["split"] == split]
    videos = sorted(path for path in (folder / split).glob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise InputError(f"--data {folder}: neither a training pack nor a folder with videos in {split}/")
    return False, videos


def _lengths(folder: Path, split: str) -> list[int]:
    """Of the clips, in whatever unit: frames, or bytes of video."""
    pack, paths = _sources(folder, split)
    return [len(np.load(path / "frames.npy", mmap_mode="r")) if pack else path.stat().st_size for path in paths]


def _clips(folder: Path, split: str) -> Iterator[Sequence[Image]]:
    pack, paths = _sources(folder, split)
    for path in paths:
        if pack:
            yield np.load(path / "frames.npy", mmap_mode="r")  # type: ignore[misc]
            continue
        yield centre_squares(read_frames(path, FPS))
