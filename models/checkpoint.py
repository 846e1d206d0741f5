"""Weights on disk: safetensors, checked against a table of sha256 before anything is believed.

`models/weights/weights.json` has one line a model: name, file, sha256, bytes, licence, config, metrics at release.
The dimensions of a network come from its own file, so a checkpoint rebuilds its network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from avcall.common.errors import CheckpointError, OutputError

FOLDER = Path(__file__).parent / "weights"
TABLE = "weights.json"
_KEY = "avcall"
Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class Weights:
    """Verified tensors (float32) and what the file says about itself."""

    name: str
    kind: str
    sha256: str
    config: Mapping[str, Any]
    tensors: dict[str, Tensor]

    @property
    def short_hash(self) -> str:
        """What the handshake compares."""
        return self.sha256[:8]


def table(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The table's lines by name.

    Raises:
        CheckpointError: the table is there and damaged.
    """
    path = folder / TABLE
    if not path.exists():
        return {}
    try:
        lines = json.loads(path.read_text())["weights"]
        return {line["name"]: line for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): install avcall again") from error


def load_weights(name: str, folder: Path = FOLDER) -> Weights:
    """The named weights of the table, after checking size and sha256.

    Raises:
        CheckpointError: unknown, missing, truncated, changed, or no safetensors.
    """
    line = table(folder).get(name)
    if line is None:
        raise CheckpointError(f"no weights named {name!r} in {folder / TABLE}")
    path = folder / line["file"]
    data = _read(path)
    if len(data) != line["bytes"]:
        raise CheckpointError(f"{path} has {len(data)} bytes instead of {line['bytes']}: fetch it again")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != line["sha256"]:
        raise CheckpointError(f"{path} has sha256 {sha256[:8]}... instead of {line['sha256'][:8]}...: fetch it again")
    return _parse(data, path)


def read_weights(path: Path) -> Weights:
    """A weights file outside the table, such as a training run's; nothing vouches for it.

    Raises:
        CheckpointError: missing, truncated, or no safetensors written by `write_weights`.
    """
    return _parse(_read(path), path)


def write_weights(
    path: Path, name: str, kind: str, config: object, tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float16
) -> None:
    """Writes weights of a network with a dataclass `config`, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    about = {"name": name, "kind": kind, "config": asdict(config)}  # type: ignore[call-overload]
    small = {key: value.detach().to(dtype).cpu().contiguous() for key, value in tensors.items()}
    partial = path.with_name(path.name + ".part")
    try:
        save_file(small, partial, {_KEY: json.dumps(about)})
        partial.chmod(0o644)  # safetensors writes for the owner alone
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def register(path: Path, licence: str, metrics: Mapping[str, Any], folder: Path = FOLDER) -> dict[str, Any]:
    """Puts a file that lies in the folder into its table, in place of a line of the same name; returns the line."""
    data = _read(path)
    weights = _parse(data, path)
    line = {
        "name": weights.name,
        "kind": weights.kind,
        "file": path.name,
        "sha256": weights.sha256,
        "bytes": len(data),
        "licence": licence,
        "config": dict(weights.config),
        "metrics": dict(metrics),
    }
    lines = table(folder) | {weights.name: line}
    (folder / TABLE).write_text(json.dumps({"weights": list(lines.values())}, indent=1) + "\n")
    return line


def rebuild_config(kind: type[Config], weights: Weights) -> Config:
    """The configuration dataclass that a checkpoint carries.

    Raises:
        CheckpointError: it is that of another version.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if set(weights.config) != known:
        odd = ", ".join(sorted(set(weights.config) ^ known))
        raise CheckpointError(f"weights {weights.name!r} are of another version of avcall ({odd})")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in weights.config.items()}
    return kind(**values)


def fill(network: nn.Module, weights: Weights) -> None:
    """Puts the tensors into the network.

    Raises:
        CheckpointError: names or shapes do not fit.
    """
    own = network.state_dict()
    for name in own.keys() ^ weights.tensors.keys():
        raise CheckpointError(f"weights {weights.name!r} do not fit their network: {name} has no counterpart")
    for name, value in weights.tensors.items():
        if own[name].shape != value.shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            raise CheckpointError(f"weights {weights.name!r} do not fit their network: {name} is {shapes}")
    network.load_state_dict(weights.tensors)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): fetch it again") from error


def _parse(data: bytes, path: Path) -> Weights:
    """Verified as far as the format goes: safetensors can hold numbers only, nothing that runs."""
    header = data[8:9] == b"{"  # before it its length, which may begin as a pickle does
    if not header and (data[:1] == b"\x80" or data[:2] == b"PK"):
        raise CheckpointError(f"{path} is a pickle, which can run code: avcall reads safetensors only")
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        name, kind, config = str(about["name"]), str(about["kind"]), dict(about["config"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no whole avcall weights file ({error}): fetch it again") from error
    sha256 = hashlib.sha256(data).hexdigest()
    return Weights(name, kind, sha256, config, {key: value.float() for key, value in tensors.items()})
