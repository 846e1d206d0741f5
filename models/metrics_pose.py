"""How the head turns, from the face mesh alone: for videos of two different people, where pixels cannot be compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avcall.models.metrics import Series

RIGID = (10, 151, 9, 8, 168, 6, 197, 195, 5, 33, 133, 263, 362, 127, 356, 234, 454, 109, 338)
"""Points that neither speech nor blinks move much: forehead, bridge of the nose, eye corners, temples."""


def head_rotations(mesh: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rotations (T, 3, 3) that turn the first frame's head to each frame's (Kabsch 1976, on RIGID points about their
    mean). `mesh` is float32 (T, 468, 3) as in `metrics_face`; NaN where a frame, or the first, has no face."""
    points = mesh[:, list(RIGID)].astype(np.float64)
    points -= points.mean(axis=1, keepdims=True)
    there = ~np.isnan(points[:, 0, 0])
    rotations = np.full((len(mesh), 3, 3), np.nan)
    if there[0]:
        u, _, vt = np.linalg.svd(np.swapaxes(points[there], 1, 2) @ points[0])
        u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]  # a turn, never a mirror image
        rotations[there] = u @ vt
    return rotations


def rotation_difference_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> Series:
    """Angle in degrees between two heads' turns since their first frames, for each frame of two `head_rotations`."""
    cosine = (np.trace(np.swapaxes(a, 1, 2) @ b, axis1=1, axis2=2) - 1) / 2
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
