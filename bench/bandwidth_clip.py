"""One clip of the benchmark: its frames on the display clock, and its judge."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from avcall.bench.bandwidth_config import FPS, QUICK_EVERY, deep_every
from avcall.bench.evaluate_clip import Networks, Original, find_meshes
from avcall.bench.tensors import tensor
from avcall.common.errors import InputError
from avcall.common.keypoints import Image, Landmarks
from avcall.models.training.clips import face_crops, read_frames

MEASURES = (
    *("lpips_alex", "dists", "psnr", "ssim", "lip_lmd_px", "lmd_px", "eye_lmd_px", "mouth_correlation", "mouth_lag_ms"),
    *("tlp", "tof_px", "flicker", "flicker_ratio", "freeze_s", "blinks", "blinks_shown", "blink_recall"),
    *("lpips_alex_worst_s", "psnr_worst_s", "ssim_worst_s", "lip_lmd_px_worst_s"),
)
"""Of `evaluate_clip`'s, what is kept."""


class Clip:
    """Its pictures are computed once; what only the judge needs, when it is first asked."""

    def __init__(self, path: Path, size: int, seconds: float, stride: int, networks: Networks) -> None:
        """
        Raises:
            InputError: it cannot be read, is shorter than two seconds, or shows no face.
        """
        self.name = path.stem
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.frames = read_square(path, size, seconds)
        self.meshes: list[Landmarks | None] = find_meshes(self.frames)
        if all(mesh is None for mesh in self.meshes):
            raise InputError(f"{path.name}: no face found")
        self._networks, self._stride = networks, stride
        self._original: Original | None = None
        self.glimpses = list(range(QUICK_EVERY, len(self.frames), QUICK_EVERY))
        with torch.inference_mode():
            self._features = [networks.alex.features(tensor(self.frames[tick])) for tick in self.glimpses]

    @property
    def seconds(self) -> float:
        return len(self.frames) / FPS

    def glance(self, pictures: list[Image]) -> float:
        """Mean LPIPS of the pictures at `glimpses`."""
        alex = self._networks.alex
        with torch.inference_mode():
            pairs = zip(self._features, pictures, strict=True)
            return float(np.mean([float(alex.compare(a, alex.features(tensor(picture)))) for a, picture in pairs]))

    def judge(self, shown: list[Image]) -> dict[str, float | None]:
        """The measures of one shown video; None where there is nothing to measure."""
        if self._original is None:
            self._original = Original(
                self.frames, self.meshes, self._networks, self._stride, round(FPS), deep_every(self._stride)
            )
        measured: dict[str, Any] = self._original.judge(shown)
        return {name: _finite(measured[name]) for name in MEASURES if name in measured}


def read_square(path: Path, size: int, seconds: float) -> list[Image]:
    """The frames at 25 a second, square: where the video is not, a fixed crop around its face.

    Raises:
        InputError: see `Clip`.
    """
    frames = read_frames(path, FPS)
    height, width = frames[0].shape[:2]
    if height != width:
        crops = face_crops(frames, FPS)
        if not crops:
            raise InputError(f"{path.name}: {width}x{height}, and no face stays in one square of it for two seconds")
        crop = max(crops, key=lambda one: one.end - one.start)
        frames = [crop.cut(frame, size) for frame in frames[crop.start : crop.end]]
    frames = frames[: round(seconds * FPS)] if seconds else frames
    if len(frames) < 2 * FPS:
        raise InputError(f"{path.name}: shorter than two seconds")
    if frames[0].shape[0] == size:
        return frames
    how = cv2.INTER_AREA if frames[0].shape[0] > size else cv2.INTER_CUBIC
    return [np.asarray(cv2.resize(frame, (size, size), interpolation=how), np.uint8) for frame in frames]


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
