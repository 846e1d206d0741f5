"""Candidate motions: each reproduces the motion it is made for."""

from __future__ import annotations

import math

import pytest
import torch

from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.motion import (
    MotionCorrection,
    ShapeCode,
    candidate_displacements,
    cell_centres,
    heat_maps,
    in_face_frame,
    sample,
)

SIDE = 64


def _points(count: int = 2) -> torch.Tensor:
    face = [(0, 0.2), (0, 0.3), (-0.2, 0.25), (0.2, 0.25), (0, 0.6), (0, 0), (-0.25, -0.25), (0.25, -0.25)]
    return torch.tensor([[*face, (-0.35, -0.2), (0.35, -0.2)]] * count) + 0.01


def _turned(points: torch.Tensor) -> torch.Tensor:
    cosine, sine = 0.9 * math.cos(0.2), 0.9 * math.sin(0.2)
    return points @ torch.tensor([[cosine, sine], [-sine, cosine]]) + torch.tensor([0.1, -0.05])


def test_cells_and_pixels_share_the_convention() -> None:
    pixels = cell_centres(SIDE, SIDE)
    assert pixels[0, 0].tolist() == [-1.0, -1.0]
    assert torch.allclose(pixels[-1, -1], torch.ones(2))
    halves = torch.nn.functional.avg_pool2d(pixels.permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
    assert torch.allclose(cell_centres(SIDE, SIDE // 2), halves, atol=1e-6)


@pytest.mark.parametrize("cells", [SIDE, SIDE // 2, SIDE // 4])
def test_sampling_at_the_cells_themselves_changes_nothing(cells: int) -> None:
    maps = torch.rand(1, 3, cells, cells)
    assert torch.allclose(sample(maps, cell_centres(SIDE, cells)[None], SIDE), maps, atol=1e-4)


def test_heat_is_one_at_its_point() -> None:
    grid = cell_centres(SIDE, SIDE)
    heat = heat_maps(grid[None, [10, 20], [30, 40]], grid, 0.05)
    assert heat.shape == (1, 2, SIDE, SIDE)
    assert heat[0, 0, 10, 30] == pytest.approx(1.0)
    assert heat[0, 1].argmax() == 20 * SIDE + 40


def test_no_motion_moves_nothing() -> None:
    moves = candidate_displacements(_points(), _points(), cell_centres(SIDE, 16))
    assert moves.shape == (2, 2, 2, 16, 16)
    assert moves.abs().max() < 1e-4


def test_both_motions_reproduce_a_similarity() -> None:
    driving = _points()
    grid = cell_centres(SIDE, 16)
    moves = candidate_displacements(_turned(driving), driving, grid).permute(0, 1, 3, 4, 2)
    for motion in (0, 1):
        assert torch.allclose(grid + moves[:, motion], _turned(grid).expand(2, -1, -1, -1), atol=2e-3)


def test_the_spline_follows_a_lip_that_the_similarity_cannot() -> None:
    driving = _points(1)
    pivot = driving.clone()
    pivot[0, 1, 1] += 0.08  # the lower lip was lower in the pivot
    cell = torch.argmin((cell_centres(SIDE, SIDE) - driving[0, 1]).norm(dim=-1))
    moves = candidate_displacements(pivot, driving, cell_centres(SIDE, SIDE))[0].flatten(2)[..., cell]
    assert moves[0].norm() < 0.03
    assert moves[1, 1] > 0.06


def test_coinciding_points_stay_finite() -> None:
    moves = candidate_displacements(torch.zeros(1, 10, 2), torch.zeros(1, 10, 2), cell_centres(SIDE, 8))
    assert torch.isfinite(moves).all()


def test_the_face_frame_ignores_where_the_face_is() -> None:
    points = _points()
    assert torch.allclose(in_face_frame(points), in_face_frame(_turned(points)), atol=1e-4)
    assert torch.allclose(in_face_frame(points)[0, 8], torch.tensor([-1.0, 0.0]), atol=1e-5)


def _corrected(motion: MotionCorrection, code: ShapeCode, displacement: torch.Tensor) -> tuple[torch.Tensor, ...]:
    driving = _points()
    pivot = _turned(driving)
    pictures = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    told: tuple[torch.Tensor, ...] = motion(*pictures, displacement, pivot, driving, code(pivot, driving), SIDE)
    return told


def test_the_correction_begins_at_nothing_and_learns_everywhere() -> None:
    config = NetworkConfig(motion=(4, 6, 8, 8), motion_features=3, code=5)
    torch.manual_seed(0)
    motion, code = MotionCorrection(config), ShapeCode(config)
    correction, told, visible = _corrected(motion, code, 0.1 * torch.rand(2, 2, 16, 16))
    assert correction.shape == (2, 2, 16, 16)
    assert correction.abs().max() == 0.0
    assert told.shape == (2, 3, 16, 16)
    assert ((visible > 0) & (visible < 1)).all()
    (correction.sum() + told.sum() + visible.sum()).backward()
    assert all(parameter.grad is not None for parameter in motion.parameters())


def test_a_full_pull_replaces_the_classical_motion_by_another() -> None:
    config = NetworkConfig(motion=(4, 6, 8, 8), motion_features=3, code=5)
    motion, code = MotionCorrection(config), ShapeCode(config)
    displacement = 0.1 * torch.rand(2, 2, 16, 16)
    assert motion.correct.bias is not None
    with torch.no_grad():
        motion.correct.bias[2] = 1.0  # towards standing still
    assert torch.allclose(_corrected(motion, code, displacement)[0], -displacement, atol=1e-6)
