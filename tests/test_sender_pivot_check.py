"""What the other end would show: pivots kept, driven and compared."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pytest

from avcall.common.keypoints import Image, Keypoints
from avcall.common.residual_flow import field
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.models.interfaces import Encoded, ModelId
from avcall.models.scene_tracker import Scene
from avcall.sender.analysis import View
from avcall.sender.crop import Crop
from avcall.sender.pivot_check import KEPT, SIDE, PivotChecker
from tests.test_models_flow_estimator import ELSEWHERE, texture
from tests.test_models_pivot_codec import portrait

POINTS = np.zeros((10, 2), np.float32)
PICTURE = portrait(256, 0.5)


def view(picture: Image, points: Keypoints = POINTS, scene: Scene = Scene()) -> View:  # noqa: B008 - frozen
    return View(Crop(0, 0, 256), picture, points, scene)


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
    assert checker.add(0, PICTURE, POINTS, view(PICTURE)) == pytest.approx(0.0, abs=1e-6)
    assert checker.add(1, 255 - PICTURE // 2, POINTS, view(PICTURE)) > 0.01


def test_pivots_are_driven_before_they_are_compared() -> None:
    checker = PivotChecker(Mover())
    checker.add(0, PICTURE, POINTS, view(PICTURE))
    moved = np.roll(PICTURE, 32, axis=1)
    still, driven = (checker.flaws([0], view(moved, POINTS + x))[0] for x in (np.float32(0.0), np.float32(0.25)))
    assert driven < 0.2 * still


def test_only_the_latest_are_kept_and_others_left_out() -> None:
    checker = PivotChecker(Mover())
    for number in range(KEPT + 2):
        checker.add(number, PICTURE, POINTS, view(PICTURE))
    assert list(checker.flaws([0, 1, 2, KEPT + 1, 99], view(PICTURE))) == [2, KEPT + 1]


def test_each_pivot_follows_the_one_before_and_is_followed_by_all_as_at_the_receiver() -> None:
    class Following(Mover):
        followed: ClassVar[list[tuple[float, float]]] = []

        def follow(self, encoded: Encoded, other: Encoded) -> Encoded:
            assert isinstance(encoded, np.ndarray)
            assert isinstance(other, np.ndarray)
            self.followed.append((encoded[0, 0, 0], other[0, 0, 0]))
            return encoded

    checker = PivotChecker(Following())
    for number in range(3):
        picture = np.full((SIDE, SIDE, 3), 10 * number, np.uint8)
        checker.add(number, picture, POINTS, view(picture))
    assert Following.followed == [(10, 0), (0, 10), (20, 10), (0, 20), (10, 20)]


def test_a_camera_that_pans_is_no_flaw() -> None:
    class Panning(Mover):
        moves_scene: ClassVar[Literal[True]] = True

        def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
            return super().drive(encoded, keypoints + np.float32(scene.background.shift.real))

    checker = PivotChecker(Panning())
    checker.add(0, PICTURE, POINTS, view(PICTURE, scene=Scene(0, Similarity(shift=0.5 + 0j))))
    moved = np.roll(PICTURE, 32, axis=1)
    scenes = Scene(0, Similarity(shift=0.75 + 0j)), Scene(1, Similarity(shift=0.75 + 0j))
    known, unknown = (checker.flaws([0], view(moved, scene=scene))[0] for scene in scenes)
    assert known < 0.2 * unknown


class Flowing(Mover):
    """Shifts the pivot by the mean of the flow, too."""

    moves_scene: ClassVar[Literal[True]] = True

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        assert isinstance(encoded, np.ndarray)
        shift = -field(scene.flow, 8)[..., 0].mean() if scene.flow else 0.0
        return np.roll(encoded, round(float(shift) * SIDE / 2), axis=1)


def test_the_flow_of_a_frame_is_known_when_its_pivot_is_checked() -> None:
    checker = PivotChecker(Flowing())
    checker.add(0, texture(0), ELSEWHERE, view(texture(0), ELSEWHERE))
    checker.add(1, texture(0), ELSEWHERE, view(texture(0), ELSEWHERE))
    moved = view(np.roll(texture(0), 6, axis=1), ELSEWHERE)
    assert checker.flow(0, view(texture(0), ELSEWHERE)) == ()
    flows = [checker.flow(0, moved) for _ in range(5)]
    assert field(flows[-1], 8)[..., 0].mean() * 127.5 == pytest.approx(-6.0, abs=1.5)
    flaws = checker.flaws([0, 1], moved)
    assert flaws[0] < 0.5 * flaws[1]  # nobody knows how the other one would flow


def test_a_flow_needs_no_more_than_a_sketch() -> None:
    class Sketching(Flowing):
        def sketch(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
            assert isinstance(encoded, np.ndarray)
            return np.roll(encoded, 3, axis=1)  # which is where the frame is, half as large

    checker = PivotChecker(Sketching())
    checker.add(0, texture(0), ELSEWHERE, view(texture(0), ELSEWHERE))
    moved = view(np.roll(texture(0), 6, axis=1), ELSEWHERE)
    assert [checker.flow(0, moved) for _ in range(5)] == [()] * 5


def test_a_pivot_that_is_not_kept_has_no_flow() -> None:
    assert PivotChecker(Flowing()).flow(3, view(PICTURE)) == ()
