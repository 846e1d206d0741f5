"""The order that suits a CPU gives the network's own pictures."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch

from avcall.models.classical import Moved
from avcall.models.reenactment.config import LITE, NetworkConfig
from avcall.models.reenactment.generator import Carried, EncodedPivot, ReenactmentNetwork
from avcall.models.reenactment.lean import LeanNetwork, keep_freed_memory
from avcall.models.reenactment.painter import to_image

TINY = NetworkConfig(motion=(6, 7, 5, 6), motion_features=4, encoder=(4, 6, 8), decoder=(4, 6, 8), code=6, blocks=2)


_LIPS = ((0.0, 0.2), (0.0, 0.25), (-0.12, 0.22), (0.12, 0.22))
_REST = ((0.0, 0.45), (0.0, 0.05), (-0.15, -0.12), (0.15, -0.12), (-0.25, -0.1), (0.25, -0.1))
_FACE = torch.tensor([[*_LIPS, *_REST]])
"""A face of a quarter of the picture's side, in its middle."""


def _loud(config: NetworkConfig) -> ReenactmentNetwork:
    """A network in which every layer has its say, as after training."""
    torch.manual_seed(0)
    network = ReenactmentNetwork(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            torch.nn.init.normal_(parameter, std=(2.0 / parameter[0].numel()) ** 0.5)
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network


def _encoded(network: ReenactmentNetwork, side: int) -> tuple[EncodedPivot, Moved, torch.Tensor]:
    points = torch.rand(1, 10, 2) - 0.5
    encoded = network.encode(torch.rand(1, 3, side, side), points)
    moved = Moved(255.0 * torch.rand(3, side, side), 0.05 * torch.randn(side, side, 2))
    return encoded, moved, points + 0.05 * torch.randn(1, 10, 2)


@torch.inference_mode()
@pytest.mark.parametrize(("config", "side"), [(TINY, 64), (TINY, 96), (LITE, 256)])
def test_it_draws_what_the_network_draws(config: NetworkConfig, side: int) -> None:
    network = _loud(config)
    encoded, moved, driving = _encoded(network, side)
    carried = Carried(moved.picture[None] / 255.0, moved.displacement.permute(2, 0, 1)[None])
    driven = network.drive(encoded, carried, driving)
    drawn = LeanNetwork(network).drive(encoded, moved, driving)
    assert drawn.image.shape == (side, side, 3)
    assert np.abs(drawn.image.astype(int) - to_image(driven.picture)).max() <= 1
    assert torch.allclose(drawn.correction, driven.correction, atol=1e-4)
    assert 0.02 < driven.repaired.mean() < 0.98  # else warp or painting alone would have been compared


@torch.inference_mode()
def test_neither_pivot_nor_classical_picture_is_written_to() -> None:
    network = _loud(TINY)
    encoded, moved, driving = _encoded(network, 64)
    before, field = moved.picture.clone(), moved.displacement.clone()
    lean = LeanNetwork(network)
    first = lean.drive(encoded, moved, driving).image
    assert torch.equal(moved.picture, before)
    assert torch.equal(moved.displacement, field)
    assert np.array_equal(lean.drive(encoded, moved, driving).image, first)


@torch.inference_mode()
def test_motion_that_is_no_number_draws_black() -> None:
    network = _loud(TINY)
    encoded, moved, driving = _encoded(network, 64)
    nowhere = replace(moved, displacement=torch.full_like(moved.displacement, float("nan")))
    assert LeanNetwork(network).drive(encoded, nowhere, driving).image.max() == 0


def test_any_c_library_may_be_asked_to_keep_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
