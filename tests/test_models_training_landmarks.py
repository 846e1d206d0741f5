"""The reader of lips and lids: its windows, its loss, and that it learns from a pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import InputError
from avcall.models.training.landmark_network import SIDE, LandmarkConfig, LandmarkNetwork, windows
from avcall.models.training.landmark_task import LandmarkTrainConfig, make_task
from avcall.models.training.losses import landmark_loss
from avcall.models.training.trainer import Trainer
from tests.training_pack import FACE, make_pack

POINTS = torch.tensor([[*FACE, (-0.35, -0.2), (0.35, -0.2)]])


def test_a_window_knows_its_own_corners() -> None:
    turn = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    for points in (POINTS, POINTS @ turn):
        for window in windows(points):
            grid = window.grid()
            assert grid.shape == (1, SIDE, SIDE, 2)
            corners = window.local(torch.stack([grid[:, 0, 0], grid[:, 0, -1], grid[:, -1, -1]], 1))
            assert torch.allclose(corners, torch.tensor([[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0]]]), atol=1e-5)


def test_the_mouth_lies_in_its_window_and_the_eyes_in_theirs() -> None:
    mouth, left, right = windows(POINTS)
    assert mouth.local(POINTS)[0, :4].abs().max() < 0.8
    assert left.local(POINTS)[0, [6, 8]].abs().max() < 1.0
    assert right.local(POINTS)[0, [7, 9]].abs().max() < 1.0


def test_the_loss_is_zero_for_the_truth_and_ignores_windows_beyond_the_picture() -> None:
    torch.manual_seed(0)
    reader = LandmarkNetwork(LandmarkConfig()).requires_grad_(False)
    shown, truth = torch.rand(2, 3, 128, 128), torch.rand(2, 3, 128, 128)
    points = POINTS.expand(2, -1, -1)
    assert float(landmark_loss(reader, truth, truth, points)) == 0.0
    assert float(landmark_loss(reader, shown, truth, points)) > 0.0
    assert float(landmark_loss(reader, shown, truth, points + 1.5)) == 0.0


def test_the_loss_reaches_the_picture() -> None:
    reader = LandmarkNetwork(LandmarkConfig()).requires_grad_(False)
    shown = torch.rand(1, 3, 128, 128, requires_grad=True)
    landmark_loss(reader, shown, torch.rand(1, 3, 128, 128), POINTS).backward()  # type: ignore[no-untyped-call]
    assert shown.grad is not None
    assert float(shown.grad.abs().sum()) > 0.0


def test_it_learns_from_a_pack_and_draws_by_the_generator_alone(tmp_path: Path) -> None:
    config = LandmarkTrainConfig(
        data=make_pack(tmp_path / "pack"), out=tmp_path, batch=4, learning_rate=0.03, device="cpu"
    )
    task = make_task(config)
    one, same = (task.draw(np.random.default_rng(4), 3) for _ in range(2))
    assert torch.equal(one.pictures, same.pictures)
    assert torch.equal(one.points[1], same.points[1])
    trainer = Trainer(task, config, 0, 1, torch.device("cpu"))
    losses = [trainer.step() for _ in range(30)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    figures = task.judge(trainer.average, tmp_path / "sheet.png")
    assert 0.0 < figures["mouth_px"] < 200.0
    assert (tmp_path / "sheet.png").exists()


def test_no_pack_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="avcall prepare"):
        make_task(LandmarkTrainConfig(data=tmp_path, out=tmp_path))
