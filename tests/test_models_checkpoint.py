"""Weights are checked before they are believed."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from avcall.common.errors import CheckpointError, OutputError
from avcall.models.checkpoint import (
    FOLDER,
    Weights,
    fill,
    load_weights,
    read_weights,
    rebuild_config,
    register,
    table,
    write_weights,
)


@dataclass(frozen=True)
class TinyConfig:
    sizes: tuple[int, ...] = (3, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A weights folder with one registered file."""
    torch.manual_seed(0)
    write_weights(tmp_path / "tiny.safetensors", "tiny", "reenactor", TinyConfig(), nn.Linear(3, 4).state_dict())
    register(tmp_path / "tiny.safetensors", "for tests", {"lpips_alex": 0.5}, tmp_path)
    return tmp_path


def test_what_is_written_and_registered_comes_back(folder: Path) -> None:
    weights = load_weights("tiny", folder)
    torch.manual_seed(0)
    expected = nn.Linear(3, 4)
    network = nn.Linear(3, 4)
    fill(network, weights)
    assert torch.allclose(network.weight, expected.weight, atol=1e-3)  # stored in half precision
    assert rebuild_config(TinyConfig, weights) == TinyConfig()
    line = table(folder)["tiny"]
    assert line["sha256"].startswith(weights.short_hash)
    assert line["bytes"] == (folder / "tiny.safetensors").stat().st_size
    assert (line["licence"], line["metrics"]) == ("for tests", {"lpips_alex": 0.5})


def test_registering_again_replaces_the_line(folder: Path) -> None:
    write_weights(folder / "tiny.safetensors", "tiny", "reenactor", TinyConfig(), {"weight": torch.ones(2)})
    register(folder / "tiny.safetensors", "for tests", {}, folder)
    assert len(json.loads((folder / "weights.json").read_text())["weights"]) == 1
    assert load_weights("tiny", folder).tensors["weight"].tolist() == [1.0, 1.0]


def test_one_changed_bit_is_a_wrong_hash(folder: Path) -> None:
    path = folder / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        load_weights("tiny", folder)


def test_a_truncated_file_is_refused_with_and_without_the_table(folder: Path) -> None:
    path = folder / "tiny.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="bytes instead of"):
        load_weights("tiny", folder)
    with pytest.raises(CheckpointError, match="no whole avcall weights file"):
        read_weights(path)


@pytest.mark.parametrize("data", [b"", b"\x00" * 64, b"\xff" * 64, b"{}", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_rubbish_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="no whole avcall weights file"):
        read_weights(tmp_path / "x.safetensors")


class _Trap:
    """Unpickling it would raise ZeroDivisionError: proof that nobody unpickles."""

    def __reduce__(self) -> tuple[object, tuple[int, int]]:
        return divmod, (1, 0)


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "plain.safetensors").write_bytes(pickle.dumps(_Trap()))
    torch.save({"trap": _Trap()}, tmp_path / "torch.safetensors")
    for name in ("plain", "torch"):
        with pytest.raises(CheckpointError, match="pickle"):
            read_weights(tmp_path / f"{name}.safetensors")


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    for length in range(300):  # the header's length is a multiple of 8: one of these ends in 0x80
        write_weights(tmp_path / "x.safetensors", "x" * length, "detector", TinyConfig(), {"a": torch.ones(1)})
        if (tmp_path / "x.safetensors").read_bytes()[:1] == b"\x80":
            break
    assert read_weights(tmp_path / "x.safetensors").name == "x" * length
    assert (tmp_path / "x.safetensors").read_bytes()[:1] == b"\x80"


def test_missing_files_and_names_say_so(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights named 'other'"):
        load_weights("other", folder)
    (folder / "tiny.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights("tiny", folder)
    (folder / "weights.json").write_text("[")
    with pytest.raises(CheckpointError, match="damaged"):
        table(folder)


def test_wrong_shapes_and_names_are_refused() -> None:
    network = nn.Linear(3, 4)
    wrong_shape = Weights("w", "reenactor", "0" * 64, {}, {"weight": torch.ones(4, 2), "bias": torch.ones(4)})
    with pytest.raises(CheckpointError, match=r"weight is \(4, 2\), not \(4, 3\)"):
        fill(network, wrong_shape)
    with pytest.raises(CheckpointError, match="bias has no counterpart"):
        fill(network, Weights("w", "reenactor", "0" * 64, {}, {"weight": torch.ones(4, 3)}))


def test_the_configuration_of_another_version_is_refused() -> None:
    with pytest.raises(CheckpointError, match="another version"):
        rebuild_config(TinyConfig, Weights("w", "reenactor", "0" * 64, {"sizes": [1], "depth": 3}, {}))


def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_weights(tmp_path / "no" / "x.safetensors", "x", "reenactor", TinyConfig(), {"w": torch.ones(1)})


def test_every_shipped_file_matches_its_line() -> None:
    lines = table()
    assert {path.name for path in FOLDER.glob("*.safetensors")} == {line["file"] for line in lines.values()}
    for name, line in lines.items():
        assert load_weights(name).sha256 == line["sha256"]
        assert line["licence"]
