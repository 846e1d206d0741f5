"""Turns of a drawn head come back in degrees."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avcall.models.metrics_pose import head_rotations, rotation_difference_deg


def yaw(degrees: float) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def test_turns_moves_and_sizes() -> None:
    head = np.random.default_rng(0).normal(size=(468, 3))
    turned = head @ yaw(20).T * 1.3 + [0.2, -0.1, 0]  # nearer and elsewhere: not a turn
    mesh = np.stack([head, turned, np.full((468, 3), np.nan)]).astype(np.float32)
    rotations = head_rotations(mesh)
    assert rotations[0] == pytest.approx(np.eye(3), abs=1e-6)
    assert rotations[1] == pytest.approx(yaw(20), abs=1e-5)
    still = np.stack([np.eye(3)] * 3)
    difference = rotation_difference_deg(still, rotations)
    assert difference[:2].tolist() == pytest.approx([0, 20], abs=0.02)
    assert np.isnan(difference[2])


def test_a_mirrored_head_is_no_turn() -> None:
    head = np.random.default_rng(1).normal(size=(468, 3))
    mirrored = head * [-1, 1, 1]
    rotations = head_rotations(np.stack([head, mirrored]).astype(np.float32))
    assert np.linalg.det(rotations[1]) == pytest.approx(1)
