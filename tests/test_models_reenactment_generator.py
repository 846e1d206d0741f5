"""The reenactment network: own keypoints give the pivot, crops equal the whole, state stays outside."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from avcall.models.reenactment.config import FULL, LITE, NetworkConfig
from avcall.models.reenactment.generator import Carried, Crop, ReenactmentNetwork
from avcall.models.reenactment.motion import cell_centres

TINY = NetworkConfig(motion=(6, 6, 6, 6), motion_features=4, encoder=(4, 6, 8), decoder=(4, 6, 8), code=6)


@pytest.fixture
def network() -> ReenactmentNetwork:
    """A network whose last layers are not zero any more, as after training."""
    torch.manual_seed(0)
    made = ReenactmentNetwork(TINY)
    for head in (made.paint, made.motion.correct, made.hint_half):
        torch.nn.init.normal_(head.weight, std=0.02)
    return made.eval()


def _carried(count: int, side: int) -> Carried:
    return Carried(torch.rand(count, 3, side, side), 0.05 * torch.randn(count, 2, side, side))


def test_an_untrained_network_shows_the_classical_picture() -> None:
    network = ReenactmentNetwork(TINY)
    picture, points, carried = torch.rand(1, 3, 64, 64), torch.rand(1, 10, 2) - 0.5, _carried(1, 64)
    encoded = network.encode(picture, points)
    driven = network.drive(encoded, carried, points + 0.1)
    assert torch.allclose(driven.warped, carried.picture, atol=1e-3)
    assert (driven.picture - carried.picture).abs().max() < 0.03


def test_every_part_learns(network: ReenactmentNetwork) -> None:
    picture, points, carried = torch.rand(2, 3, 64, 64), torch.rand(2, 10, 2) - 0.5, _carried(2, 64)
    encoded = network.encode(picture, points)
    network.drive(encoded, carried, points + 0.1).picture.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@torch.inference_mode()
def test_a_crop_is_a_piece_of_the_whole(network: ReenactmentNetwork) -> None:
    picture, points, carried = torch.rand(2, 3, 128, 128), torch.rand(2, 10, 2) - 0.5, _carried(2, 128)
    driving = points + 0.03 * torch.randn(2, 10, 2)
    encoded = network.encode(picture, points)
    whole = network.drive(encoded, carried, driving).picture
    crop = Crop(torch.tensor([2, 4]), torch.tensor([3, 0]), 8)
    piece = network.drive(encoded, carried, driving, crop).picture
    expected = crop.cut(whole, 1)
    assert piece.shape == (2, 3, 64, 64)
    # only the crop's rim may differ: there the convolutions see zeros beyond it
    assert torch.allclose(piece[..., 24:40, 24:40], expected[..., 24:40, 24:40], atol=1e-3)


def test_points_of_a_crop_lie_on_its_own_pixels() -> None:
    pixels = cell_centres(128, 128)
    crop = Crop(torch.tensor([2]), torch.tensor([3]), 8)
    assert torch.allclose(crop.inside(pixels[None, 24, 16][:, None], 16), torch.tensor([[[-1.0, -1.0]]]), atol=1e-5)
    assert torch.allclose(crop.inside(pixels[None, 87, 79][:, None], 16), torch.tensor([[[1.0, 1.0]]]), atol=1e-5)


@torch.inference_mode()
def test_pivots_do_not_disturb_each_other(network: ReenactmentNetwork) -> None:
    points, carried = torch.rand(1, 10, 2) - 0.5, _carried(1, 64)
    first, second = (network.encode(torch.rand(1, 3, 64, 64), points) for _ in range(2))
    driving = points + 0.05
    before = network.drive(first, carried, driving).picture
    network.drive(second, carried, driving)
    assert torch.equal(network.drive(first, carried, driving).picture, before)


@torch.inference_mode()
def test_a_batch_is_its_pictures_one_by_one(network: ReenactmentNetwork) -> None:
    picture, points, carried = torch.rand(3, 3, 64, 64), torch.rand(3, 10, 2) - 0.5, _carried(3, 64)
    driving = points * 1.1
    together = network.drive(network.encode(picture, points), carried, driving).picture
    for i in range(3):
        one = slice(i, i + 1)
        alone_carried = Carried(carried.picture[one], carried.displacement[one])
        alone = network.drive(network.encode(picture[one], points[one]), alone_carried, driving[one]).picture
        assert torch.allclose(together[i], alone[0], atol=1e-4)


def _parameters(config: NetworkConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ReenactmentNetwork(config).parameters())


def test_sizes_keep_their_promises() -> None:
    assert _parameters(LITE) * 4 <= 4_000_000  # even in float32
    assert _parameters(FULL) * 4 <= 60_000_000


@torch.inference_mode()
def test_a_frame_of_lite_costs_less_than_two_gigaflop() -> None:
    network, points, carried = ReenactmentNetwork(LITE), torch.rand(1, 10, 2) - 0.5, _carried(1, 256)
    encoded = network.encode(carried.picture, points)
    with FlopCounterMode(display=False) as counter:
        network.drive(encoded, carried, points)
    assert counter.get_total_flops() <= 2e9  # a multiply-add counts as two
