"""What the other end would show: pivots kept, driven and compared."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from avcall.common.keypoints import Image, Keypoints
from avcall.models.interfaces import Encoded, ModelId
from avcall.sender.pivot_check import KEPT, SIDE, PivotChecker
from tests.test_models_pivot_codec import portrait

POINTS = np.zeros((10, 2), np.float32)
PICTURE = portrait(256, 0.5)


class Mover:
    """Shifts the pivot to the right by the nose's x."""

    model = ModelId("fake", "00000000")
    device = "cpu"

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        assert pivot.shape == (SIDE, SIDE, 3)
        return pivot

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        assert isinstance(encoded, np.ndarray)
        return np.roll(encoded, round(float(keypoints[0, 0]) * SIDE / 2), axis=1)


def test_a_pivot_is_measured_when_it_is_added() -> None:
    checker = PivotChecker(Mover())
    assert checker.add(0, PICTURE, POINTS, PICTURE) == pytest.approx(0.0, abs=1e-6)
    assert checker.add(1, 255 - PICTURE // 2, POINTS, PICTURE) > 0.01


def test_pivots_are_driven_before_they_are_compared() -> None:
    checker = PivotChecker(Mover())
    checker.add(0, PICTURE, POINTS, PICTURE)
    moved = np.roll(PICTURE, 32, axis=1)
    still, driven = (checker.flaws([0], moved, POINTS + x)[0] for x in (np.float32(0.0), np.float32(0.25)))
    assert driven < 0.2 * still


def test_only_the_latest_are_kept_and_others_left_out() -> None:
    checker = PivotChecker(Mover())
    for number in range(KEPT + 2):
        checker.add(number, PICTURE, POINTS, PICTURE)
    assert list(checker.flaws([0, 1, 2, KEPT + 1, 99], PICTURE, POINTS)) == [2, KEPT + 1]


def test_each_pivot_follows_the_one_before_as_at_the_receiver() -> None:
    class Following(Mover):
        followed: ClassVar[list[tuple[float, float]]] = []

        def follow(self, encoded: Encoded, before: Encoded) -> Encoded:
            assert isinstance(encoded, np.ndarray)
            assert isinstance(before, np.ndarray)
            self.followed.append((encoded[0, 0, 0], before[0, 0, 0]))
            return encoded

    checker = PivotChecker(Following())
    for number in range(3):
        picture = np.full((SIDE, SIDE, 3), 10 * number, np.uint8)
        checker.add(number, picture, POINTS, picture)
    assert Following.followed == [(10, 0), (20, 10)]
