"""When the adaptive selector sends, in literal numbers: flaws come from the test, not from pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, LID_LEFT, LID_RIGHT, Keypoints
from avcall.sender.adaptive_selector import AdaptiveSelector
from avcall.sender.crop import Crop
from avcall.sender.selector import Reason, SentPivot, Sight

CROP = Crop(0, 0, 256)
LINK_BYTES, KEY_BYTES = 750, 4412
"""A link takes two seconds of the budget at 3 kbit/s, and so it is expected to: 0.17 of the key frame."""


def face(x: float = 0.0) -> Keypoints:
    points = np.zeros((10, 2), np.float32)
    points[EYE_LEFT], points[EYE_RIGHT] = (-0.25, 0.0), (0.25, 0.0)
    points[LID_LEFT], points[LID_RIGHT] = (-0.15, -0.05), (0.15, -0.05)
    return points + np.float32(x)


def sight(x: float = 0.0, crop: Crop = CROP) -> Sight:
    return Sight(face(x), crop, calm=True)


@dataclass
class Played:
    """Plays 25 frames a second; a pivot is there four frames after it was sent."""

    selector: AdaptiveSelector = field(default_factory=lambda: AdaptiveSelector(3.0, max_age_ms=1e9))
    frame: int = 0
    size_bytes: int = LINK_BYTES
    sent: list[tuple[float, Reason]] = field(default_factory=list)
    checked: list[list[int]] = field(default_factory=list)
    arrivals: dict[int, int] = field(default_factory=dict)

    def seconds(self, seconds: float, flaws: dict[int, float], otherwise: float = 0.0) -> list[tuple[float, Reason]]:
        """`flaws` of pivots by id; the pivots sent from now on have `otherwise`. Returns what was sent, and when."""
        before = len(self.sent)
        for _ in range(round(seconds * 25)):
            now_ms = self.frame * 40.0
            if self.frame in self.arrivals:
                self.selector.acknowledged(self.arrivals.pop(self.frame))
            chosen = [pivot.pivot_id for pivot in self.selector.to_check(sight(), now_ms)]
            if chosen:
                self.checked.append(chosen)
                self.selector.checked({key: flaws.get(key, otherwise) for key in chosen}, now_ms)
            reason = self.selector.wants(sight(), now_ms)
            if reason is not None:
                size_bytes = self.size_bytes if self.sent else KEY_BYTES
                pivot = SentPivot(len(self.sent), CROP, face(), now_ms, size_bytes=size_bytes, key=not self.sent)
                self.arrivals[self.frame + 4] = len(self.sent)
                self.sent.append((now_ms, reason))
                self.selector.sent(pivot)
            self.selector.refer(sight())
            self.frame += 1
        return self.sent[before:]

    def reference(self) -> int:
        pivot = self.selector.refer(sight())
        assert pivot is not None
        return pivot.pivot_id


def test_nothing_more_is_sent_while_all_looks_well() -> None:
    call = Played()
    assert call.seconds(30.0, {0: 0.003}) == [(0.0, Reason.START)]


def test_a_look_that_keypoints_cannot_carry_brings_a_pivot_soon() -> None:
    call = Played()
    call.seconds(8.0, {0: 0.003})
    (sent,) = call.seconds(2.0, {0: 0.2})  # a hand: keypoints have not moved at all
    assert sent[1] is Reason.LOOK
    assert 8000.0 < sent[0] <= 8600.0


def test_a_passing_blur_does_not_count() -> None:
    call = Played()
    call.seconds(8.0, {0: 0.0})
    assert call.seconds(0.2, {0: 0.4}) == []  # one check
    assert call.seconds(5.0, {0: 0.0}) == []


def test_a_small_lasting_flaw_waits_until_it_has_added_up() -> None:
    call = Played()
    call.seconds(8.0, {0: 0.0})
    times = [time for time, _ in call.seconds(10.0, {0: 0.01})]
    # 0.01 t x 0.01 > 0.005 x 2 s x exp(-3), all being saved that can be, from t = 5.0 s on
    assert times[0] - 8000.0 == pytest.approx(5000.0, abs=250.0)


@pytest.mark.parametrize(("size_bytes", "waited_ms"), [(LINK_BYTES, 5000.0), (LINK_BYTES // 4, 1250.0)])
def test_a_link_is_expected_to_take_what_links_took(size_bytes: int, waited_ms: float) -> None:
    selector = AdaptiveSelector(3.0, 1e9)
    for number in range(21):
        took = size_bytes if number else KEY_BYTES
        selector.wants(sight(), 4000.0 * number)
        selector.sent(SentPivot(number, CROP, face(), 4000.0 * number, size_bytes=took, key=not number))
        selector.acknowledged(number)
    selector.checked({20: 0.0}, 90_000.0)
    now_ms = 90_000.0
    while selector.wants(sight(), now_ms) is None:
        now_ms += 200.0
        selector.checked({20: 0.01}, now_ms)
    assert now_ms - 90_000.0 == pytest.approx(waited_ms, abs=250.0)


@pytest.mark.parametrize("kbps", [1.5, 3.0, 6.0])
def test_the_budget_is_kept_whatever_happens(kbps: float) -> None:
    call = Played(AdaptiveSelector(kbps, max_age_ms=1e9))
    sent = call.seconds(60.0, {}, otherwise=0.3)
    spent_kbps = (len(sent) - 1) * LINK_BYTES * 8 / 60_000
    assert 0.75 * kbps < spent_kbps < 1.1 * kbps


def test_what_coding_did_is_not_held_against_a_pivot() -> None:
    grainy, clean = AdaptiveSelector(3.0, 1e9), AdaptiveSelector(3.0, 1e9)
    reasons = []
    for selector, flaw in ((grainy, 0.1), (clean, 0.0)):
        selector.wants(sight(), 0.0)
        selector.sent(SentPivot(0, CROP, face(), 0.0, size_bytes=3000, key=True, flaw=flaw))
        selector.acknowledged(0)
        for number in range(1, 20):
            selector.checked({0: 0.1}, 200.0 * number)
        reasons.append(selector.wants(sight(), 4000.0))
    assert reasons == [None, Reason.LOOK]


def test_frames_refer_to_the_pivot_that_looks_best() -> None:
    call = Played()
    call.seconds(2.0, {0: 0.2})
    assert len(call.sent) == 2
    call.seconds(1.0, {0: 0.2, 1: 0.01})
    assert call.reference() == 1
    call.seconds(1.0, {0: 0.0095, 1: 0.01})
    assert call.reference() == 1  # not enough better
    call.seconds(1.0, {0: 0.005, 1: 0.01})
    assert call.reference() == 0  # the pose is back: no new picture needed
    assert len(call.sent) == 2


def test_checks_are_few() -> None:
    call = Played()
    call.seconds(10.0, {0: 0.003})
    assert len(call.checked) == pytest.approx(50, abs=2)
    assert set(map(tuple, call.checked)) == {(0,)}


def test_a_check_compares_at_most_three_and_the_others_in_turn() -> None:
    call = Played(AdaptiveSelector(30.0, max_age_ms=1e9))
    call.seconds(6.0, {}, otherwise=0.2)
    assert max(map(len, call.checked)) <= 3
    assert len({key for chosen in call.checked[-8:] for key in chosen}) >= 4


def test_requests_and_new_crops_do_not_wait_for_the_budget() -> None:
    call = Played(size_bytes=20_000)
    call.seconds(3.0, {}, otherwise=0.3)
    spent = len(call.sent)
    assert call.seconds(5.0, {}, otherwise=0.3) == []
    now_ms = call.frame * 40.0
    assert call.selector.wants(sight(crop=Crop(10, 0, 256)), now_ms) is Reason.CROP
    call.selector.request(now_ms)
    assert call.selector.wants(sight(), now_ms) is Reason.REQUEST
    assert len(call.sent) == spent


def test_findings_about_pivots_it_no_longer_has_are_ignored() -> None:
    selector = AdaptiveSelector(3.0, 1e9)
    selector.checked({5: 0.5}, 1000.0)
    assert selector.reference() is None


def turned(selector: AdaptiveSelector) -> None:
    """Two pivots, the second of a head 0.4 eye distances away; the first was checked."""
    for number, x in ((0, 0.0), (1, 0.2)):
        selector.sent(SentPivot(number, CROP, face(x), 40.0 * number, size_bytes=LINK_BYTES))
        selector.acknowledged(number)
        if number == 0:
            check(selector, 0.0, {0: 0.02}, 0.0)


def check(selector: AdaptiveSelector, x: float, flaws: dict[int, float], now_ms: float) -> None:
    assert selector.to_check(sight(x), now_ms)
    selector.checked(flaws, now_ms)


def reference_of(selector: AdaptiveSelector, x: float) -> int:
    pivot = selector.refer(sight(x))
    assert pivot is not None
    return pivot.pivot_id


def test_a_pivot_that_arrives_when_the_head_has_turned_back_waits_for_a_check() -> None:
    selector = AdaptiveSelector(3.0, max_age_ms=1e9)
    turned(selector)
    assert reference_of(selector, 0.02) == 0
    check(selector, 0.02, {0: 0.05, 1: 0.01}, 300.0)  # whatever keypoints say
    assert reference_of(selector, 0.02) == 1
    there = AdaptiveSelector(3.0, max_age_ms=1e9)
    turned(there)
    assert reference_of(there, 0.2) == 1


def test_what_a_check_found_holds_while_the_head_stays_where_it_was() -> None:
    selector = AdaptiveSelector(3.0, max_age_ms=1e9)
    turned(selector)
    check(selector, 0.2, {0: 0.05, 1: 0.01}, 300.0)
    assert [reference_of(selector, x) for x in (0.2, 0.15, 0.05, 0.0)] == [1, 1, 0, 0]
    assert reference_of(selector, 0.2) == 1
