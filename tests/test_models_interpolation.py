"""Interpolators: where things are half way, what they refuse, and that any size of picture will do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import read_weights, write_weights
from avcall.models.interfaces import Interpolator
from avcall.models.interpolation.config import InterpolationConfig
from avcall.models.interpolation.flow import FlowInterpolator
from avcall.models.interpolation.interpolator import NetworkInterpolator, load_interpolator
from avcall.models.interpolation.network import InterpolationNetwork, Motion, compose, warped
from avcall.models.metrics import psnr
from avcall.models.twins import BlendInterpolator, HoldInterpolator

TINY = InterpolationConfig(channels=(8, 8), layers=(1, 1), hints=2)


def write_network(folder: Path, network: InterpolationNetwork, kind: str = "interpolator") -> NetworkInterpolator:
    write_weights(folder / "tiny.safetensors", "tiny", kind, TINY, network.state_dict())
    return NetworkInterpolator(read_weights(folder / "tiny.safetensors"), "cpu")


@pytest.fixture(params=["hold", "blend", "flow", "network"])
def interpolator(request: pytest.FixtureRequest, tmp_path: Path) -> Interpolator:
    made = {"hold": HoldInterpolator, "blend": BlendInterpolator, "flow": FlowInterpolator}.get(request.param)
    return made() if made else write_network(tmp_path, InterpolationNetwork(TINY))


def texture(height: int, width: int, shift: float = 0.0) -> Image:
    """Smooth spots, moved to the right by `shift` pixels."""
    noise = np.random.default_rng(5).uniform(0, 255, (height, width + 64, 3)).astype(np.float32)
    spots = cv2.GaussianBlur(noise, (0, 0), 4.0)
    spots = (spots - spots.min()) / (spots.max() - spots.min()) * 255
    move = np.array([[1, 0, shift - 32], [0, 1, 0]], dtype=np.float32)
    shifted = cv2.warpAffine(spots, move, (width, height), flags=cv2.INTER_CUBIC)
    return np.asarray(shifted.round().clip(0, 255), dtype=np.uint8)


@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_flow_shows_things_where_they_are_in_between(fraction: float) -> None:
    before, after, truth = texture(96, 96), texture(96, 96, 8.0), texture(96, 96, 8.0 * fraction)
    inner = (slice(16, -16), slice(16, -16))
    flowed = FlowInterpolator().interpolate(before, after, fraction)
    blended = BlendInterpolator().interpolate(before, after, fraction)
    assert psnr(flowed[inner], truth[inner]) > 35
    assert psnr(flowed[inner], truth[inner]) > psnr(blended[inner], truth[inner]) + 6


def test_blend_and_hold_by_hand() -> None:
    before, after = np.full((2, 2, 3), 100, dtype=np.uint8), np.full((2, 2, 3), 200, dtype=np.uint8)
    assert (BlendInterpolator().interpolate(before, after, 0.25) == 125).all()
    hold = HoldInterpolator()
    assert [int(hold.interpolate(before, after, at)[0, 0, 0]) for at in (0.0, 0.5, 0.6, 1.0)] == [100, 100, 200, 200]


def test_an_untrained_network_is_its_twin(tmp_path: Path) -> None:
    network = write_network(tmp_path, InterpolationNetwork(TINY))
    before, after = texture(64, 96), texture(64, 96, 3.0)
    shown, twin = (one.interpolate(before, after, 0.5) for one in (network, FlowInterpolator()))
    assert np.abs(shown.astype(int) - twin).mean() < 1.0


def test_an_untrained_network_leans_to_the_nearer_and_then_the_earlier_picture() -> None:
    network = InterpolationNetwork(TINY).eval()
    picture, flows = torch.zeros(1, 3, 32, 32), torch.zeros(1, 4, 32 // TINY.scales[0], 32 // TINY.scales[0])
    with torch.inference_mode():
        masks = [network(picture, picture, flows, torch.tensor([at]))[-1].mask for at in (0.0, 0.3, 0.5, 0.7, 1.0)]
    shares = [float(mask.mean()) for mask in masks]
    assert shares == pytest.approx([1.0, 0.98, 0.82, 0.26, 0.0], abs=0.01)


def test_at_both_ends_stand_the_pictures_themselves(interpolator: Interpolator) -> None:
    before, after = texture(40, 56), texture(40, 56, 5.0)
    assert np.array_equal(interpolator.interpolate(before, after, 0.0), before)
    assert np.array_equal(interpolator.interpolate(before, after, 1.0), after)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (33, 31), (256, 256), (512, 400)])
def test_any_size_will_do(interpolator: Interpolator, size: tuple[int, int]) -> None:
    before, after = texture(*size), texture(*size, 2.0)
    shown = interpolator.interpolate(before, after, 0.3)
    assert shown.shape == before.shape
    assert shown.dtype == np.uint8
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    assert int(low) - 1 <= shown.min()
    assert shown.max() <= int(high) + 1


def test_large_pictures_keep_their_own_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (600, 600, 3)).astype(np.uint8)
    for one in (write_network(tmp_path, InterpolationNetwork(TINY)), FlowInterpolator()):
        assert np.abs(one.interpolate(picture, picture, 0.5).astype(int) - picture).max() <= 1


@pytest.mark.parametrize(
    ("before", "after", "fraction", "match"),
    [
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), 0.5, "RGB"),
        (np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 4), np.uint8), 0.5, "RGB"),
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.float32), 0.5, "float32"),
        (np.zeros((0, 8, 3), np.uint8), np.zeros((0, 8, 3), np.uint8), 0.5, "RGB"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8), 0.5, "one size"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), 1.1, "give 0 to 1"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), float("nan"), "give 0 to 1"),
    ],
)
def test_what_is_no_pair_of_pictures_is_refused(
    interpolator: Interpolator, before: Image, after: Image, fraction: float, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        interpolator.interpolate(before, after, fraction)


def test_a_network_that_gives_no_numbers_says_so(tmp_path: Path) -> None:
    network = InterpolationNetwork(TINY)
    with torch.no_grad():
        network.levels[1].leave.bias.fill_(float("nan"))
    broken = write_network(tmp_path, network)
    with pytest.raises(ArithmeticError, match="not a number"):
        broken.interpolate(texture(32, 32), texture(32, 32, 1.0), 0.5)


def test_weights_of_another_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="hold a reenactor"):
        write_network(tmp_path, InterpolationNetwork(TINY), kind="reenactor")


def test_a_warp_takes_pixels_from_where_the_flow_points_to() -> None:
    ramp = torch.arange(8.0).expand(1, 3, 8, 8)
    flow = torch.tensor([2.0, 0.0, -1.0, 0.0]).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    shown = warped(torch.cat([ramp, ramp], 1), flow)
    assert shown[0, 0, 3].tolist() == pytest.approx([2, 3, 4, 5, 6, 7, 7, 7])
    assert shown[0, 3, 3].tolist() == pytest.approx([0, 0, 1, 2, 3, 4, 5, 6], abs=1e-5)


def test_the_mask_is_the_share_of_the_first_picture() -> None:
    motion = Motion(torch.zeros(1, 4, 4, 4), torch.full((1, 1, 4, 4), 0.25))
    shown = compose(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), motion)
    assert torch.allclose(shown, torch.full((1, 3, 8, 8), 0.25))


def test_the_shipped_network_finds_the_middle() -> None:
    before, truth, after = (texture(256, 256, shift) for shift in (0.0, 4.0, 8.0))
    shown = load_interpolator("cpu").interpolate(before, after, 0.5)
    inner = (slice(16, -16), slice(16, -16))
    assert psnr(shown[inner], truth[inner]) > psnr(BlendInterpolator().interpolate(before, after, 0.5), truth) + 6
