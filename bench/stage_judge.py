"""Judges videos that differ in one stage: the few measures that tell stages apart, on a few frames of many clips."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from avcall.bench.evaluate_clip import Networks
from avcall.bench.evaluate_config import FPS
from avcall.bench.tensors import tensor
from avcall.common.errors import InputError
from avcall.common.keypoints import Image
from avcall.models import metrics
from avcall.models.face_mesh import FaceMesh
from avcall.models.identity import embedding_distance
from avcall.models.training.clips import read_frames


class StageJudge:
    """Compares shown videos with one original, frame by frame in step."""

    def __init__(self, original: list[Image], networks: Networks, every: int, deep: int = 2) -> None:
        """LPIPS, PSNR and tOF look at every `every`-th frame (best not a divisor of the frames of a pivot, so that it
        is seen at many ages); DISTS and identity at every `deep`-th of those."""
        self._original, self._networks = original, networks
        self._mesh = FaceMesh(video=False)
        self._looks = range(every // 2, len(original), every)
        self._deep = self._looks[::deep]
        self._flicker = metrics.flicker(original)
        with torch.inference_mode():
            self._alex = {index: networks.alex.features(tensor(original[index])) for index in self._looks}
            self._dists = {index: networks.dists.features(tensor(original[index])) for index in self._deep}
        self._faces = {index: self._embed(original[index]) for index in self._deep}
        self._flows = {index: metrics.optical_flow(original[index - 1], original[index]) for index in self._looks}

    @torch.inference_mode()
    def judge(self, shown: list[Image]) -> dict[str, float]:
        """Means over the frames looked at: lpips_alex, dists, psnr, tof_px, aed (NaN without a face), and over all
        frames flicker and its ratio to the original's."""
        alex, dists = self._networks.alex, self._networks.dists
        lpips = [float(alex.compare(self._alex[i], alex.features(tensor(shown[i])))) for i in self._looks]
        deep = [float(dists.compare(self._dists[i], dists.features(tensor(shown[i])))) for i in self._deep]
        flows = [
            metrics.flow_difference_px(self._flows[i], metrics.optical_flow(shown[i - 1], shown[i]))
            for i in self._looks
        ]
        faces = [(self._faces[i], self._embed(shown[i])) for i in self._deep]
        aed = [embedding_distance(a, b) for a, b in faces if a is not None and b is not None]
        flicker = metrics.flicker(shown)
        return {
            "lpips_alex": float(np.mean(lpips)),
            "dists": float(np.mean(deep)),
            "psnr": float(np.mean([metrics.psnr(self._original[i], shown[i]) for i in self._looks])),
            "tof_px": float(np.mean(flows)),
            "aed": float(np.mean(aed)) if aed else float("nan"),
            "flicker": flicker,
            "flicker_ratio": flicker / self._flicker if self._flicker else float("nan"),
        }

    def _embed(self, image: Image) -> NDArray[np.float64] | None:
        if self._networks.identity is None:
            return None
        landmarks = self._mesh.find(image)
        return None if landmarks is None else np.asarray(self._networks.identity.embed(image, landmarks))


def read_square(path: Path, side: int, seconds: float) -> list[Image]:
    """The first seconds of a square clip at `side` pixels.

    Raises:
        InputError: not square, or shorter than a second.
    """
    frames = read_frames(path, FPS)[: round(seconds * FPS)]
    height, width = frames[0].shape[:2]
    if height != width:
        raise InputError(f"{path.name}: {width}x{height} is not square; 'avcall prepare' cuts square clips")
    if len(frames) < FPS:
        raise InputError(f"{path.name}: shorter than a second")
    if width == side:
        return frames
    how = cv2.INTER_AREA if width > side else cv2.INTER_CUBIC
    return [np.asarray(cv2.resize(frame, (side, side), interpolation=how), np.uint8) for frame in frames]


def mean_over_clips(clips: list[dict[str, float]]) -> dict[str, float | None]:
    """The mean of each measure over the clips that have it; None where none has."""
    means: dict[str, float | None] = {}
    for name in clips[0]:
        values = [clip[name] for clip in clips if not np.isnan(clip[name])]
        means[name] = round(float(np.mean(values)), 5) if values else None
    return means
