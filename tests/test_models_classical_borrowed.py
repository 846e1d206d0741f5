"""Mouths of earlier pivots: which is borrowed, what fits, and what it does to a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avcall.common.keypoints import (
    EYE_LEFT,
    EYE_RIGHT,
    LOWER_LIP,
    MESH_INDICES,
    NOSE,
    UPPER_LIP,
    Image,
    Keypoints,
)
from avcall.models.classical import ClassicalReenactor
from avcall.models.classical_borrowed import EDGE, KEPT, choose, kept, mouth_pose, mouth_share, toned
from avcall.models.classical_face import move_face
from avcall.models.classical_openings import MOUTH, hole_window
from avcall.models.interfaces import FollowsPivots, ModelId, followed
from avcall.models.reenactment.config import LITE
from avcall.models.reenactment.generator import ReenactmentNetwork
from avcall.models.reenactment.painter import NetworkPainter
from avcall.models.reenactment.reenactor import NetworkReenactor
from tests.classical_portrait import portrait_face, portrait_keypoints
from tests.classical_portrait import talking as portrait_talking

CLOSED, OPEN = 0.05, 0.9


def face(gap: float, nose_x: float = 0.0) -> Keypoints:
    """Outer eye corners 0.5 apart, the nose below their middle, lips `gap` apart."""
    points = np.zeros((10, 2), np.float32)
    points[EYE_LEFT], points[EYE_RIGHT], points[NOSE] = (-0.25, 0.0), (0.25, 0.0), (nose_x, 0.2)
    points[UPPER_LIP], points[LOWER_LIP] = (0.0, 0.4), (0.0, 0.4 + gap)
    return points


def test_the_opening_is_told_in_eye_distances_and_a_turned_head_has_the_same() -> None:
    assert mouth_pose(face(0.1)).opening == pytest.approx(0.2)
    assert mouth_pose(face(0.1, nose_x=0.1)).nose == pytest.approx((0.2, 0.4))
    turned = face(0.1)
    turned[EYE_LEFT, 0], turned[EYE_RIGHT, 0], turned[NOSE] = -0.15, 0.15, (0.2, 0.24)
    assert mouth_pose(turned).opening == pytest.approx(0.2, abs=0.001)


def chosen(driving: Keypoints, own: Keypoints, *others: Keypoints) -> tuple[int, float] | None:
    return choose(mouth_pose(driving), mouth_pose(own), [mouth_pose(other) for other in others])


def test_the_mouth_opened_most_alike_is_chosen() -> None:
    others = face(0.0), face(0.09), face(0.2)
    assert chosen(face(0.1), face(0.02), *others) == (1, 1.0)
    assert chosen(face(0.19), face(0.02), *others) == (2, 1.0)


def test_nothing_is_borrowed_where_the_own_mouth_is_nearest() -> None:
    assert chosen(face(0.1), face(0.101), face(0.0), face(0.12)) is None
    assert chosen(face(0.1), face(0.0)) is None


def test_a_mouth_that_is_hardly_nearer_is_borrowed_in_part() -> None:
    # apart by 0.005 of an eye distance, half of what it takes
    assert chosen(face(0.1), face(0.0975), face(0.1)) == (0, pytest.approx(0.5, abs=0.01))


def test_a_mouth_seen_from_another_side_counts_as_less_alike() -> None:
    assert chosen(face(0.1), face(0.0), face(0.1, nose_x=0.2), face(0.105)) == (1, 1.0)


def test_mouths_as_unlike_as_possible_are_kept_and_of_two_alike_the_later() -> None:
    gaps = [0.30, 0.0, 0.05, 0.10, 0.15, 0.20, 0.101]
    left = kept(gaps, lambda gap: mouth_pose(face(gap)))
    assert len(left) == KEPT == 6
    assert left == (0.3, 0.0, 0.05, 0.15, 0.2, 0.101)
    assert kept([0.1] * 3, lambda gap: mouth_pose(face(gap))) == (0.1, 0.1, 0.1)


def test_the_share_fades_out_around_the_lips() -> None:
    motion = move_face(portrait_face(), portrait_keypoints())
    window = hole_window(motion.moved, portrait_face(), MOUTH, 256, margin=0.4)
    assert window is not None
    share = mouth_share(window, 256, motion, portrait_face().unit)
    assert share.shape == (window.height, window.width)
    corner = (motion.moved[61, :2] + 1.0) * 127.5 - (window.left, window.top)
    x, y = corner.round().astype(int)
    assert share[y, x + 6] == 1.0, "within the lips"
    reach = round(EDGE * portrait_face().unit * 127.5)
    assert share[y, x - reach // 2] == pytest.approx(0.5, abs=0.1)
    assert share[y, x - reach - 2] == 0.0
    assert share[0].max() == 0.0


def share_of_a_mouth() -> NDArray[np.float32]:
    """1 in the middle column, fading out to the sides."""
    return np.full((5, 5), [0.0, 0.5, 1.0, 0.5, 0.0], np.float32)


def levels(level: float) -> NDArray[np.float32]:
    """A picture of one grey."""
    return np.full((5, 5, 3), level, np.float32)


def test_a_mouth_takes_on_the_tone_of_the_skin_around_it() -> None:
    part, other = levels(150.0), levels(140.0)
    other[:, 2] = 40.0  # dark between the lips
    assert toned(part, other, share_of_a_mouth()) == 1.0
    assert other[0, :, 0].tolist() == [150.0, 150.0, 50.0, 150.0, 150.0]
    assert (part == 150.0).all()


def test_a_mouth_in_another_skin_does_not_fit() -> None:
    part = levels(150.0)
    assert toned(part, levels(30.0), share_of_a_mouth()) == 0.0
    rough = levels(150.0)
    rough[::2] += 60.0
    assert toned(part, rough, share_of_a_mouth()) == 0.0


def test_without_skin_around_it_a_mouth_does_not_fit() -> None:
    assert toned(levels(150.0), levels(150.0), np.zeros((5, 5), np.float32)) == 0.0


def talking(mouth: float) -> tuple[Image, Keypoints]:
    """The portrait with its mouth opened so far, and its keypoints."""
    picture, mesh = portrait_talking(mouth)
    return picture, np.ascontiguousarray(mesh[list(MESH_INDICES), :2], dtype=np.float32)


def mouth_error(shown: Image, truth: Image, points: Keypoints) -> float:
    """Mean difference in levels within the parted lips and close to them, at the size of the portrait."""
    x, y = ((points[[UPPER_LIP, LOWER_LIP]].mean(axis=0) + 1) * (len(truth) - 1) / 2).round().astype(int)
    reach = len(truth) // 16
    part = np.s_[y - reach : y + reach, x - reach : x + reach]
    return float(np.abs(shown[part].astype(int) - truth[part]).mean())


def larger(picture: Image, side: int) -> Image:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@pytest.fixture(scope="module", params=["classical", "network"])
def reenactor(request: pytest.FixtureRequest) -> ClassicalReenactor | NetworkReenactor:
    torch.manual_seed(0)
    untrained = ModelId("untrained", "0" * 8)
    if request.param == "classical":
        return ClassicalReenactor()
    return NetworkReenactor(NetworkPainter(ReenactmentNetwork(LITE), "cpu"), untrained)


@pytest.mark.parametrize("side", [256, 512])
def test_an_open_mouth_is_taken_from_a_pivot_that_showed_it(
    reenactor: ClassicalReenactor | NetworkReenactor, side: int
) -> None:
    (shut, shut_points), (wide, wide_points) = talking(CLOSED), talking(OPEN)
    assert isinstance(reenactor, FollowsPivots)
    alone = reenactor.encode(larger(shut, side), shut_points)
    after = followed(reenactor, alone, reenactor.encode(larger(wide, side), wide_points))
    truth = larger(wide, side)
    without, borrowed = (
        mouth_error(reenactor.drive(encoded, wide_points), truth, wide_points) for encoded in (alone, after)
    )
    assert without > 15.0
    assert borrowed < 0.4 * without
    own = [reenactor.drive(encoded, shut_points).astype(int) for encoded in (alone, after)]
    assert np.array_equal(*own), "its own pose is drawn from itself"


def test_pivots_that_follow_each_other_keep_few_and_no_chain(reenactor: ClassicalReenactor | NetworkReenactor) -> None:
    picture, points = talking(OPEN)
    encoded = reenactor.encode(picture, points)
    for _ in range(KEPT + 2):
        encoded = reenactor.follow(reenactor.encode(picture, points), encoded)
    assert len(encoded.others) == KEPT
    assert all(not other.others for other in encoded.others)


def test_a_pivot_that_is_shown_again_borrows_of_later_ones_and_not_of_itself(
    reenactor: ClassicalReenactor | NetworkReenactor,
) -> None:
    (shut, shut_points), (wide, wide_points) = talking(CLOSED), talking(OPEN)
    first = reenactor.encode(shut, shut_points)
    second = reenactor.follow(reenactor.encode(wide, wide_points), first)
    again = reenactor.follow(first, second)
    assert [len(one.others) for one in (first, second, again)] == [0, 1, 1]
    without, borrowed = (
        mouth_error(reenactor.drive(one, wide_points), larger(wide, 256), wide_points) for one in (first, again)
    )
    assert borrowed < 0.4 * without
    third = reenactor.follow(reenactor.encode(wide, wide_points), again)
    assert len(third.others) == 2
    assert len(reenactor.follow(again, third).others) == 2


def test_a_pivot_of_another_size_lends_nothing() -> None:
    reenactor = ClassicalReenactor()
    picture, points = talking(OPEN)
    small, large = reenactor.encode(picture, points), reenactor.encode(larger(picture, 512), points)
    assert reenactor.follow(large, small).others == ()


def test_a_pivot_without_a_face_neither_lends_nor_borrows() -> None:
    reenactor = ClassicalReenactor()
    picture, points = talking(OPEN)
    nothing = reenactor.encode(np.full((256, 256, 3), 128, np.uint8), points)
    shut, shut_points = talking(CLOSED)
    encoded = reenactor.encode(shut, shut_points)
    alone, after = (reenactor.drive(one, points) for one in (encoded, reenactor.follow(encoded, nothing)))
    assert np.array_equal(alone, after)
    grey = reenactor.follow(nothing, reenactor.encode(picture, points))
    assert (reenactor.drive(grey, shut_points) == 128).all()


def test_a_reenactor_that_does_not_follow_is_left_alone() -> None:
    assert followed(object(), "encoded", "before") == "encoded"
    assert followed(ClassicalReenactor(), "encoded", None) == "encoded"
