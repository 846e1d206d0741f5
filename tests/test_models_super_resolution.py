"""Patch-based super-resolution: the network, its patches, their order, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.common.stats import Stats
from avcall.models.checkpoint import Weights, read_weights, write_weights
from avcall.models.interfaces import Guide
from avcall.models.super_resolution import resolver
from avcall.models.super_resolution.network import SuperResolutionConfig, SuperResolutionNetwork
from avcall.models.super_resolution.patches import FACE, FIRST, REST, Changes, choose, urgency
from avcall.models.super_resolution.resolver import PatchSuperResolver
from avcall.models.super_resolution.twin import BlendSuperResolver
from avcall.receiver.budget import FrameBudget
from avcall.receiver.ladders import UPSCALE, SuperResolverLadder

LIPS = [[0, 0.25], [0, 0.3], [-0.12, 0.27], [0.12, 0.27]]
CHIN_AND_NOSE = [[0, 0.5], [0, 0.1]]
LIDS_AND_EYES = [[-0.2, -0.1], [0.2, -0.1], [-0.3, -0.08], [0.3, -0.08]]
KEYPOINTS = np.array([*LIPS, *CHIN_AND_NOSE, *LIDS_AND_EYES], dtype=np.float32)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _weights(folder: Path, *, guided: bool, deviation: float = 0.05, kind: str = "super_resolver") -> Weights:
    torch.manual_seed(3)
    config = SuperResolutionConfig(guided=guided, channels=16, blocks=2)
    network = SuperResolutionNetwork(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=deviation)
    path = folder / f"{kind}{guided}.safetensors"
    write_weights(path, "noise", kind, config, network.state_dict())
    return read_weights(path)


def _resolver(folder: Path, limit: int | None = None) -> PatchSuperResolver:
    return PatchSuperResolver(_weights(folder, guided=True), _weights(folder, guided=False), limit=limit)


def _picture(side: int, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).integers(80, 176, (16, 16, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def test_an_untrained_network_is_bicubic_enlargement_and_half_of_the_reference() -> None:
    small, reference = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 64, 64)
    enlarged = torch.nn.functional.interpolate(small, scale_factor=2.0, mode="bicubic")
    alone = SuperResolutionNetwork(SuperResolutionConfig(guided=False))
    guided = SuperResolutionNetwork(SuperResolutionConfig())
    with torch.no_grad():
        assert torch.allclose(alone(small), enlarged, atol=1e-6)
        assert torch.allclose(guided(small, reference), (enlarged + reference) / 2, atol=1e-6)


@pytest.mark.parametrize("guided", [False, True])
def test_numpy_pictures_come_out_as_the_network_makes_them(tmp_path: Path, guided: bool) -> None:
    weights = _weights(tmp_path, guided=guided)
    network = SuperResolutionNetwork(SuperResolutionConfig(guided=guided, channels=16, blocks=2))
    network.load_state_dict(weights.tensors)
    image, reference = _picture(64), _picture(128, seed=1)

    def planes(picture: Image) -> torch.Tensor:
        return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255

    with torch.no_grad():
        expected = network(planes(image), planes(reference) if guided else None)[0].permute(1, 2, 0).numpy() * 255
    made = _resolver(tmp_path).upscale(image, 128, Guide(reference) if guided else None)
    assert np.abs(made.astype(float) - expected.clip(0, 255)).max() < 4  # bf16, and bicubic of whole levels


def test_patches_are_what_the_whole_picture_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, guide = _picture(256), Guide(_picture(512, seed=1))
    whole = _resolver(tmp_path).upscale(image, 512, guide)
    monkeypatch.setattr(resolver, "WHOLE_SHARE", 2.0)
    patched = _resolver(tmp_path).upscale(image, 512, guide)
    assert np.abs(whole.astype(int) - patched).max() <= 1  # sums of another order round differently
    assert np.abs(whole.astype(int) - guide.reference).mean() > 3  # and the network did something


def test_only_changed_patches_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    cells = SuperResolutionNetwork.cells

    def counted(self: SuperResolutionNetwork, told: torch.Tensor) -> torch.Tensor:
        counts.append(tuple(told.shape[:1] + told.shape[2:]))
        return cells(self, told)

    monkeypatch.setattr(SuperResolutionNetwork, "cells", counted)
    enlarger = _resolver(tmp_path)
    first = _picture(256)
    before = enlarger.upscale(first, 512)
    assert np.array_equal(enlarger.upscale(first, 512), before)
    assert counts == [(1, 128, 128)]  # the same picture again costs nothing

    second = first.copy()
    second[40:44, 40:44] = 255 - second[40:44, 40:44]  # in the middle of patch (1, 1), 32 pixels wide
    after = enlarger.upscale(second, 512)
    assert counts[1:] == [(1, 24, 24)]
    changed = np.argwhere((after != before).any(axis=2))
    assert changed.min() >= 64
    assert changed.max() < 128

    third = second.copy()
    third[30:34, 40:44] = 255 - third[30:34, 40:44]  # across the border of patches (0, 1) and (1, 1)
    enlarger.upscale(third, 512)
    assert counts[2:] == [(2, 24, 24)]
    fresh = _resolver(tmp_path).upscale(third, 512)
    assert np.abs(fresh.astype(int) - enlarger.upscale(third, 512)).max() <= 1


def test_a_new_reference_is_a_change(tmp_path: Path) -> None:
    enlarger, image = _resolver(tmp_path), _picture(256)
    enlarger.upscale(image, 512, Guide(_picture(512, seed=1)))
    second = enlarger.upscale(image, 512, Guide(_picture(512, seed=2)))
    assert np.array_equal(second, _resolver(tmp_path).upscale(image, 512, Guide(_picture(512, seed=2))))


def test_a_limit_takes_the_face_first_and_all_in_the_end(tmp_path: Path) -> None:
    image, guide = _picture(256), Guide(None, KEYPOINTS)
    all_at_once = _resolver(tmp_path).upscale(image, 512)
    twin = BlendSuperResolver().upscale(image, 512)
    enlarger = _resolver(tmp_path, limit=16)
    shown = enlarger.upscale(image, 512, guide)
    assert np.array_equal(shown[:60, :60], twin[:60, :60])
    mouth = np.s_[320:340, 250:260]
    assert np.array_equal(shown[mouth], all_at_once[mouth])
    assert not np.array_equal(shown[mouth], twin[mouth])
    for _ in range(3):
        shown = enlarger.upscale(image, 512, guide)
    assert np.abs(shown.astype(int) - all_at_once).max() <= 1


def test_a_patch_fades_into_one_that_waits() -> None:
    due = np.array([[False, True], [False, True]])
    white, black = np.full((128, 128, 3), 255, np.uint8), np.zeros((128, 128, 3), np.uint8)
    mixed = resolver._mixed(white, black, due)[64, :, 0].astype(int)
    assert mixed[50] == 255
    assert mixed[64] == 0  # nothing stale shows where the network has not been
    steps = np.diff(mixed[50:66])
    assert steps.max() <= 0
    assert steps.min() > -40  # no edge


def test_small_changes_add_up() -> None:
    changes = Changes(32, 16, 3)
    image = np.full((64, 64, 3), 100, np.uint8)
    changes.look("image", image)
    changes.made(np.argwhere(changes.due))
    for level in (101, 102):
        image[4, 4] = level
        changes.look("image", image)
        assert not changes.due.any()
    image[4, 4] = 103
    changes.look("image", image)
    assert changes.due.tolist() == [[True, False], [False, False]]


def test_a_change_reaches_as_far_as_the_network_looks() -> None:
    changes = Changes(32, 16, 3)
    image = np.zeros((64, 64, 3), np.uint8)
    changes.look("image", image)
    changes.made(np.argwhere(changes.due))
    image[5, 2 * (16 - 4)] = 9  # four cells from the next patch
    changes.look("image", image)
    assert changes.due.tolist() == [[True, False], [False, False]]
    image[5, 2 * (16 - 3)] = 9
    changes.look("image", image)
    assert changes.due.tolist() == [[True, True], [False, False]]


def test_urgent_patches_go_first_and_waiting_ones_have_their_turn() -> None:
    weight = urgency(8, 0.25, KEYPOINTS)
    assert weight[5, 4] == FIRST  # mouth
    assert weight[3, 3] == FIRST  # an eye
    assert weight[6, 4] == FACE  # chin
    assert weight[0, 0] == REST
    due = np.ones((8, 8), bool)
    waited = np.zeros((8, 8), np.int64)
    first = choose(due, waited, weight, 6)
    assert all(weight[tuple(patch)] == FIRST for patch in first)
    waited[0, 7] = 8
    assert [0, 7] in choose(due, waited, weight, 6).tolist()
    assert (urgency(8, 0.25, None) == REST).all()
    assert (urgency(8, 0.25, np.full((10, 2), np.nan, np.float32)) == REST).all()


@pytest.mark.parametrize("small", [33, 90, 130, 255])
def test_sides_that_nothing_divides(tmp_path: Path, small: int) -> None:
    image = _picture(small)
    made = _resolver(tmp_path).upscale(image, 2 * small)
    assert made.shape == (2 * small, 2 * small, 3)
    assert _resolver(tmp_path).upscale(image, 2 * small - 5).shape == (2 * small - 5, 2 * small - 5, 3)
    assert (
        np.abs(made.astype(int) - cv2.resize(image, (2 * small, 2 * small), interpolation=cv2.INTER_CUBIC)).mean() < 60
    )


def test_four_times_as_wide_is_twice_twice(tmp_path: Path) -> None:
    image, guide = _picture(128), Guide(_picture(256, seed=1))
    twice = _resolver(tmp_path).upscale(image, 256, guide)
    assert np.array_equal(
        _resolver(tmp_path).upscale(image, 512, guide), _resolver(tmp_path).upscale(twice, 512)
    )  # a reference too small for the second doubling is used in the first


def test_a_picture_that_is_large_enough_is_reduced_or_left(tmp_path: Path) -> None:
    image = _picture(256)
    assert np.array_equal(_resolver(tmp_path).upscale(image, 256), image)
    assert _resolver(tmp_path).upscale(image, 100).shape == (100, 100, 3)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 48, 3), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
    ],
    ids=["alpha", "grey", "oblong", "float", "tiny"],
)
def test_pictures_that_cannot_be_enlarged(tmp_path: Path, image: Image) -> None:
    with pytest.raises(ValueError, match="super-resolution"):
        _resolver(tmp_path).upscale(image, 512)
    reference = image if len(image) == 64 else np.zeros((64, 64, 4), np.uint8)
    with pytest.raises(ValueError, match="super-resolution"):
        _resolver(tmp_path).upscale(_picture(32), 64, Guide(reference))
    with pytest.raises(ValueError, match="100000"):
        _resolver(tmp_path).upscale(_picture(64), 100_000)


def test_numbers_that_are_none_are_an_error_and_leave_nothing_behind(tmp_path: Path) -> None:
    good = _resolver(tmp_path)
    image = _picture(256)
    expected = good.upscale(image, 512)
    enlarger = _resolver(tmp_path)
    bias = enlarger._alone.last.bias
    assert bias is not None
    held = bias.data.clone()
    bias.data[0] = float("nan")
    for _ in range(2):
        with pytest.raises(FloatingPointError):
            enlarger.upscale(image, 512)
    bias.data.copy_(held)
    assert np.array_equal(enlarger.upscale(image, 512), expected)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    guided, alone = _weights(tmp_path, guided=True), _weights(tmp_path, guided=False)
    with pytest.raises(CheckpointError, match="reference"):
        PatchSuperResolver(alone, alone)
    with pytest.raises(CheckpointError, match="reference"):
        PatchSuperResolver(guided, guided)
    with pytest.raises(CheckpointError, match="hold a reenactor"):
        PatchSuperResolver(None, _weights(tmp_path, guided=False, kind="reenactor"))


def test_the_twin_believes_the_reference_where_both_agree() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    reference = np.full((128, 128, 3), 100, np.uint8)
    reference[::2] += 4
    reference[1::2] -= 4  # detail that the small picture cannot show
    reference[64:] = 200  # and something else
    shown = BlendSuperResolver().upscale(image, 128, Guide(reference))
    assert np.array_equal(shown[:50], reference[:50])
    assert (shown[80:] == 100).all()
    assert (BlendSuperResolver().upscale(image, 128) == 100).all()


def test_in_a_call_a_network_that_fails_is_counted_and_stood_in_for(tmp_path: Path) -> None:
    now_ms, stats, image = [0.0], Stats(), _picture(64)
    network = PatchSuperResolver(None, _weights(tmp_path, guided=False))
    ladder = SuperResolverLadder([("blend", BlendSuperResolver()), ("patches", network)], lambda: now_ms[0], stats)
    ladder.budget = FrameBudget({UPSCALE: ladder.calibrate(lambda part, _: part.upscale(image, 128))}, (UPSCALE,))

    def frame(seed: int) -> bool:
        """Whether the network drew it."""
        assert ladder.budget is not None
        ladder.budget.plan(now_ms[0])
        now_ms[0] += 40.0
        shown = ladder.upscale(_picture(64, seed), 128)
        return not np.array_equal(shown, BlendSuperResolver().upscale(_picture(64, seed), 128))

    assert any(frame(seed) for seed in range(40))
    assert network._alone.last.bias is not None
    network._alone.last.bias.data[0] = float("nan")
    assert not frame(40)
    assert stats.counters["upscale_failed"] == 1
