"""The detector starts at the mesh points, learns to be steadier, and is quick about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import CheckpointError, InputError
from avcall.common.keypoints import MESH_INDICES
from avcall.models.checkpoint import read_weights
from avcall.models.interfaces import ModelId
from avcall.models.reenactment.detector import (
    DetectorConfig,
    DetectorNetwork,
    NetworkDetector,
    draw_mesh,
    five_channels,
)
from avcall.models.training.detector_training import DetectorTrainConfig, draw, load_split, steady, train_detector
from tests.training_pack import make_pack


def _landmarks() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.6, 0.6, (468, 3)).astype(np.float32)


def test_untrained_it_gives_the_mesh_points_back() -> None:
    network = DetectorNetwork(DetectorConfig())
    anchors = torch.rand(2, 10, 2) * 1.2 - 0.6
    found = network(torch.rand(2, 5, 64, 64), anchors)
    assert (found - anchors).abs().max() * 127.5 < 0.2


def test_the_variant_of_three_channels_needs_no_mesh() -> None:
    network = DetectorNetwork(DetectorConfig(mesh=False))
    found = network(torch.rand(2, 3, 64, 64), torch.full((2, 10, 2), 9.0))
    assert found.shape == (2, 10, 2)
    assert found.abs().max() < 1


def test_the_mesh_is_drawn_where_it_is() -> None:
    landmarks = _landmarks() * 0.1 + np.array([0.5, 0.5, 0.0], dtype=np.float32)
    drawn = draw_mesh(landmarks)
    assert drawn.shape == (64, 64)
    assert drawn.max() == 255
    assert drawn[:, :32].max() == drawn[:32].max() == 0
    stacked = five_channels(np.full((128, 128, 3), 7, dtype=np.uint8), landmarks, np.full((64, 64), 9, dtype=np.uint8))
    assert (stacked[..., :3] == 7).all()
    assert np.array_equal(stacked[..., 3], drawn)
    assert (stacked[..., 4] == 9).all()


def test_deformed_pictures_carry_their_points_along(tmp_path: Path) -> None:
    data = load_split(make_pack(tmp_path), "train")
    data.channels[:] = 0
    for number, points in enumerate(data.mesh):  # one bright cell at the nose
        x, y = np.round((points[5] + 1) * 31.5).astype(int)
        data.channels[number, y, x] = 255
        data.steady[number, 5] = np.array([x, y]) / 31.5 - 1
    channels, _, targets = draw(data, np.random.default_rng(0), 16, 0.0)
    for picture, target in zip(channels[:, 3].numpy(), targets[:, 5].numpy(), strict=True):
        weights = picture / picture.sum()
        rows, columns = np.indices(picture.shape)
        centre = np.array([(columns * weights).sum(), (rows * weights).sum()]) / 31.5 - 1
        assert np.abs(centre - target).max() < 0.025


def test_steady_targets_lose_jitter_and_keep_blinks() -> None:
    jitter = np.random.default_rng(0).normal(scale=0.15 / 127.5, size=(50, 10, 2)).astype(np.float32)
    assert np.abs(np.diff(steady(jitter), 2, axis=0)).mean() < 0.6 * np.abs(np.diff(jitter, 2, axis=0)).mean()
    blink = np.zeros((9, 10, 2), dtype=np.float32)
    blink[4, 6, 1] = 5 / 127.5
    assert np.array_equal(steady(blink), blink)


def test_training_writes_a_detector_that_loads(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack")
    out = tmp_path / "d.safetensors"
    assert train_detector(DetectorTrainConfig(data=pack, out=out, steps=3, batch=4)) == out
    detector = NetworkDetector(read_weights(out), ModelId("x", "00000000"))
    landmarks = _landmarks()
    found = detector.detect(np.full((256, 256, 3), 90, dtype=np.uint8), landmarks)
    assert found.dtype == np.float32
    assert np.abs(found - landmarks[list(MESH_INDICES), :2]).max() * 127.5 < 2.0


def test_wrong_data_and_wrong_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="avcall prepare"):
        train_detector(DetectorTrainConfig(data=tmp_path, out=tmp_path / "d.safetensors", steps=1))
    out = tmp_path / "d.safetensors"
    train_detector(DetectorTrainConfig(data=make_pack(tmp_path / "pack"), out=out, steps=1, batch=2, mesh=False))
    weights = read_weights(out)
    weights.tensors.pop("enter.0.bias")
    with pytest.raises(CheckpointError, match=r"enter\.0\.bias"):
        NetworkDetector(weights, ModelId("x", "00000000"))
