"""Strips across eyes and mouth, and what is painted there."""

from __future__ import annotations

import numpy as np

from avcall.common.keypoints import LID_LEFT, LID_RIGHT, LOWER_LIP, UPPER_LIP
from avcall.models.classical_face import move_face
from avcall.models.classical_openings import (
    CONTOURS,
    MOUTH,
    back_to_pivot,
    closing,
    depth_inside,
    fill_corners,
    fill_triangles,
    hole_window,
    outline,
    strip_sources,
)
from avcall.models.classical_warp import base_grid
from tests.classical_portrait import portrait_face, portrait_keypoints


def test_strips_close_each_hole_without_gaps() -> None:
    corners, triangles = fill_corners(), np.array(fill_triangles(0))
    points = portrait_face().mesh[corners, :2].astype(np.float64)
    a, b, c = (points[triangles[:, i]] for i in range(3))
    filled = np.abs(np.cross(b - a, c - a)).sum() / 2.0
    whole = 0.0
    for hole in range(len(CONTOURS)):
        x, y = outline(portrait_face().mesh, hole).astype(np.float64).T
        whole += abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2.0
    assert abs(filled - whole) < 0.03 * whole
    assert set(triangles.ravel()) <= set(range(len(corners)))


def test_nothing_is_trimmed_while_nothing_closes() -> None:
    motion = move_face(portrait_face(), portrait_keypoints())
    skin, strips = strip_sources(portrait_face(), motion)
    assert np.allclose(skin, portrait_face().mesh[:, :2], atol=1e-6)
    assert np.allclose(strips, portrait_face().mesh[fill_corners(), :2], atol=1e-6)


def test_closing_lids_and_lips_take_their_rims_from_beside_the_hole() -> None:
    keypoints = portrait_keypoints()
    keypoints[[LID_LEFT, LID_RIGHT]] = portrait_face().mesh[[145, 374], :2]
    keypoints[[UPPER_LIP, LOWER_LIP]] = keypoints[[UPPER_LIP, LOWER_LIP]].mean(axis=0)
    motion = move_face(portrait_face(), keypoints)
    assert closing(portrait_face(), motion, 13, 14) > 0.9
    assert closing(portrait_face(), motion, 159, 145) > 0.9
    skin, _ = strip_sources(portrait_face(), motion)
    own = portrait_face().mesh[:, 1]
    assert skin[14, 1] > own[14]
    assert skin[13, 1] < own[13]
    assert skin[145, 1] > own[145]


def test_depth_is_the_distance_to_the_edge() -> None:
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    where = np.array([[[0.0, 0.0], [0.4, 0.0], [0.7, 0.0], [0.0, -0.9]]], np.float32)
    assert np.allclose(depth_inside(where, square), [[0.5, 0.1, -0.2, -0.4]], atol=1e-6)


def test_a_corner_that_is_told_twice_changes_no_depth() -> None:
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    where = np.random.default_rng(0).uniform(-1.0, 1.0, (9, 9, 2)).astype(np.float32)
    assert np.allclose(depth_inside(where, square), depth_inside(where, np.delete(square, 1, axis=0)), atol=1e-6)


def test_what_is_fixed_to_the_skull_shifts_with_it() -> None:
    shift = np.array([0.08, -0.05], np.float32)
    motion = move_face(portrait_face(), portrait_keypoints() + shift)
    where = base_grid(8)[3:5, 3:5] * 0.3
    for hole in range(len(CONTOURS)):
        back = back_to_pivot(where, motion, portrait_face(), hole)
        assert np.allclose(back, where - shift, atol=0.01)


def test_windows_hold_the_hole_and_end_at_the_border() -> None:
    mesh = portrait_face().mesh
    window = hole_window(mesh, portrait_face(), MOUTH, 256)
    assert window is not None
    x, y = ((outline(mesh, MOUTH) + 1.0) * 127.5).T
    assert window.left < x.min() < x.max() < window.left + window.width
    assert window.top < y.min() < y.max() < window.top + window.height
    assert hole_window(mesh + np.float32(5.0), portrait_face(), MOUTH, 256) is None
    edge = hole_window(mesh + np.array([0.95 - mesh[14, 0], 0.0, 0.0], np.float32), portrait_face(), MOUTH, 256)
    assert edge is not None
    assert edge.left + edge.width <= 256
