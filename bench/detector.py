"""`avcall bench detector`: does a detector find steadier keypoints than the face mesh, as exactly, and in what time?

Each detector is measured as it is and carried (models/reenactment/carried_points.py), and so are the mesh's own points.

- jitter: the size of a point's second difference where it hardly moves: over four frames, the mean of both ends' three
  frames apart less than STILL_PX. Before the sender's filter, and behind it.
- error: the distance to the teacher's mean of five shifted views of the same frame (detector_teacher.py), which has no
  lag; all frames, and those that move more than MOVING_PX a frame. Its own noise is in everybody's error.
- shift: how far the mean of a clip's points lies from that of its mesh, mean over points.
- blinks: how deep they are, and how much later, beside the teacher's.
- bytes: of a frame's coded keypoints behind the filter, five frames at a time, a pivot every second.

Times are medians of the process's CPU time.
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
from avcall.common.keypoint_coder import encode
from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, LID_LEFT, LID_RIGHT, MESH_INDICES, Image, Landmarks
from avcall.models.checkpoint import read_weights
from avcall.models.face_mesh import FaceMesh
from avcall.models.interfaces import KeypointDetector, ModelId
from avcall.models.reenactment.carried_points import CarriedPoints
from avcall.models.reenactment.detector import NetworkDetector
from avcall.models.reenactment.reenactor import PointDetector
from avcall.models.training.clips import read_frames
from avcall.models.training.detector_teacher import find_views
from avcall.sender.keypoint_filter import KeypointFilter

FPS = 25.0
STILL_PX = 1.0
PIXELS = 127.5
"""Pixels of a picture of 256 in a keypoint unit, nearly."""
BUDGET_MS = 20.0
MESH = "mesh points"
CARRIED = ", carried"
MOVING_PX = 1.0
BLINK_PX = 1.5
"""How far the lids fall below their median in a blink."""
BLINK_FRAMES = 5
"""Before and after a blink's middle."""
RUN = 5
"""Frames coded together."""


def measure_detectors(
    clips: list[Path], files: tuple[Path, ...], seconds: float, report: Callable[[str], None]
) -> dict[str, Any]:
    """{"version", "commit", "machine", "clips", "still_px", "mesh_ms", "rows": [...]}, a row for the mesh's own points
    and for each file of a detector's weights, over the first `seconds` of each clip.

    Raises:
        InputError: no clip with a face for a second. CheckpointError: damaged weights.
    """
    detectors: dict[str, KeypointDetector] = {MESH: PointDetector(ModelId("mesh", "-"), carry=False)}
    for path in files:
        weights = read_weights(path)
        detectors[weights.name] = NetworkDetector(weights, ModelId(weights.name, weights.short_hash), carry=False)
    found: dict[str, list[_Found]] = {name + end: [] for name in detectors for end in ("", CARRIED)}
    mesh_ms: list[float] = []
    teacher: list[NDArray[np.float32]] = []
    names: list[str] = []
    for path in clips:
        frames, meshes, took = _faces(path, seconds)
        if len(frames) < FPS:
            report(f"{path.stem}: less than a second with a face, left out")
            continue
        mesh_ms += took
        views = find_views(frames, np.stack(meshes))[:, 1:, list(MESH_INDICES)]
        teacher.append(np.asarray(views.mean(1), dtype=np.float32))
        for name, detector in detectors.items():
            alone = _find(detector, frames, meshes)
            found[name].append(alone)
            found[name + CARRIED].append(_carry(alone, frames))
        names.append(path.stem)
        report(path.stem)
    if not found[MESH]:
        raise InputError("--clips: no clip shows a face for a second")
    mesh_time = float(np.median(mesh_ms))
    rows = [_row(name, own, found[MESH], teacher, mesh_time) for name, own in found.items()]
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


def blinks(points: NDArray[np.floating[Any]]) -> list[int]:
    """Frames in the middle of a blink of points (n, 10, 2)."""
    lids = _lids_px(points)
    around = [lids[max(0, i - BLINK_FRAMES) : i + BLINK_FRAMES + 1] for i in range(len(lids))]
    closed = np.flatnonzero(lids < np.median(lids) - BLINK_PX)
    return [i for i in closed if len(around[i]) == 2 * BLINK_FRAMES + 1 and lids[i] == around[i].min()]


def blink_px_and_ms(points: NDArray[np.floating[Any]], middle: int) -> tuple[float, float]:
    """How far the lids fall in a blink, and when: the fall's centre of mass."""
    lids = _lids_px(points)[middle - BLINK_FRAMES : middle + BLINK_FRAMES + 1]
    fall = np.maximum(np.median(_lids_px(points)) - lids, 0.0)
    when = float((fall * np.arange(len(fall))).sum() / max(fall.sum(), 1e-6))
    return float(fall.max()), when * 1000.0 / FPS


def _lids_px(points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(n,): height of the upper lids over the eyes' outer corners."""
    y = points[..., 1].astype(np.float64) * PIXELS
    return np.asarray((y[:, EYE_LEFT] + y[:, EYE_RIGHT] - y[:, LID_LEFT] - y[:, LID_RIGHT]) / 2.0)


def coded_bytes(points: NDArray[np.float32]) -> float:
    """Bytes a frame of points (n, 10, 2) at 25 frames a second."""
    runs = range(0, len(points) - RUN + 1, RUN)
    sizes = [len(encode(list(points[i : i + RUN]), points[i - i % round(FPS)])) for i in runs]
    return float(np.mean(sizes)) / RUN


def _filtered(points: NDArray[np.float32]) -> NDArray[np.float32]:
    one = KeypointFilter()
    return np.stack([one.filter(frame, index * 1000.0 / FPS) for index, frame in enumerate(points)])


def _row(
    name: str, own: list[_Found], mesh: list[_Found], teacher: list[NDArray[np.float32]], mesh_ms: float
) -> dict[str, Any]:
    cells: dict[str, list[float]] = {}
    falls: list[tuple[float, float]] = []
    for mine, true, taught in zip(own, mesh, teacher, strict=True):
        points, filtered, where = mine.points, _filtered(mine.points), still(true.points)
        error = np.linalg.norm(points - taught, axis=-1) * PIXELS
        mean = (taught[:-2] + 2.0 * taught[1:-1] + taught[2:]) / 4.0
        moving = np.linalg.norm(np.diff(mean, axis=0), axis=-1) * PIXELS > MOVING_PX
        for key, value in {
            "jitter_px": jitter_px(points, where),
            "filtered_jitter_px": jitter_px(filtered, where),
            "distance_to_mesh_px": float(np.linalg.norm(points - true.points, axis=-1).mean()) * PIXELS,
            "shift_px": float(np.linalg.norm((points - true.points).mean(0), axis=-1).mean()) * PIXELS,
            "error_px": float(error.mean()),
            "moving_error_px": float(error[1:-2][moving].mean()) if moving.any() else float("nan"),
            "coded_bytes": coded_bytes(filtered),
        }.items():
            cells.setdefault(key, []).append(value)
        for middle in blinks(taught):
            (depth, when), (true_depth, true_when) = (blink_px_and_ms(p, middle) for p in (points, taught))
            falls.append((depth / true_depth, when - true_when))
    took = float(np.median([each for clip in own for each in clip.took_ms]))
    return {
        "detector": name,
        **{key: _mean(values) for key, values in cells.items()},
        "blinks": len(falls),
        "blink_depth": _mean([depth for depth, _ in falls]),
        "blink_lag_ms": _mean([lag for _, lag in falls]),
        "beyond_mesh_ms": round(took, 2),
        "detect_path_ms": round(took + mesh_ms, 2),
    }


def _mean(values: list[float]) -> float | None:
    """Of those clips that have one."""
    known = [value for value in values if np.isfinite(value)]
    return round(float(np.mean(known)), 3) if known else None


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


def _carry(alone: _Found, frames: list[Image]) -> _Found:
    carried, points, took = CarriedPoints(), [], []
    for image, found, already in zip(frames, alone.points, alone.took_ms, strict=True):
        start = time.process_time()
        points.append(carried.steady(image, found))
        took.append(already + (time.process_time() - start) * 1000.0)
    return _Found(np.stack(points), took)
