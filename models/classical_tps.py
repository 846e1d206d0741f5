"""Without a face mesh: a thin-plate spline through the ten points that fades out to a border that stands still."""

from __future__ import annotations

import numpy as np

from avcall.common.keypoints import Keypoints
from avcall.models.classical_shapes import smooth
from avcall.models.classical_warp import Map

_FADE = 1.0
"""How far from the points, in their own radius, the motion has faded to nothing."""
_STIFFNESS = 1e-3


def spline_displacement(pivot: Keypoints, driving: Keypoints, grid: Map) -> Map:
    """Where each position of `grid` (g, g, 2) comes from, minus where it is: (g, g, 2).

    Bookstein's thin-plate spline from the driving points (10, 2) back to the pivot's, slightly stiffened so that
    points which nearly coincide do not tear it.
    """
    knots = driving.astype(np.float64)
    shift = pivot.astype(np.float64) - knots
    count = len(knots)
    square = ((knots[:, None] - knots[None]) ** 2).sum(axis=2)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = square * np.log(square + 1e-9) + _STIFFNESS * np.eye(count)
    system[:count, count] = system[count, :count] = 1.0
    system[:count, count + 1 :] = knots
    system[count + 1 :, :count] = knots.T
    solved = np.linalg.lstsq(system, np.concatenate([shift, np.zeros((3, 2))]), rcond=None)[0]
    weights = solved.astype(np.float32)
    distance = ((grid[:, :, None] - driving) ** 2).sum(axis=-1)
    bend = distance * np.log(distance + np.float32(1e-9))
    field = bend @ weights[:count] + weights[count] + grid @ weights[count + 1 :]
    centre = driving.mean(axis=0)
    radius = float(np.linalg.norm(driving - centre, axis=1).max()) + 1e-6
    away = (np.linalg.norm(grid - centre, axis=-1) / radius - 1.0) / _FADE
    edge = (1.0 - np.abs(grid).max(axis=-1)) / 0.15
    keep = (1.0 - away).clip(0.0, 1.0) * edge.clip(0.0, 1.0)
    return np.asarray(field * smooth(keep)[..., None], dtype=np.float32)
