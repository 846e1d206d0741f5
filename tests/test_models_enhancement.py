"""The enhancer takes any picture, leaves it as it is before training, and says when its network fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import read_weights, write_weights
from avcall.models.enhancement.enhancer import KIND, NetworkEnhancer, UnsharpEnhancer
from avcall.models.enhancement.network import SIZES, EnhancementNetwork, EnhancementShape, enhance

TINY = EnhancementShape(half=4, quarter=8, blocks=1)


def _picture(*shape: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _enhancer(folder: Path, network: EnhancementNetwork, kind: str = KIND) -> NetworkEnhancer:
    write_weights(folder / "tiny.safetensors", "tiny", kind, network.shape, network.state_dict())
    return NetworkEnhancer(read_weights(folder / "tiny.safetensors"), "cpu")


def _moved(bias: float) -> EnhancementNetwork:
    """A network that adds `bias` to every pixel."""
    network = EnhancementNetwork(TINY)
    with torch.no_grad():
        network.leave.bias.fill_(bias)  # type: ignore[union-attr]
    return network


def test_before_training_nothing_changes() -> None:
    picture = torch.rand(2, 3, 64, 48)
    assert torch.equal(enhance(EnhancementNetwork(TINY), picture), picture)


def test_the_shipped_size_is_small() -> None:
    assert sum(p.numel() for p in EnhancementNetwork(SIZES["lite"]).parameters()) * 2 < 4_000_000


@pytest.mark.parametrize("shape", [(256, 256, 3), (255, 129, 3), (16, 18, 3), (600, 400, 3), (31, 300, 4), (33, 64)])
def test_pictures_of_any_size_grey_or_with_alpha(tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = _picture(*shape)
    made = _enhancer(tmp_path, _moved(0.1)).enhance(picture)
    rgb = picture[..., None].repeat(3, -1) if picture.ndim == 2 else picture[..., :3]
    assert made.shape == (*shape[:2], 3)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - np.minimum(rgb.astype(int) + 25.5, 255)).max() <= 1


def test_tiny_pictures_are_left_alone(tmp_path: Path) -> None:
    picture = _picture(8, 200, 3)
    assert np.array_equal(_enhancer(tmp_path, _moved(0.5)).enhance(picture), picture)


@pytest.mark.parametrize("picture", [np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 2), np.uint8), np.zeros((8, 8, 3))])
def test_what_is_no_picture_is_refused(tmp_path: Path, picture: Image) -> None:
    with pytest.raises(ValueError, match="no picture"):
        _enhancer(tmp_path, _moved(0.1)).enhance(picture)


def test_numbers_that_are_none_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="NaN"):
        _enhancer(tmp_path, _moved(float("nan"))).enhance(_picture(32, 32, 3))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="hold a reenactor"):
        _enhancer(tmp_path, _moved(0.0), "reenactor")


def test_a_still_background_stays_still(tmp_path: Path) -> None:
    """What moves in one corner changes nothing far away: the network sees about 40 pixels around."""
    torch.manual_seed(0)
    network = EnhancementNetwork(TINY)
    torch.nn.init.normal_(network.leave.weight, std=0.5)
    enhancer = _enhancer(tmp_path, network)
    before = _picture(128, 128, 3)
    after = before.copy()
    after[:16, :16] = 0
    made = [enhancer.enhance(image) for image in (before, after)]
    assert not np.array_equal(made[0][:16, :16], made[1][:16, :16])
    assert np.array_equal(made[0][64:, 64:], made[1][64:, 64:])


def test_the_twin_sharpens_an_edge_and_leaves_flat_parts() -> None:
    picture = np.full((32, 32, 3), 80, np.uint8)
    picture[:, 16:] = 160
    made = UnsharpEnhancer().enhance(picture)
    assert made[0, 0, 0] == 80
    assert made[0, 15, 0] < 80
    assert made[0, 16, 0] > 160
