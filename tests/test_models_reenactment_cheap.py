"""The hybrid reenactor's speeds: one encoding, without a network and with a faster one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from avcall.common.keypoints import Image
from avcall.models.classical import ClassicalReenactor
from avcall.models.interfaces import DetailedReenactor, Drives, ManySpeedReenactor, ModelId
from avcall.models.reenactment.config import LITE, SWIFT, NetworkConfig
from avcall.models.reenactment.generator import ReenactmentNetwork
from avcall.models.reenactment.reenactor import NetworkReenactor
from tests.classical_portrait import portrait, portrait_keypoints


@pytest.fixture(scope="module")
def reenactor() -> NetworkReenactor:
    torch.manual_seed(0)
    model = ModelId("untrained", "0" * 8)
    return NetworkReenactor(ReenactmentNetwork(LITE), model, "cpu", faster={"swift": ReenactmentNetwork(SWIFT)})


def _warp(reenactor: NetworkReenactor) -> Drives:
    return dict(reenactor.cheaper)["warp"]


def _large() -> Image:
    return np.asarray(cv2.resize(portrait(), (512, 512), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def test_the_cheap_drive_is_the_classical_one(reenactor: NetworkReenactor) -> None:
    assert isinstance(reenactor, ManySpeedReenactor)
    points = portrait_keypoints()
    moved = points + np.float32(0.05)
    classical = ClassicalReenactor()
    expected = classical.drive(classical.encode(portrait(), points), moved)
    made = _warp(reenactor).drive(reenactor.encode(portrait(), points), moved)
    assert made.shape == (256, 256, 3)
    assert np.abs(made.astype(int) - expected).mean() < 2.0  # an untrained network restores nothing


def test_a_large_pivot_comes_in_two_parts_at_both_speeds(reenactor: NetworkReenactor) -> None:
    points = portrait_keypoints()
    encoded = reenactor.encode(_large(), points)
    cheap = _warp(reenactor)
    assert isinstance(cheap, DetailedReenactor)
    detailed = cheap.drive_detailed(encoded, points)
    assert detailed is not None
    assert detailed.image.shape == (256, 256, 3)
    assert np.abs(detailed.reference.astype(int) - _large()).mean() < 3.0
    assert cheap.drive(encoded, points).shape == (512, 512, 3)


def test_what_another_reenactor_encoded_is_refused(reenactor: NetworkReenactor) -> None:
    with pytest.raises(TypeError, match="another reenactor"):
        _warp(reenactor).drive("foreign", portrait_keypoints())


def test_the_faster_network_draws_the_same_pivots(reenactor: NetworkReenactor) -> None:
    assert [name for name, _ in reenactor.cheaper] == ["warp", "swift"]
    points = portrait_keypoints()
    moved = points + np.float32(0.05)
    alone = NetworkReenactor(_biased(SWIFT), ModelId("alone", "0" * 8), "cpu")
    both = NetworkReenactor(ReenactmentNetwork(LITE), ModelId("both", "0" * 8), "cpu", faster={"swift": _biased(SWIFT)})
    made = dict(both.cheaper)["swift"].drive(both.encode(portrait(), points), moved)
    whole = alone.drive(alone.encode(portrait(), points), moved)
    x, y = (int((at + 1) * 127.5) for at in moved.mean(0))
    face = np.s_[y - 8 : y + 8, x - 8 : x + 8]
    assert np.abs(made[face].astype(int) - whole[face]).max() <= 1
    assert not np.array_equal(made[face], both.drive(both.encode(portrait(), points), moved)[face])
    warped = _warp(both).drive(both.encode(portrait(), points), moved)
    assert np.abs(made[:8].astype(int) - warped[:8]).mean() < 2.0  # painted is the face alone
    assert np.abs(whole[:8].astype(int) - warped[:8]).mean() > 20.0
    large = both.encode(_large(), points)
    assert dict(both.cheaper)["swift"].drive(large, moved).shape == (512, 512, 3)


def _biased(config: NetworkConfig) -> ReenactmentNetwork:
    """Paints something over every picture."""
    network = ReenactmentNetwork(config)
    assert network.paint.bias is not None
    with torch.no_grad():
        network.paint.bias[12:] = 0.0
    return network
