"""The cheap distance: by hand, and what it must and must not see."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avcall.common.keypoints import Image
from avcall.models.look import SIDE, flaw, small_luma
from tests.test_models_pivot_codec import portrait

PICTURE = portrait(256, 0.5)


def seen(image: Image) -> float:
    return flaw(small_luma(image), small_luma(PICTURE))


def test_the_same_picture_has_no_flaw() -> None:
    assert seen(PICTURE) == pytest.approx(0.0, abs=1e-6)


def test_an_edge_by_hand() -> None:
    flat = np.zeros((SIDE, SIDE), np.float32)
    edge = flat.copy()
    edge[:, 32:] = 100.0  # Sobel over 4: 100 in two columns of 64, so 1 - 170 / (100 x 100 + 170) there
    assert flaw(edge, flat) == pytest.approx(2 / 64 * (1 - 170 / 10_170), rel=1e-4)


def test_a_hand_before_the_wall_counts_more_than_a_slight_shift() -> None:
    hand = PICTURE.copy()
    cv2.rectangle(hand, (20, 150), (70, 240), (205, 160, 130), -1)
    shifted = np.roll(PICTURE, 1, axis=1)
    assert seen(hand) > 2 * seen(shifted) > 0
    assert seen(hand) > 0.01
