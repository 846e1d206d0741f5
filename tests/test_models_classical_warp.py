"""Triangles to displacements, displacements to pictures."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.models.classical_warp import (
    Drawing,
    Window,
    base_grid,
    enlarge,
    mesh_displacement,
    mesh_displacements,
    sample,
)

SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
TWO = np.array([[0, 1, 2], [0, 2, 3]])


def test_a_shifted_square_points_back_to_where_it_was() -> None:
    field, covered = mesh_displacement(SQUARE + np.array([0.25, 0.0]), SQUARE, TWO, 33)
    assert field.shape == (33, 33, 2)
    assert np.allclose(field[covered], [-0.25, 0.0], atol=1e-5)
    assert np.abs(field[~covered]).max() == 0.0
    assert covered.sum() == 17 * 17


def test_an_affine_motion_is_exact() -> None:
    matrix = np.array([[1.2, 0.1], [-0.2, 0.9]])
    field, covered = mesh_displacement(SQUARE @ matrix.T, SQUARE, TWO, 65)
    where = base_grid(65)
    expected = where @ np.linalg.inv(matrix).T - where
    assert np.allclose(field[covered], expected[covered], atol=1e-4)


def test_a_window_is_a_part_of_the_whole() -> None:
    target = SQUARE * 0.8 + 0.1
    whole, covered = mesh_displacement(target, SQUARE, TWO, 40)
    window = Window(top=5, left=12, height=20, width=9)
    part, part_covered = mesh_displacement(target, SQUARE, TWO, 40, window)
    assert np.allclose(part, whole[window.slices], atol=1e-6)
    assert np.array_equal(part_covered, covered[window.slices])


def test_the_later_triangle_covers_the_earlier() -> None:
    corners = np.concatenate([SQUARE, SQUARE])
    source = np.concatenate([SQUARE + 0.1, SQUARE - 0.1])
    for order, expected in (([0, 1], -0.1), ([1, 0], 0.1)):
        triangles = np.concatenate([TWO + 4 * i for i in order])
        field, covered = mesh_displacement(corners, source, triangles, 17)
        assert np.allclose(field[covered], expected, atol=1e-6)


def test_collapsed_and_outside_triangles_draw_nothing() -> None:
    flat = np.array([[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0], [5.0, 5.0], [6.0, 5.0], [5.0, 6.0]])
    field, covered = mesh_displacement(flat, flat + 0.3, np.array([[0, 1, 2], [3, 4, 5]]), 16)
    assert not covered.any()
    assert np.abs(field).max() == 0.0


@pytest.mark.parametrize("side", [32, 50])
def test_enlarging_keeps_a_linear_field(side: int) -> None:
    field = base_grid(16) * 0.1
    assert np.allclose(enlarge(field, side), base_grid(side) * 0.1, atol=1e-6)


def test_sampling_in_place_gives_the_picture_back() -> None:
    picture = np.random.default_rng(0).uniform(0.0, 255.0, (24, 24, 3)).astype(np.float32)
    assert np.allclose(sample(picture, base_grid(24)), picture, atol=0.05)


def test_several_drawings_at_once_are_each_of_them_alone() -> None:
    target = SQUARE * 0.8 + 0.1
    drawings = [
        Drawing(TWO, 40, Window(0, 0, 40, 40)),
        Drawing(TWO[:1], 70, Window(top=5, left=12, height=20, width=9)),
        Drawing(TWO[:0], 70, Window(top=0, left=0, height=3, width=4)),
    ]
    for drawing, (field, covered) in zip(drawings, mesh_displacements(target, SQUARE, drawings), strict=True):
        alone, alone_covered = mesh_displacement(target, SQUARE, drawing.triangles, drawing.side, drawing.window)
        assert np.array_equal(field, alone)
        assert np.array_equal(covered, alone_covered)


def test_each_pixel_shows_the_last_triangle_that_it_lies_in() -> None:
    rng = np.random.default_rng(4)
    target, source = rng.uniform(-1.2, 1.2, (2, 90, 2))
    target[:12, 1] = target[0, 1]  # edges along the rows
    triangles = rng.permutation(90).reshape(30, 3)
    field, covered = mesh_displacement(target, source, triangles, 24)
    places = base_grid(24).astype(np.float64)
    expected, held = np.zeros((24, 24, 2)), np.zeros((24, 24), bool)
    for corners in triangles:
        system = np.concatenate([target[corners].T, np.ones((1, 3))])
        shares = np.concatenate([places, np.ones((24, 24, 1))], axis=-1) @ np.linalg.inv(system).T
        inside = (shares >= 0.0).all(axis=-1)
        expected[inside] = (shares @ source[corners] - places)[inside]
        held |= inside
    # triangles are a thousandth larger than they are, so that no seam shows
    assert np.isclose(field, expected, atol=1e-3).all(axis=-1).mean() > 0.98
    assert covered[held].all()
    assert (covered & ~held).mean() < 0.01
