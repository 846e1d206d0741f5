"""The hybrid reenactor's two speeds: one encoding, with and without the network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from avcall.common.keypoints import Image
from avcall.models.classical import ClassicalReenactor
from avcall.models.interfaces import DetailedReenactor, ModelId, TwoSpeedReenactor
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.generator import ReenactmentNetwork
from avcall.models.reenactment.reenactor import NetworkReenactor
from tests.classical_portrait import portrait, portrait_keypoints


@pytest.fixture(scope="module")
def reenactor() -> NetworkReenactor:
    torch.manual_seed(0)
    return NetworkReenactor(ReenactmentNetwork(NetworkConfig()), ModelId("untrained", "0" * 8), "cpu")


def _large() -> Image:
    return np.asarray(cv2.resize(portrait(), (512, 512), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def test_the_cheap_drive_is_the_classical_one(reenactor: NetworkReenactor) -> None:
    assert isinstance(reenactor, TwoSpeedReenactor)
    points = portrait_keypoints()
    moved = points + np.float32(0.05)
    classical = ClassicalReenactor()
    expected = classical.drive(classical.encode(portrait(), points), moved)
    made = reenactor.cheap.drive(reenactor.encode(portrait(), points), moved)
    assert made.shape == (256, 256, 3)
    assert np.abs(made.astype(int) - expected).mean() < 2.0  # an untrained network restores nothing


def test_a_large_pivot_comes_in_two_parts_at_both_speeds(reenactor: NetworkReenactor) -> None:
    points = portrait_keypoints()
    encoded = reenactor.encode(_large(), points)
    cheap = reenactor.cheap
    assert isinstance(cheap, DetailedReenactor)
    detailed = cheap.drive_detailed(encoded, points)
    assert detailed is not None
    assert detailed.image.shape == (256, 256, 3)
    assert np.abs(detailed.reference.astype(int) - _large()).mean() < 3.0
    assert cheap.drive(encoded, points).shape == (512, 512, 3)


def test_what_another_reenactor_encoded_is_refused(reenactor: NetworkReenactor) -> None:
    with pytest.raises(TypeError, match="another reenactor"):
        reenactor.cheap.drive("foreign", portrait_keypoints())
