"""The detector starts at the mesh points, learns to be steadier, and is quick about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import CheckpointError, InputError
from avcall.common.keypoints import MESH_INDICES
from avcall.models.checkpoint import read_weights, write_weights
from avcall.models.interfaces import ModelId
from avcall.models.reenactment.detector import (
    DetectorConfig,
    DetectorNetwork,
    NetworkDetector,
    Window,
    draw_mesh,
    five_channels,
    windows,
)
from avcall.models.segmentation import Segmenter
from avcall.models.training.detector_teacher import Taught
from avcall.models.training.detector_training import DetectorTrainConfig, draw, find, train_detector
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
    whole = Window(np.zeros(2), 1.0)
    mask = np.full((64, 64), 9, dtype=np.uint8)
    stacked = five_channels(np.full((128, 128, 3), 7, dtype=np.uint8), landmarks, mask, whole)
    assert (stacked[..., :3] == 7).all()
    assert np.array_equal(stacked[..., 3], drawn)
    assert (stacked[..., 4] == 9).all()


def test_a_window_shows_what_lies_in_it() -> None:
    picture, mask = np.zeros((256, 256, 3), dtype=np.uint8), np.zeros((64, 64), dtype=np.uint8)
    picture[100:104, 60:64] = 255  # a cell of the mask, centre (61.5, 101.5)
    mask[25, 15] = 255
    window = Window(np.array([61.5, 101.5]) / 127.5 - 1 + 0.04, 0.25)
    seen = five_channels(picture, _landmarks(), mask, window)
    where = window.inside(np.array([61.5, 101.5]) / 127.5 - 1)
    for channel in (0, 4):
        weights = seen[..., channel] / seen[..., channel].sum()
        rows, columns = np.indices((64, 64))
        centre = np.array([(columns * weights).sum(), (rows * weights).sum()])
        assert np.abs(centre - ((where * 255 / 256 + 1) * 32 - 0.5)).max() < 0.1
    assert np.abs(window.outside(where) - (np.array([61.5, 101.5]) / 127.5 - 1)).max() < 1e-6


def test_windows_hold_their_keypoints_and_stand_still() -> None:
    face = _landmarks()
    jitter = np.random.default_rng(1).normal(scale=0.1 / 127.5, size=(30, 468, 3))
    eyes, rest = windows(face)
    for window, part in ((eyes, [6, 7, 8, 9]), (rest, [0, 1, 2, 3, 4, 5])):
        assert np.abs(window.inside(face[np.array(MESH_INDICES)[part], :2])).max() < 0.75
    places = {(*eyes.centre, eyes.half) for eyes, _ in (windows(face + each) for each in jitter)}
    assert len(places) <= 4
    windows(np.zeros((468, 3), dtype=np.float32))  # a degenerate mesh has windows too


def _dotted(count: int) -> Taught:
    """Pictures with a bright square, and meshes whose every point is its middle."""
    generator = np.random.default_rng(0)
    pictures, points = [], []
    for _ in range(count):
        picture = np.zeros((256, 256, 3), dtype=np.uint8)
        x, y = generator.integers(90, 160, 2)
        picture[y - 4 : y + 5, x - 4 : x + 5] = 255
        pictures.append(picture)
        points.append(np.array([x, y]) / 127.5 - 1)
    views = np.broadcast_to(np.array(points, dtype=np.float32)[:, None, None], (count, 6, 468, 2)).copy()
    views += generator.uniform(-0.3, 0.3, (1, 1, 468, 1)).astype(np.float32) * (np.arange(468) != 1)[:, None]
    return Taught(pictures, np.full((count, 64, 64), 255, np.uint8), views, np.zeros(count, dtype=np.int32))


@pytest.mark.parametrize("mesh", [True, False])
def test_deformed_pictures_carry_their_points_along(mesh: bool) -> None:
    batch = draw(_dotted(8), np.random.default_rng(0), 16, mesh)
    nose = 5
    for number, target in enumerate(batch.targets[:, nose].numpy()):
        picture = batch.channels[number, -1, :3].mean(0).numpy()
        weights = picture / picture.sum()
        rows, columns = np.indices(picture.shape)
        cells = np.array([(columns * weights).sum(), (rows * weights).sum()])
        inside = ((cells + 0.5) / 32 - 1) * 256 / 255
        centre = inside * float(batch.halves[number, -1]) + batch.centres[number, -1].numpy()
        assert np.abs(centre - target).max() * 127.5 < (0.6 if mesh else 1.5)


def test_both_deformations_lead_back_to_the_same_points() -> None:
    batch = draw(_dotted(4), np.random.default_rng(1), 5, mesh=True)
    first, second = batch.deformation.back(batch.targets).chunk(2)
    assert (first - second).abs().max() * 127.5 < 0.01
    assert (batch.targets[:5] - batch.targets[5:]).abs().mean() * 127.5 > 1.0
    untrained = find(DetectorNetwork(DetectorConfig()), batch)
    assert (untrained - batch.targets).abs().max() * 127.5 < 0.2


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


def test_a_segmentation_serves_while_its_windows_stand_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Segmenter, "segment", lambda _, image: asked.append(image) or np.zeros((64, 64), np.uint8))
    write_weights(tmp_path / "d", "d", "detector", DetectorConfig(), DetectorNetwork(DetectorConfig()).state_dict())
    detector = NetworkDetector(read_weights(tmp_path / "d"), ModelId("x", "00000000"))
    picture, face = np.full((256, 256, 3), 90, dtype=np.uint8), _landmarks()
    for _ in range(10):
        detector.detect(picture, face)
        detector.detect(picture, face * 0.7)  # the other crop of a sender that changes crops
    assert len(asked) == 2
    detector.detect(picture, face)
    assert len(asked) == 3
    detector.detect(picture, face + np.float32(0.2))
    assert len(asked) == 4


def test_a_lasting_correction_is_none(tmp_path: Path) -> None:
    """What the network always adds is its taste, not the mesh's jitter."""
    network = DetectorNetwork(DetectorConfig())
    torch.nn.init.normal_(network.heat, std=0.3, generator=torch.Generator().manual_seed(0))
    write_weights(tmp_path / "d", "d", "detector", DetectorConfig(), network.state_dict())
    detector = NetworkDetector(read_weights(tmp_path / "d"), ModelId("x", "00000000"), carry=False)
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    face, other = _landmarks(), _landmarks() + np.float32(0.11)
    own = face[list(MESH_INDICES), :2]
    for _ in range(5):
        assert np.abs(detector.detect(picture, face) - own).max() * 127.5 < 0.01
    assert np.abs(detector.detect(picture, other) - own - 0.11).max() * 127.5 > 0.1
