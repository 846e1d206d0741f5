"""The spline for pivots without a face mesh."""

from __future__ import annotations

import numpy as np
import torch

from avcall.models.classical_tps import spline_displacement
from avcall.models.classical_warp import base_grid

KNOTS = np.random.default_rng(2).uniform(-0.4, 0.4, (10, 2)).astype(np.float32)
GRID = base_grid(65, torch.device("cpu"))


def test_still_points_move_nothing() -> None:
    assert spline_displacement(KNOTS, KNOTS, GRID).abs().max() < 1e-5


def test_a_shift_is_followed_inside_and_fades_to_the_border() -> None:
    shift = np.array([0.1, -0.05], np.float32)
    field = spline_displacement(KNOTS, KNOTS + shift, GRID)
    at = torch.from_numpy(KNOTS + shift)[None, :, None]
    there = torch.nn.functional.grid_sample(field.permute(2, 0, 1)[None], at, align_corners=True)[0, :, :, 0].T
    assert torch.allclose(there, torch.from_numpy(-shift).expand(10, 2), atol=0.03)
    for edge in (field[0], field[-1], field[:, 0], field[:, -1]):
        assert edge.abs().max() == 0.0


def test_coinciding_points_do_not_tear_it() -> None:
    field = spline_displacement(KNOTS, np.zeros((10, 2), np.float32), GRID)
    assert torch.isfinite(field).all()
