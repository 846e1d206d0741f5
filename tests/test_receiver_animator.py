"""Choice of pivot, cross-fade, and networks that fail."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pytest

from avcall.common.frames import Pivot, Pose
from avcall.common.keypoints import (
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    LOWER_LIP,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    UPPER_LIP,
    Image,
    Keypoints,
)
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.common.stats import Stats
from avcall.models.interfaces import Encoded, ModelId
from avcall.receiver.animator import Animator
from avcall.receiver.pivots import PivotCache, ReadyPivot


class Painter:
    """Draws the pivot; `wrong` is drawn instead, or raised."""

    model = ModelId("painter", "00000000")
    device = "cpu"

    def __init__(self) -> None:
        self.wrong: Image | Exception | None = None
        self.drives = 0

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        return pivot

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        self.drives += 1
        if isinstance(self.wrong, Exception):
            raise self.wrong
        assert isinstance(encoded, np.ndarray)
        return encoded if self.wrong is None else self.wrong


def pose(pivot_id: int, at: float = 0.0) -> Pose:
    return Pose(0.0, pivot_id, np.full((10, 2), at, np.float32))


def studio(side_of_second: int = 16) -> tuple[Animator, Painter, Stats]:
    painter, cache, stats = Painter(), PivotCache(), Stats()
    for pivot_id, grey, side in ((1, 40, 16), (2, 200, side_of_second)):
        image = np.full((side, side, 3), grey, np.uint8)
        cache.put(ReadyPivot(Pivot(pivot_id, 0.0, image, pose(1).keypoints), painter.encode(image, image), 0.0))
    return Animator(painter, cache, stats), painter, stats


def greys(animator: Animator, poses: list[Pose]) -> list[int]:
    out = []
    for each in poses:
        drawing = animator.plan(each)
        assert drawing is not None
        drawn = animator.draw(drawing)
        assert drawn is not None
        assert drawn.fresh
        out.append(int(drawn.image[0, 0, 0]))
    return out


def test_a_missing_pivot_cannot_be_drawn() -> None:
    assert studio()[0].plan(pose(3)) is None


def test_a_change_of_pivot_dissolves_for_one_drive_a_picture() -> None:
    animator, painter, _ = studio()
    assert greys(animator, [pose(1)] * 2 + [pose(2)] * 5) == [40, 40, 80, 120, 160, 200, 200]
    assert painter.drives == 7


def test_a_change_back_in_the_midst_dissolves_from_what_is_shown() -> None:
    assert greys(studio()[0], [pose(1), pose(2), pose(1), pose(1), pose(1), pose(1)]) == [40, 80, 70, 60, 50, 40]


def test_a_pivot_that_is_encoded_anew_is_no_change_of_pivot() -> None:
    cache = PivotCache()
    for pivot_id in (1, 2):
        image = np.full((16, 16, 3), 40, np.uint8)
        cache.put(ReadyPivot(Pivot(pivot_id, 0.0, image, pose(1).keypoints), image, 0.0))
    animator = Animator(Painter(), cache, Stats())
    assert greys(animator, [pose(1)]) == [40]
    cache.update(lambda encoded: np.full((16, 16, 3), 48, np.uint8), all_but=2)
    assert greys(animator, [pose(1), pose(1)]) == [48, 48]


def test_a_mouth_changes_at_once() -> None:
    animator, painter, _ = studio()
    face = np.zeros((10, 2), np.float32)
    face[[EYE_LEFT, EYE_RIGHT], 0] = -0.4, 0.4
    face[[EYE_LEFT, EYE_RIGHT], 1] = -0.4
    face[[UPPER_LIP, LOWER_LIP, MOUTH_LEFT, MOUTH_RIGHT], 1] = 0.3
    face[CHIN, 1] = 0.6
    for pivot_id in (1, 2):
        drawing = animator.plan(replace(pose(pivot_id), keypoints=face))
        assert drawing is not None
        drawn = animator.draw(drawing)
    assert drawn is not None
    assert painter.drives == 2
    grey = drawn.image[..., 0]
    assert (grey[0, 0], grey[0, 8], grey[15, 15]) == (80, 80, 80)
    assert (grey[9:11, 7:9] == 200).all()
    assert 80 < grey[10, 4] < 200


def test_another_crop_is_cut() -> None:
    assert greys(studio()[0], [pose(1), pose(2, at=0.3), pose(2, at=0.3)]) == [40, 200, 200]
    assert greys(studio(side_of_second=24)[0], [pose(1), pose(2)]) == [40, 200]


def test_the_pivot_before_stands_in_for_one_that_is_made_ready() -> None:
    animator, painter, stats = studio()
    coming = {3}
    animator._coming = coming.__contains__
    assert animator.plan(pose(3)) is None, "there is none before"
    assert greys(animator, [pose(1), pose(3), pose(3)]) == [40, 40, 40]
    assert stats.counters["pictures_by_earlier_pivot"] == 2
    assert not animator.stands(pose(3)), "it is drawn anew when it is there, also where nothing moves"
    assert animator.plan(pose(3, at=0.3)) is None, "another crop"
    coming.clear()
    assert animator.plan(pose(3)) is None, "it is not coming at all"
    image = np.full((16, 16, 3), 120, np.uint8)
    animator._cache.put(ReadyPivot(Pivot(3, 0.0, image, pose(3).keypoints), painter.encode(image, image), 0.0))
    assert greys(animator, [pose(3)] * 5) == [60, 80, 100, 120, 120]


def test_after_a_failure_nothing_old_is_mixed_in() -> None:
    animator, painter, _ = studio()
    greys(animator, [pose(1), pose(2)])
    painter.wrong = RuntimeError("cuda")
    drawing = animator.plan(pose(2))
    assert drawing is not None
    animator.draw(drawing)
    painter.wrong = None
    assert greys(animator, [pose(2)]) == [200]


@pytest.mark.parametrize(
    "wrong", [RuntimeError("cuda"), np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), np.nan, np.float32)]
)
def test_a_failure_leaves_the_last_picture(wrong: Image | Exception) -> None:
    animator, painter, stats = studio()
    assert greys(animator, [pose(1)]) == [40]
    painter.wrong = wrong
    drawing = animator.plan(pose(1))
    assert drawing is not None
    drawn = animator.draw(drawing)
    assert drawn is not None
    assert not drawn.fresh
    assert drawn.image[0, 0, 0] == 40
    assert stats.counters["drive_failed"] == 1


def test_a_failure_at_the_first_picture() -> None:
    animator, painter, _ = studio()
    painter.wrong = ValueError("no")
    drawing = animator.plan(pose(1))
    assert drawing is not None
    assert animator.draw(drawing) is None


def test_what_stands_already_needs_no_drawing() -> None:
    animator, _, _ = studio()
    assert not animator.stands(pose(1))
    greys(animator, [pose(1)])
    assert animator.stands(pose(1))
    assert not animator.stands(pose(1, at=0.01))
    assert not animator.stands(pose(2))
    greys(animator, [pose(2)])
    assert not animator.stands(pose(2))  # in the midst of a change
    greys(animator, [pose(2)] * 3)
    assert animator.stands(pose(2))


class Landscape(Painter):
    """Draws how far the background has moved."""

    moves_scene: ClassVar[Literal[True]] = True

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        return np.full((16, 16, 3), round(100 * scene.background.shift.real), np.uint8)


def panned(pivot_id: int, by: float) -> Pose:
    return replace(pose(pivot_id), scene=SceneMotion(Similarity(shift=complex(by))))


def test_the_scene_moves_also_under_a_still_face() -> None:
    animator, _, _ = studio()
    animator._reenactor = Landscape()
    assert greys(animator, [panned(1, 0.1), panned(1, 0.2)]) == [10, 20]
    assert animator.stands(panned(1, 0.2))
    assert not animator.stands(panned(1, 0.3))


def test_a_pivot_that_stands_in_keeps_the_scene_that_counted_from_it() -> None:
    _, _, stats = studio()
    cache = PivotCache()
    image = np.full((16, 16, 3), 9, np.uint8)
    cache.put(ReadyPivot(Pivot(1, 0.0, image, pose(1).keypoints), image, 0.0))
    animator = Animator(Landscape(), cache, stats, coming=lambda pivot_id: True)
    assert greys(animator, [panned(1, 0.5), panned(2, 0.1), panned(2, 0.2)]) == [50, 50, 50]
