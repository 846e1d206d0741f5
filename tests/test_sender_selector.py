"""Which frames become pivots, and which pivot a frame refers to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, LID_LEFT, LID_RIGHT, LOWER_LIP, NOSE, UPPER_LIP, Keypoints
from avcall.sender.crop import Crop
from avcall.sender.selector import (
    CACHED,
    FAR,
    GOOD_WITHIN_MS,
    IN_FLIGHT_MS,
    MIN_INTERVAL_MS,
    MOUTH_WITHIN_MS,
    Reason,
    SentPivot,
    Sight,
    SimpleSelector,
    distance,
    opening,
)

HERE, THERE = Crop(0, 0, 200), Crop(50, 0, 200)


def pose(shift: float = 0.0, lids: float = -0.10) -> Keypoints:
    """A face with eye corners one half apart; `shift` moves all of it, in distances between the corners."""
    points = np.zeros((10, 2), dtype=np.float32)
    points[EYE_LEFT], points[EYE_RIGHT] = (-0.25, -0.2), (0.25, -0.2)
    points[LID_LEFT], points[LID_RIGHT] = (-0.15, -0.2 + 0.5 * lids), (0.15, -0.2 + 0.5 * lids)
    points[:, 0] += 0.5 * shift
    return points


def sight(
    shift: float = 0.0, crop: Crop = HERE, calm: bool = True, returned: bool = False, lids: float = -0.10
) -> Sight:
    return Sight(pose(shift, lids), crop, calm, returned)


def started(at_ms: float = 0.0) -> SimpleSelector:
    """One pivot of `pose()`, number 0, sent and acknowledged."""
    selector = SimpleSelector(10_000.0)
    assert selector.wants(sight(), at_ms) is Reason.START
    send(selector, 0, at_ms)
    return selector


def send(
    selector: SimpleSelector, number: int, at_ms: float, shift: float = 0.0, crop: Crop = HERE, ack: bool = True
) -> None:
    selector.sent(SentPivot(number, crop, pose(shift), at_ms))
    if ack:
        selector.acknowledged(number)


def refers_to(selector: SimpleSelector, what: Sight) -> int:
    pivot = selector.refer(what)
    assert pivot is not None
    return pivot.pivot_id


def test_the_distance_is_in_eye_distances() -> None:
    assert distance(pose(0.3), pose()) == pytest.approx(0.3)
    assert opening(pose(lids=-0.10)) == pytest.approx(0.10)


def watched(selector: SimpleSelector, begin_ms: float, lids: float = -0.10) -> SimpleSelector:
    """Two seconds of the same face: now its usual opening is known."""
    for number in range(50):
        assert selector.wants(sight(lids=lids), begin_ms + 40.0 * number) in (None, Reason.EYES)
    return selector


def test_a_pivot_with_shut_eyes_is_replaced_once_by_one_with_open_eyes() -> None:
    selector = SimpleSelector(10_000.0)
    assert selector.wants(sight(lids=-0.05), 0.0) is Reason.START
    selector.sent(SentPivot(0, HERE, pose(lids=-0.05), 0.0))
    selector.acknowledged(0)
    watched(selector, 40.0)
    assert selector.wants(sight(lids=-0.05), 2_040.0) is None  # a blink will not do
    assert selector.wants(sight(), 2_080.0) is Reason.EYES
    send(selector, 1, 2_080.0)
    assert refers_to(selector, sight()) == 1
    assert refers_to(selector, sight(lids=-0.05)) == 1
    watched(selector, 2_120.0)
    assert selector.wants(sight(), 5_000.0) is None


def test_the_first_pivot_waits_for_the_end_of_a_blink_but_not_for_long() -> None:
    selector = SimpleSelector(10_000.0)
    assert selector.wants(sight(lids=-0.02), 0.0) is None
    assert selector.wants(sight(lids=-0.02), 40.0) is None
    assert selector.wants(sight(lids=-0.05), 80.0) is Reason.START
    narrow = SimpleSelector(10_000.0)
    asked = [narrow.wants(sight(lids=-0.02), 40.0 * number) for number in range(7)]
    assert asked == [None] * 6 + [Reason.START]
    asked_for = SimpleSelector(10_000.0)
    asked_for.request(0.0)
    assert asked_for.wants(sight(lids=-0.02), 0.0) is Reason.REQUEST


def test_eyes_that_begin_narrow_need_not_be_open_for_as_long() -> None:
    selector = SimpleSelector(10_000.0)
    assert selector.wants(sight(lids=-0.05), 0.0) is Reason.START
    selector.sent(SentPivot(0, HERE, pose(lids=-0.05), 0.0))
    selector.acknowledged(0)
    lids = [-0.05] * 49 + [-0.10] * 10
    reasons = [selector.wants(sight(lids=one), 40.0 + 40.0 * number) for number, one in enumerate(lids)]
    assert reasons.index(Reason.EYES) == 49 + 4  # five of the last ten are open


def test_raised_brows_are_no_reason_for_a_pivot() -> None:
    selector = watched(started(), 40.0)
    assert {selector.wants(sight(lids=-0.13), 2_040.0 + 40.0 * number) for number in range(20)} == {None}


def talking(at_ms: float, gap: float, calm: bool = True) -> tuple[Sight, float]:
    """A frame with the lips `gap` eye distances apart, and its time."""
    points = pose()
    points[NOSE], points[UPPER_LIP], points[LOWER_LIP] = (0.0, 0.0), (0.0, 0.2), (0.0, 0.2 + 0.5 * gap)
    return Sight(points, HERE, calm), at_ms


def test_a_mouth_wider_than_pivots_show_it_is_sent_once() -> None:
    selector = SimpleSelector(10_000.0)
    assert selector.wants(*talking(0.0, 0.02)) is Reason.START
    selector.sent(SentPivot(0, HERE, talking(0.0, 0.02)[0].keypoints, 0.0))
    selector.acknowledged(0)
    gaps = [0.02, 0.06, 0.10, 0.06] * 10
    assert [selector.wants(*talking(2000.0 + 40.0 * n, gap)) for n, gap in enumerate(gaps[:2])] == [None, None]
    wide, at_ms = talking(2080.0, 0.10)
    assert selector.wants(wide, at_ms) is Reason.MOUTH
    selector.sent(SentPivot(1, HERE, wide.keypoints, at_ms))
    selector.acknowledged(1)
    assert not any(selector.wants(*talking(4000.0 + 40.0 * n, gap)) for n, gap in enumerate(gaps))
    selector.request(6000.0)
    assert selector.wants(*talking(6000.0, 0.02)) is Reason.REQUEST
    selector.sent(SentPivot(2, HERE, talking(6000.0, 0.02)[0].keypoints, 6000.0))
    selector.acknowledged(2)
    asked = [selector.wants(*talking(8000.0 + 40.0 * n, gap)) for n, gap in enumerate(gaps)]
    assert Reason.MOUTH in asked, "a receiver that has lost its pivots has lost that mouth, too"


def test_who_comes_back_is_asked_for_a_wide_mouth_again() -> None:
    selector = SimpleSelector(100_000.0)
    selector.sent(SentPivot(0, HERE, talking(0.0, 0.20)[0].keypoints, 0.0))
    selector.acknowledged(0)
    gaps = [0.02, 0.10] * 10
    assert not any(selector.wants(*talking(2000.0 + 40.0 * n, gap)) for n, gap in enumerate(gaps))
    back, at_ms = talking(4000.0, 0.02)
    assert selector.wants(replace(back, returned=True), at_ms) is Reason.FACE_RETURN
    selector.sent(SentPivot(1, HERE, back.keypoints, at_ms))
    selector.acknowledged(1)
    assert Reason.MOUTH in [selector.wants(*talking(6000.0 + 40.0 * n, gap)) for n, gap in enumerate(gaps)]


def test_a_pivot_waits_for_a_wide_mouth_but_not_for_long() -> None:
    selector = SimpleSelector(2_000.0)
    selector.sent(SentPivot(0, HERE, talking(0.0, 0.02)[0].keypoints, 0.0))
    selector.acknowledged(0)
    for number, gap in enumerate([0.02, 0.10, 0.10, 0.02] * 10):
        selector.wants(*talking(40.0 * number, gap, calm=False))
    assert selector.wants(*talking(2_000.0, 0.02)) is None
    assert selector.wants(*talking(2_000.0 + MOUTH_WITHIN_MS - 40.0, 0.02)) is None
    assert selector.wants(*talking(2_000.0 + MOUTH_WITHIN_MS - 20.0, 0.09)) is Reason.AGE
    assert selector.wants(*talking(2_000.0 + MOUTH_WITHIN_MS, 0.02)) is Reason.AGE


def test_a_person_with_narrow_eyes_is_not_taken_for_asleep() -> None:
    selector = SimpleSelector(10_000.0)
    selector.wants(sight(lids=-0.03), 0.0)
    selector.sent(SentPivot(0, HERE, pose(lids=-0.03), 0.0))
    selector.acknowledged(0)
    asked = [t for t in range(40, 9_000, 40) if selector.wants(sight(lids=-0.03), float(t))]
    assert asked == []


def test_the_first_face_is_a_pivot_whatever_it_looks_like() -> None:
    assert SimpleSelector(10_000.0).wants(sight(calm=False), 0.0) is Reason.START


def test_before_the_first_acknowledgement_frames_refer_to_what_was_sent() -> None:
    selector = SimpleSelector(10_000.0)
    assert selector.refer(sight()) is None
    send(selector, 0, 0.0, ack=False)
    assert refers_to(selector, sight()) == 0


def test_age() -> None:
    selector = started()
    assert selector.wants(sight(), 9_960.0) is None
    assert selector.wants(sight(), 10_000.0) is Reason.AGE


def test_a_pivot_that_can_wait_waits_for_a_good_frame_but_not_for_long() -> None:
    selector = watched(started(), 40.0)
    assert selector.wants(sight(calm=False), 10_000.0) is None
    assert selector.wants(sight(lids=-0.02), 10_040.0) is None
    assert selector.wants(sight(), 10_080.0) is Reason.AGE
    selector = started()
    asked = [t for t in range(10_000, 11_000, 40) if selector.wants(sight(calm=False), float(t))]
    assert asked[0] == 10_000 + GOOD_WITHIN_MS


def test_far_from_every_pivot() -> None:
    selector = started()
    assert selector.wants(sight(FAR - 0.02), 5_000.0) is None
    assert selector.wants(sight(FAR + 0.02), 5_040.0) is Reason.FAR


def test_a_head_that_comes_back_in_time_needs_no_pivot() -> None:
    selector = started()
    assert selector.wants(sight(FAR + 0.02, calm=False), 5_000.0) is None
    assert selector.wants(sight(), 5_040.0) is None
    assert selector.wants(sight(FAR + 0.02, calm=False), 5_080.0) is None


def test_a_head_that_is_leaving_waits_for_the_crop() -> None:
    selector = started()
    assert selector.wants(Sight(pose(1.0), HERE, calm=True, leaving=True), 5_000.0) is None
    assert selector.wants(Sight(pose(0.0), THERE, calm=True), 5_400.0) is Reason.CROP


def test_the_minimal_interval_holds() -> None:
    selector = started()
    asked = [t for t in range(0, 4_000, 40) if selector.wants(sight(FAR + 0.1), float(t))]
    assert asked[0] >= MIN_INTERVAL_MS


def test_a_pivot_on_its_way_is_not_replaced_too_soon() -> None:
    selector = started()
    send(selector, 1, 2_000.0, shift=0.4, ack=False)
    asked = [t for t in range(2_040, 8_000, 40) if selector.wants(sight(-0.5), float(t))]
    assert asked[0] == pytest.approx(2_000 + IN_FLIGHT_MS, abs=40)


def test_requests() -> None:
    selector = started()
    selector.request(300.0)  # crossed with the pivot
    assert selector.wants(sight(calm=False), 320.0) is None
    selector.request(2_000.0)
    assert selector.wants(sight(calm=False), 2_040.0) is Reason.REQUEST
    send(selector, 1, 2_040.0, ack=False)
    selector.request(3_000.0)  # it is coming
    assert selector.wants(sight(), 3_040.0) is None
    assert refers_to(selector, sight()) == 1  # what the receiver asked for it lacks: nothing older is there


def test_a_returning_face_gets_a_fresh_pivot() -> None:
    assert started().wants(sight(returned=True), 5_000.0) is Reason.FACE_RETURN


def test_a_new_crop_gets_a_pivot_and_is_used_when_that_has_arrived() -> None:
    selector = started()
    assert selector.wants(sight(crop=THERE), 5_000.0) is Reason.CROP
    send(selector, 1, 5_000.0, crop=THERE, ack=False)
    assert refers_to(selector, sight(crop=THERE)) == 0
    selector.acknowledged(1)
    assert refers_to(selector, sight(crop=THERE)) == 1
    assert refers_to(selector, sight(0.5, crop=THERE)) == 1  # never back to the old crop


def test_a_pose_that_returns_reuses_its_pivot() -> None:
    selector = started()
    send(selector, 1, 5_000.0, shift=0.6)
    assert refers_to(selector, sight(0.6)) == 1
    assert refers_to(selector, sight(0.0)) == 0
    assert selector.wants(sight(0.0), 7_000.0) is None


def test_no_flicker_between_two_pivots() -> None:
    selector = started()
    send(selector, 1, 5_000.0, shift=0.4)
    chosen = [refers_to(selector, sight(0.2 + 0.02 * (-1) ** n)) for n in range(50)]
    assert len(set(chosen)) == 1


def test_only_acknowledged_pivots_are_referred_to() -> None:
    selector = started()
    send(selector, 1, 5_000.0, shift=0.6, ack=False)
    assert refers_to(selector, sight(0.6)) == 0
    selector.acknowledged(99)
    assert refers_to(selector, sight(0.6)) == 0


def test_few_are_kept_and_the_one_in_use_among_them() -> None:
    selector = started()
    for number in range(1, 8):
        send(selector, number, 2_000.0 * number, shift=0.5 + number)
        assert refers_to(selector, sight(0.0)) == 0
    assert refers_to(selector, sight(7.5)) == 7
    assert refers_to(selector, sight(0.5 + 7 - CACHED + 1)) in range(7 - CACHED + 1, 8)


def test_waiting_for_open_eyes_puts_nothing_else_off() -> None:
    selector = started()
    for number in range(30):  # wide open eyes: by comparison the pivot's are shut
        selector.wants(sight(lids=-0.20), 40.0 * number)
    for number in range(30, 60):  # now they are shut and stay shut
        assert selector.wants(sight(lids=-0.02), 40.0 * number) is None
    asked = {selector.wants(sight(crop=THERE, lids=-0.02), 2_500.0 + 40.0 * number) for number in range(20)}
    assert Reason.CROP in asked
