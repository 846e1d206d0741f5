"""Without a face mesh: a thin-plate spline through the ten points that fades out to a border that stands still."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avcall.common.keypoints import Keypoints

_FADE = 1.0
"""How far from the points, in their own radius, the motion has faded to nothing."""
_STIFFNESS = 1e-3


def spline_displacement(pivot: Keypoints, driving: Keypoints, grid: Tensor) -> Tensor:
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
    weights = torch.from_numpy(solved.astype(np.float32)).to(grid.device)
    at = torch.from_numpy(driving).to(grid.device)
    distance = ((grid[:, :, None] - at) ** 2).sum(dim=-1)
    bend = distance * torch.log(distance + 1e-9)
    field = bend @ weights[:count] + weights[count] + grid @ weights[count + 1 :]
    centre = at.mean(dim=0)
    radius = float((at - centre).norm(dim=1).max()) + 1e-6
    away = ((grid - centre).norm(dim=-1) / radius - 1.0) / _FADE
    edge = (1.0 - grid.abs().amax(dim=-1)) / 0.15
    keep = (1.0 - away).clamp(0.0, 1.0) * edge.clamp(0.0, 1.0)
    smooth: Tensor = keep * keep * (3.0 - 2.0 * keep)
    return field * smooth[..., None]
