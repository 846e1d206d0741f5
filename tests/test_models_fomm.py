"""A standard FOMM checkpoint plugs in. Random weights: none is shipped, and shapes and order are what can go wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.models import fomm
from avcall.models.fomm import FommDetector, FommGenerator, load_fomm
from avcall.models.registry import load_pair


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
