"""What follows a lip, a lid, the jaw."""

from __future__ import annotations

import numpy as np

from avcall.models.classical_shapes import (
    BROAD,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LIDS,
    broad_weights,
    frontal,
    held_depth,
    jaw_shape,
    lid_weights,
    lip_weights,
)
from tests.classical_portrait import portrait_landmarks

MESH = portrait_landmarks().astype(np.float64)
FACE = frontal(MESH)


def test_broad_weights_interpolate_their_points() -> None:
    weights = broad_weights(FACE)
    assert weights.shape == (468, len(BROAD))
    assert np.allclose(weights[[33, 263, 1, 61, 291, 152]], np.eye(6), atol=1e-8)


def test_lips_move_apart_from_each_other_and_not_at_the_corners() -> None:
    weights = lip_weights(FACE)
    assert np.allclose(weights[[13, 14]], np.eye(2))
    assert np.all(weights[list(INNER_UPPER_LIP), 1] == 0.0)
    assert np.all(weights[list(INNER_LOWER_LIP), 0] == 0.0)
    assert weights[[61, 291]].max() == 0.0
    assert weights[[33, 263, 10]].max() == 0.0


def test_a_lid_moves_as_an_arc_and_leaves_lower_lid_and_other_eye() -> None:
    weights = lid_weights(FACE)
    for eye, (upper, lower) in enumerate(LIDS):
        arc = weights[list(upper), eye]
        assert arc.argmax() in (3, 4, 5)
        assert arc[[0, -1]].max() < 0.05
        assert weights[list(lower), eye].max() < 0.05
        assert weights[list(upper), 1 - eye].max() == 0.0


def test_the_jaw_drops_the_chin_most_and_leaves_the_eyes() -> None:
    drop = jaw_shape(MESH, FACE)[:, 1]
    assert drop[152] > 0.0
    assert drop[14] > 0.4 * drop[152]
    assert np.abs(drop[[33, 263, 1, 13, 10]]).max() == 0.0


def test_sides_stop_going_back_where_they_are_hardly_seen() -> None:
    held = held_depth(MESH, FACE)
    assert held[[234, 454]].max() < MESH[[234, 454], 2].min()
    assert np.array_equal(held[[1, 4, 168]], MESH[[1, 4, 168], 2])
