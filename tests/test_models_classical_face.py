"""The motion of the mesh: what is exact, what follows, and what nonsense cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoints import (
    CHIN,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MESH_INDICES,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    UPPER_LIP,
    Keypoints,
)
from avcall.models.classical_face import build_face, carry, move_face
from avcall.models.classical_shapes import Array, frontal
from tests.classical_portrait import portrait_face, portrait_keypoints, portrait_landmarks


def turned(yaw: float, pitch: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> Array:
    """The portrait's mesh after a true rigid motion (468, 3)."""
    mesh = portrait_face().mesh.astype(np.float64)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    centre = mesh.mean(axis=0)
    return np.asarray(scale * (mesh - centre) @ (about_x @ about_y).T + centre + np.array([*shift, 0.0]))


def driven(points: Array) -> Keypoints:
    return np.asarray(points[list(MESH_INDICES), :2], dtype=np.float32)


def gap(points: Array, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a, :2] - points[b, :2]))


def test_own_keypoints_leave_the_mesh_alone() -> None:
    face = portrait_face()
    motion = move_face(face, portrait_keypoints())
    assert np.abs(motion.moved[:, :2] - face.mesh[:, :2]).max() < 1e-5
    assert np.abs(motion.pose).max() < 1e-6


def test_the_mesh_bends_to_the_senders_keypoints() -> None:
    noise = np.random.default_rng(0).normal(0, 0.005, (10, 2)).astype(np.float32)
    face = build_face(portrait_landmarks(), portrait_keypoints() + noise)
    assert np.abs(driven(face.mesh) - portrait_keypoints() - noise).max() < 1e-6


@pytest.mark.parametrize(("yaw", "pitch"), [(0.25, 0.0), (-0.25, 0.1), (0.0, 0.15)])
def test_a_turned_head_is_recognised_from_ten_points(yaw: float, pitch: float) -> None:
    truth = turned(yaw, pitch, 1.05, (0.05, -0.03))
    still = np.linalg.norm(truth[:, :2] - portrait_face().mesh[:, :2], axis=1).mean()
    motion = move_face(portrait_face(), driven(truth))
    error = np.linalg.norm(motion.moved[:, :2] - truth[:, :2], axis=1).mean()
    assert error < 0.2 * still
    assert np.abs(motion.pose[:2] - np.array([pitch, yaw])).max() < 0.1


def test_driven_points_are_met_exactly() -> None:
    keypoints = portrait_keypoints()
    keypoints[[MOUTH_LEFT, MOUTH_RIGHT], 0] += np.array([-0.02, 0.02], np.float32)
    keypoints[CHIN, 1] += 0.05
    keypoints[LOWER_LIP, 1] += 0.05
    assert np.abs(driven(move_face(portrait_face(), keypoints).moved) - keypoints).max() < 1e-5


def test_a_lid_half_way_down_shuts_the_eye() -> None:
    mesh = portrait_face().mesh
    keypoints = portrait_keypoints()
    for point, lower in ((LID_LEFT, 145), (LID_RIGHT, 374)):
        keypoints[point] += 0.5 * (mesh[lower, :2] - keypoints[point])
    moved = move_face(portrait_face(), keypoints).moved
    for upper, lower in ((159, 145), (386, 374), (160, 144), (385, 380)):
        assert gap(moved, upper, lower) < 0.25 * gap(mesh, upper, lower)
    assert gap(moved, 1, 152) == pytest.approx(gap(mesh, 1, 152), rel=0.02)


def test_a_slightly_lowered_lid_stays_open() -> None:
    mesh = portrait_face().mesh
    keypoints = portrait_keypoints()
    for point, lower in ((LID_LEFT, 145), (LID_RIGHT, 374)):
        keypoints[point] += 0.08 * (mesh[lower, :2] - keypoints[point])
    moved = move_face(portrait_face(), keypoints).moved
    assert gap(moved, 159, 145) > 0.85 * gap(mesh, 159, 145)


def test_a_closing_mouth_closes_along_its_width() -> None:
    keypoints = portrait_keypoints()
    keypoints[[UPPER_LIP, LOWER_LIP]] = keypoints[[UPPER_LIP, LOWER_LIP]].mean(axis=0)
    mesh, moved = portrait_face().mesh, move_face(portrait_face(), keypoints).moved
    for upper, lower in ((13, 14), (81, 178), (311, 402)):
        assert gap(moved, upper, lower) < 0.2 * gap(mesh, upper, lower)


def test_an_opening_mouth_takes_the_lower_lip_not_the_nose() -> None:
    keypoints = portrait_keypoints()
    keypoints[LOWER_LIP, 1] += 0.1
    keypoints[CHIN, 1] += 0.1
    moved = move_face(portrait_face(), keypoints).moved - portrait_face().mesh
    assert moved[17, 1] > 0.05
    assert moved[[178, 402], 1].min() > 0.04
    assert np.abs(moved[[1, 33, 263, 10], 1]).max() < 0.02


def test_nonsense_stays_near_a_face() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        keypoints = portrait_keypoints() + rng.normal(0, 0.5, (10, 2)).astype(np.float32)
        motion = move_face(portrait_face(), keypoints)
        away = np.linalg.norm(motion.moved[:, :2] - motion.posed[:, :2], axis=1)
        assert np.isfinite(motion.moved).all()
        assert away.max() < 3.0 * portrait_face().unit


def test_other_points_are_carried_with_the_skull() -> None:
    motion = move_face(portrait_face(), driven(turned(0.2)))
    mesh = portrait_face().mesh.astype(np.float64)
    assert np.allclose(carry(portrait_face(), motion, mesh), motion.posed)


def test_frontal_view_has_level_eyes_a_unit_apart() -> None:
    face = frontal(turned(0.3, 0.1))
    assert np.allclose(face[263] - face[33], [1.0, 0.0, 0.0], atol=1e-6)
    assert face[152, 1] > face[1, 1] > face[10, 1]
    assert face[1, 2] < face[234, 2]
