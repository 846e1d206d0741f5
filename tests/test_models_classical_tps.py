"""The spline for pivots without a face mesh."""

from __future__ import annotations

import cv2
import numpy as np

from avcall.models.classical_tps import spline_displacement
from avcall.models.classical_warp import base_grid, sample

KNOTS = np.random.default_rng(2).uniform(-0.4, 0.4, (10, 2)).astype(np.float32)
GRID = base_grid(65)


def test_still_points_move_nothing() -> None:
    assert np.abs(spline_displacement(KNOTS, KNOTS, GRID)).max() < 1e-5


def test_a_shift_is_followed_inside_and_fades_to_the_border() -> None:
    shift = np.array([0.1, -0.05], np.float32)
    field = spline_displacement(KNOTS, KNOTS + shift, GRID)
    there = sample(field, (KNOTS + shift)[:, None], cv2.INTER_LINEAR)[:, 0]
    assert np.allclose(there, -shift, atol=0.03)
    for edge in (field[0], field[-1], field[:, 0], field[:, -1]):
        assert np.abs(edge).max() == 0.0


def test_coinciding_points_do_not_tear_it() -> None:
    field = spline_displacement(KNOTS, np.zeros((10, 2), np.float32), GRID)
    assert np.isfinite(field).all()
