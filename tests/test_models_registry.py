"""Names become networks in one place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import CheckpointError, ConfigError, DeviceError
from avcall.models.checkpoint import write_weights
from avcall.models.interfaces import LateReenactor, RepairsPivots
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.generator import ReenactmentNetwork
from avcall.models.registry import device_from_flag, load_pair, names
from avcall.receiver.late_drive import WarpDrive

TINY = NetworkConfig(motion=(4, 4, 4, 4), motion_features=2, encoder=(4, 4, 4), decoder=(4, 4, 4), code=4)


def test_the_classical_pair_is_always_there() -> None:
    assert "classical" in names()
    detector, reenactor = load_pair("classical", "cpu")
    assert detector.model == reenactor.model
    assert detector.model.name == "classical"


@pytest.mark.parametrize("name", names())
def test_every_named_model_gives_its_pivot_back(name: str) -> None:
    detector, reenactor = load_pair(name, "cpu")
    assert detector.model == reenactor.model
    rows = np.linspace(40, 200, 256)
    pivot = np.stack([np.add.outer(rows, rows) / 2] * 3, -1).astype(np.uint8)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 2)).astype(np.float32)
    encoded = reenactor.encode(pivot, points)
    assert isinstance(reenactor, LateReenactor) == (name != "classical")
    warps = [WarpDrive(reenactor)] if isinstance(reenactor, LateReenactor) else []
    for drives in (reenactor, *warps):
        shown = drives.drive(encoded, points)
        assert shown.dtype == np.uint8
        assert shown.shape == pivot.shape
        assert np.abs(shown.astype(int) - pivot).mean() < 4


def test_a_path_to_weights_is_a_model_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    write_weights(path, "mine", "reenactor", TINY, ReenactmentNetwork(TINY).state_dict())
    detector, reenactor = load_pair(str(path), "cpu")
    assert detector.model == reenactor.model
    assert reenactor.model.name == "mine"
    assert reenactor.device == "cpu"


def test_unknown_names_list_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--model nonsense: there is classical"):
        load_pair("nonsense", "cpu")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_pair(str(tmp_path / "absent.safetensors"), "cpu")


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    write_weights(path, "odd", "detector", TINY, {"w": torch.ones(1)})
    with pytest.raises(CheckpointError, match="hold a detector"):
        load_pair(str(path), "cpu")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_from_flag("cpu") == "cpu"
    assert device_from_flag("auto") == "cpu"
    with pytest.raises(DeviceError, match="--device cuda"):
        device_from_flag("cuda")
    with pytest.raises(ConfigError, match="--device tpu"):
        device_from_flag("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_from_flag("auto") == "cuda"


def test_a_shipped_network_repairs_coded_pivots_and_can_be_had_without() -> None:
    whole, plain = (load_pair("lite", "cpu", enhance_pivots=repairs)[1] for repairs in (True, False))
    assert whole.model.weights != plain.model.weights, "results and peers must tell them apart"
    assert isinstance(whole, RepairsPivots)
    assert isinstance(plain, RepairsPivots)
    noise = np.random.default_rng(0).integers(60, 200, (64, 64, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 2)).astype(np.float32)
    as_given = plain.drive(plain.encode(noise, points), points)
    assert np.array_equal(whole.drive(whole.encode_uncoded(noise, points), points), as_given)
    assert not np.array_equal(whole.drive(whole.encode(noise, points), points), as_given)
