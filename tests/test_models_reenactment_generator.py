"""The reenactment network: own keypoints give the pivot, crops equal the whole, state stays outside."""

from __future__ import annotations

import pytest
import torch

from avcall.models.reenactment.config import FULL, LITE, NetworkConfig
from avcall.models.reenactment.generator import Crop, ReenactmentNetwork

TINY = NetworkConfig(motion=(6, 6, 6, 6), motion_features=4, refine=4, encoder=(4, 6, 8), decoder=(4, 6, 8), code=6)


@pytest.fixture
def network() -> ReenactmentNetwork:
    """A network whose last layers are not zero any more, as after training."""
    torch.manual_seed(0)
    made = ReenactmentNetwork(TINY)
    for head in (made.paint, made.refine[2], made.motion.choice, made.motion.rest, made.hint_half):
        torch.nn.init.normal_(head.weight, std=0.02)
    return made.eval()


def test_an_untrained_network_shows_the_pivot_at_its_own_keypoints() -> None:
    network = ReenactmentNetwork(TINY)
    picture, points = torch.rand(1, 3, 64, 64), torch.rand(1, 10, 2) - 0.5
    driven = network.drive(network.encode(picture, points), points)
    assert torch.allclose(driven.warped, picture, atol=1e-3)
    assert (driven.picture - picture).abs().max() < 0.03


@torch.inference_mode()
def test_a_crop_is_a_piece_of_the_whole(network: ReenactmentNetwork) -> None:
    picture, points = torch.rand(2, 3, 128, 128), torch.rand(2, 10, 2) - 0.5
    driving = points + 0.03 * torch.randn(2, 10, 2)
    encoded = network.encode(picture, points)
    whole = network.drive(encoded, driving).picture
    crop = Crop(torch.tensor([2, 4]), torch.tensor([3, 0]), 8)
    piece = network.drive(encoded, driving, crop).picture
    expected = crop.cut(whole, 1)
    assert piece.shape == (2, 3, 64, 64)
    # only the crop's rim may differ: there the convolutions see zeros beyond it
    assert torch.allclose(piece[..., 24:40, 24:40], expected[..., 24:40, 24:40], atol=1e-3)


@torch.inference_mode()
def test_pivots_do_not_disturb_each_other(network: ReenactmentNetwork) -> None:
    points = torch.rand(1, 10, 2) - 0.5
    first, second = (network.encode(torch.rand(1, 3, 64, 64), points) for _ in range(2))
    driving = points + 0.05
    before = network.drive(first, driving).picture
    network.drive(second, driving)
    assert torch.equal(network.drive(first, driving).picture, before)


@torch.inference_mode()
def test_a_batch_is_its_pictures_one_by_one(network: ReenactmentNetwork) -> None:
    picture, points = torch.rand(3, 3, 64, 64), torch.rand(3, 10, 2) - 0.5
    driving = points * 1.1
    together = network.drive(network.encode(picture, points), driving).picture
    for i in range(3):
        alone = network.drive(network.encode(picture[i : i + 1], points[i : i + 1]), driving[i : i + 1]).picture
        assert torch.allclose(together[i], alone[0], atol=1e-4)


def _parameters(config: NetworkConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ReenactmentNetwork(config).parameters())


def test_sizes_keep_their_promises() -> None:
    assert _parameters(LITE) * 4 <= 4_000_000  # even in float32
    assert _parameters(FULL) * 4 <= 60_000_000
