"""The sheet of triangles around and across the face."""

from __future__ import annotations

import numpy as np

from avcall.models.classical_face import move_face
from avcall.models.classical_sheet import back_to_front, sheet_triangles, sheet_vertices
from avcall.models.face_mesh import POINTS, mesh_triangles
from tests.classical_portrait import portrait_face, portrait_keypoints


def test_still_keypoints_leave_the_sheet_still() -> None:
    target, source = sheet_vertices(portrait_face(), move_face(portrait_face(), portrait_keypoints()))
    assert target.shape == (len(source), 3)
    assert np.abs(target[:, :2] - source).max() < 1e-5
    assert sheet_triangles().max() < len(source)


def test_the_outer_ring_never_moves_and_the_inner_one_follows() -> None:
    driving = portrait_keypoints() + np.array([0.1, 0.05], np.float32)
    target, source = sheet_vertices(portrait_face(), move_face(portrait_face(), driving))
    rings = (target[:, :2] - source)[POINTS : POINTS + 4 * 36].reshape(4, 36, 2)
    assert np.abs(rings[3]).max() < 1e-6
    assert np.allclose(rings[0], [0.1, 0.05], atol=0.02)
    travel = np.linalg.norm(rings, axis=2).mean(axis=1)
    assert np.all(np.diff(travel) < 0.0)


def test_the_face_is_drawn_over_its_surroundings() -> None:
    target, _ = sheet_vertices(portrait_face(), move_face(portrait_face(), portrait_keypoints()))
    order = back_to_front(target)
    assert sorted(order) == list(range(len(sheet_triangles())))
    outside = (sheet_triangles()[order] >= POINTS).any(axis=1) & (target[sheet_triangles()[order], 2].max(axis=1) > 5.0)
    assert outside[: outside.sum()].all()


def test_the_mesh_is_one_skin_with_holes_for_eyes_and_mouth() -> None:
    triangles = mesh_triangles()
    assert triangles.shape == (852, 3)
    assert set(triangles.ravel()) == set(range(POINTS))
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]]), axis=1)
    _, used = np.unique(sides, axis=0, return_counts=True)
    assert used.max() == 2
    assert (used == 1).sum() == 36 + 16 + 16 + 20
