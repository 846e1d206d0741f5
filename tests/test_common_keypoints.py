"""The coordinate convention."""

from __future__ import annotations

import numpy as np
import torch

from avcall.common import keypoints


def test_corners_are_pixel_centres() -> None:
    corners = np.array([[0, 0], [255, 0], [0, 127], [127.5, 63.5]])
    expected = [[-1, -1], [1, -1], [-1, 1], [0, 0]]
    np.testing.assert_allclose(keypoints.from_pixels(corners, 256, 128), expected, atol=1e-6)


def test_pixels_round_trip() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (10, 2)).astype(np.float32)
    back = keypoints.from_pixels(keypoints.to_pixels(points, 640, 480), 640, 480)
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_the_convention_is_that_of_grid_sample_with_aligned_corners() -> None:
    picture = torch.arange(12, dtype=torch.float32).reshape(1, 1, 3, 4)
    for y in range(3):
        for x in range(4):
            grid = torch.from_numpy(keypoints.from_pixels(np.array([[[[x, y]]]], dtype=float), 4, 3))
            value = torch.nn.functional.grid_sample(picture, grid, align_corners=True)
            assert abs(float(value) - float(picture[0, 0, y, x])) < 1e-4


def test_names_fit_the_mesh_points() -> None:
    assert len(keypoints.MESH_INDICES) == keypoints.COUNT == 10
    assert keypoints.MESH_INDICES[keypoints.CHIN] == 152
    assert keypoints.MESH_INDICES[keypoints.NOSE] == 1
    assert keypoints.MESH_INDICES[keypoints.UPPER_LIP] == 13
