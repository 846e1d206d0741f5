"""`avcall bench detector`: does a learned detector find steadier keypoints than the face mesh, and in what time?

Jitter is the size of a point's second difference where it hardly moves: over four frames, the mean of both ends' three
frames apart less than STILL_PX. It is measured before the sender's filter. Times are medians of the process's CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcall.bench.provenance import provenance
from avcall.common.errors import InputError
from avcall.common.keypoints import Image, Landmarks
from avcall.models.checkpoint import read_weights
from avcall.models.face_mesh import FaceMesh
from avcall.models.interfaces import KeypointDetector, ModelId
from avcall.models.reenactment.detector import NetworkDetector
from avcall.models.reenactment.reenactor import PointDetector
from avcall.models.training.clips import read_frames

FPS = 25.0
STILL_PX = 1.0
PIXELS = 127.5
"""Pixels of a picture of 256 in a keypoint unit, nearly."""
BUDGET_MS = 20.0
MESH = "mesh points"


def measure_detectors(
    clips: list[Path], files: tuple[Path, ...], seconds: float, report: Callable[[str], None]
) -> dict[str, Any]:
    """{"version", "commit", "machine", "clips", "still_px", "mesh_ms", "rows": [...]}, a row for the mesh's own points
    and for each file of a detector's weights, over the first `seconds` of each clip.

    Raises:
        InputError: no clip with a face for a second. CheckpointError: damaged weights.
    """
    detectors: dict[str, KeypointDetector] = {MESH: PointDetector(ModelId("mesh", "-"))}
    for path in files:
        weights = read_weights(path)
        detectors[weights.name] = NetworkDetector(weights, ModelId(weights.name, weights.short_hash))
    found: dict[str, list[_Found]] = {name: [] for name in detectors}
    mesh_ms: list[float] = []
    names: list[str] = []
    for path in clips:
        frames, meshes, took = _faces(path, seconds)
        if len(frames) < FPS:
            report(f"{path.stem}: less than a second with a face, left out")
            continue
        mesh_ms += took
        for name, detector in detectors.items():
            found[name].append(_find(detector, frames, meshes))
        names.append(path.stem)
        report(path.stem)
    if not found[MESH]:
        raise InputError("--clips: no clip shows a face for a second")
    mesh_time = float(np.median(mesh_ms))
    rows = [_row(name, own, found[MESH], mesh_time) for name, own in found.items()]
    return {
        **provenance(),
        "clips": names,
        "still_px": STILL_PX,
        "budget_ms": BUDGET_MS,
        "mesh_ms": round(mesh_time, 2),
        "rows": rows,
    }


@dataclass(frozen=True, slots=True)
class _Found:
    """Keypoints (n, 10, 2) of one clip, and what each frame took beyond the mesh, in ms."""

    points: NDArray[np.float32]
    took_ms: list[float]


def still(points: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """(n - 4, 10): where the points (n, 10, 2) of a mesh hardly move from two frames before to two frames after."""
    mean = (points[:-2] + points[1:-1] + points[2:]) / 3.0
    return np.asarray(np.linalg.norm(mean[2:] - mean[:-2], axis=-1) * PIXELS < STILL_PX)


def jitter_px(points: NDArray[np.floating[Any]], where: NDArray[np.bool_]) -> float:
    """Mean size of the second difference of points (n, 10, 2), where `still` says."""
    bend = np.linalg.norm(points[:-2] - 2.0 * points[1:-1] + points[2:], axis=-1)[1:-1] * PIXELS
    return float(bend[where].mean()) if where.any() else float("nan")


def _row(name: str, own: list[_Found], mesh: list[_Found], mesh_ms: float) -> dict[str, Any]:
    jitter = [jitter_px(mine.points, still(true.points)) for mine, true in zip(own, mesh, strict=True)]
    distance = [
        float(np.linalg.norm(mine.points - true.points, axis=-1).mean()) * PIXELS
        for mine, true in zip(own, mesh, strict=True)
    ]
    took = float(np.median([each for clip in own for each in clip.took_ms]))
    return {
        "detector": name,
        "jitter_px": round(float(np.nanmean(jitter)), 3),
        "distance_to_mesh_px": round(float(np.mean(distance)), 3),
        "beyond_mesh_ms": round(took, 2),
        "detect_path_ms": round(took + mesh_ms, 2),
    }


def _faces(path: Path, seconds: float) -> tuple[list[Image], list[Landmarks], list[float]]:
    """The frames with a face, their meshes, and the time of each mesh in ms."""
    mesh = FaceMesh(video=True)
    frames, meshes, took = [], [], []
    for image in read_frames(path, FPS)[: round(seconds * FPS)]:
        start = time.process_time()
        landmarks = mesh.find(image)
        took.append((time.process_time() - start) * 1000.0)
        if landmarks is not None:
            frames.append(image)
            meshes.append(landmarks)
    mesh.close()
    return frames, meshes, took


def _find(detector: KeypointDetector, frames: list[Image], meshes: list[Landmarks]) -> _Found:
    points, took = [], []
    for image, landmarks in zip(frames, meshes, strict=True):
        start = time.process_time()
        points.append(detector.detect(image, landmarks))
        took.append((time.process_time() - start) * 1000.0)
    return _Found(np.stack(points), took)
