"""Pacing, parity and resending of pivots."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.pivot_format import PivotAck, PivotSlice, join_slices
from avcall.sender.pivot_sender import (
    BACKOFF,
    FIRST_RESEND_MS,
    FIRST_WAITS_MS,
    OVERHEAD_BYTES,
    RIDES_MOST_BYTES,
    RIDING_BYTES,
    PivotSender,
    parities,
)

SLICE_BYTES = 500 - OVERHEAD_BYTES
SLICE_MS = 500 * 8 / 60
"""At 60 kbit/s."""
RIDDEN_MS = (SLICE_BYTES + RIDING_BYTES) * 8 / 60
"""In a bundle."""


def slices(pivot_id: int, count: int) -> list[PivotSlice]:
    length = count * SLICE_BYTES
    return [PivotSlice(pivot_id, index, count, length, bytes([index]) * SLICE_BYTES) for index in range(count)]


def play(sender: PivotSender, begin_ms: float, end_ms: float) -> list[tuple[float, int, int]]:
    """(time, pivot, index) of all that is sent, waking only when the sender asks for it."""
    sent = []
    now_ms = begin_ms
    while True:
        sent += [(now_ms, part.pivot_id, part.index) for part in sender.take(now_ms)]
        due_ms = sender.due_ms
        if due_ms is None or due_ms > end_ms:
            return sent
        now_ms = max(now_ms, due_ms)


def ack(pivot_id: int, *indices: int) -> PivotAck:
    return PivotAck(pivot_id, frozenset(indices))


def test_slices_leave_at_the_pace_the_first_pivot_too() -> None:
    sender = PivotSender(pace_kbps=60)
    sender.offer(0, slices(0, 3), 1000.0)
    sent = play(sender, 1000.0, 1190.0)
    assert [index for _, _, index in sent] == [0, 1, 2]
    assert [time for time, _, _ in sent] == pytest.approx([1000.0, 1000 + SLICE_MS, 1000 + 2 * SLICE_MS])
    sender.pace_kbps = 30
    assert sender.acknowledge(ack(0, 0, 1, 2), 1190.0)
    sender.offer(1, slices(1, 3), 1190.0)
    times = [time for time, _, _ in play(sender, 1190.0, 1500.0)]
    assert times == pytest.approx([1000 + 3 * SLICE_MS, 1000 + 5 * SLICE_MS, 1000 + 7 * SLICE_MS])


def test_only_what_is_lacking_is_resent() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 3), 0.0)
    last_ms = play(sender, 0.0, 150.0)[-1][0]
    assert not sender.acknowledge(ack(0, 0, 2), 140.0)
    again = play(sender, 150.0, last_ms + FIRST_RESEND_MS + 1)
    assert again == [(pytest.approx(last_ms + FIRST_RESEND_MS), 0, 1)]
    assert sender.acknowledge(ack(0, 0, 1, 2), 400.0)
    assert not sender.busy
    assert sender.due_ms is None
    assert play(sender, 400.0, 60_000.0) == []


def test_resends_back_off_while_nobody_answers() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 1), 0.0)
    rounds = [time for time, _, index in play(sender, 0.0, 20_000.0) if index == 0]
    waits = np.diff(rounds)
    assert waits[:3] == pytest.approx([FIRST_RESEND_MS] * 3, abs=2 * SLICE_MS)
    assert waits[3] == pytest.approx(FIRST_RESEND_MS * BACKOFF, abs=2 * SLICE_MS)
    assert waits[-1] > 2 * waits[4]
    assert 3000.0 <= waits[-1] <= 3000.0 + 2 * SLICE_MS


def test_the_resend_wait_follows_the_round_trip() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 1), 0.0)
    sender.take(0.0)
    sender.acknowledge(ack(0, 0), 190.0)  # before any resend: a clean sample
    sender.offer(1, slices(1, 1), 1000.0)
    assert play(sender, 1000.0, 1400.0) == [(1000.0, 1, 0), (1285.0, 1, 0)]


def test_the_first_pivot_s_own_slices_say_how_long_an_answer_takes() -> None:
    sender = PivotSender(pace_kbps=8)
    sender.offer(0, slices(0, 3), 0.0)
    sent = play(sender, 0.0, 600.0)
    assert not sender.acknowledge(ack(0, 0), 700.0)
    sent += play(sender, 700.0, 1_900.0)
    assert [index for _, _, index in sent] == [0, 1, 2]  # the last is not sent again before 1.5 * 700 ms
    assert play(sender, 1_900.0, 2_100.0) == [(pytest.approx(1_000.0 + 1_050.0), 0, 1)]


def test_a_newer_pivot_replaces_an_older_one_whose_late_acknowledgement_still_counts() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 3), 0.0)
    sender.take(0.0)
    sender.offer(1, slices(1, 2), 10.0)
    assert {pivot for _, pivot, _ in play(sender, 10.0, 150.0)} == {1}
    assert not sender.acknowledge(ack(0, 0, 1), 160.0)
    assert sender.acknowledge(ack(0, 0, 1, 2), 170.0)
    assert sender.busy
    assert sender.acknowledge(ack(1, 0, 1), 180.0)
    assert sender.acknowledge(ack(1, 0, 1), 190.0)  # repeated: still true
    assert not sender.acknowledge(ack(7, 0), 200.0)


@pytest.mark.parametrize(
    ("count", "loss", "extra"),
    [(1, 0.0, 0), (1, 0.05, 0), (1, 0.11, 1), (1, 0.3, 1), (1, 0.35, 2), (4, 0.02, 0), (4, 0.1, 1), (4, 0.3, 4)],
)
def test_parity_is_the_least_that_does(count: int, loss: float, extra: int) -> None:
    # one slice and one parity at 0.3: 1 - 0.09 = 0.91; four and four: 0.942, four and three: 0.874
    assert parities(count, loss) == extra


def test_losses_bring_parity_and_their_end_takes_it_away() -> None:
    sender = PivotSender(pace_kbps=600)
    extra = []
    for number in range(40):
        begin_ms = number * 2000.0
        sender.offer(number, slices(number, 4), begin_ms)
        sent = [index for _, _, index in play(sender, begin_ms, begin_ms + FIRST_RESEND_MS - 1)]
        extra.append(len(sent) - 4)
        sender.acknowledge(ack(number, *(index for index in sent if number >= 20 or index % 3)), begin_ms + 250.0)
        play(sender, begin_ms + 250.0, begin_ms + 1500.0)
        if sender.busy:
            assert sender.acknowledge(ack(number, 0, 1, 2, 3), begin_ms + 1500.0)
    assert extra[0] == 0
    assert extra[19] >= 3
    assert extra[-1] == 0


def test_reported_loss_counts_too() -> None:
    sender = PivotSender()
    sender.reported_loss = 0.3
    sender.offer(0, slices(0, 1), 0.0)
    assert [index for _, _, index in play(sender, 0.0, 150.0)] == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_half_of_everything_lost_still_arrives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sender = PivotSender()
    parts = slices(0, 5)
    sender.offer(0, parts, 0.0)
    received: dict[int, bytes] = {}
    now_ms = 0.0
    while sender.busy and now_ms < 30_000.0:
        for part in sender.take(now_ms):
            if rng.random() < 0.5:
                received[part.index] = part.data
                if rng.random() < 0.5:
                    sender.acknowledge(PivotAck(0, frozenset(received)), now_ms + 1)
        now_ms += 20.0
    assert not sender.busy
    assert join_slices(received, parts[0].length, 5) == b"".join(part.data for part in parts)


def test_the_first_round_ends_with_its_last_slice() -> None:
    sender = PivotSender(pace_kbps=60)
    assert not sender.in_first_round
    sender.offer(0, slices(0, 2), 1000.0)
    assert sender.in_first_round
    sender.take(1000.0)
    assert sender.in_first_round
    sender.take(1000.0 + SLICE_MS)
    assert not sender.in_first_round  # nothing acknowledged, but all sent once
    play(sender, 1000.0 + 2 * SLICE_MS, 3000.0)
    assert not sender.in_first_round


def test_a_faster_pace_counts_at_once() -> None:
    sender = PivotSender(pace_kbps=2)
    sender.offer(0, slices(0, 3), 1000.0)
    sender.take(1000.0)
    assert sender.due_ms == pytest.approx(3000.0)
    sender.pace_kbps = 60
    assert sender.due_ms == pytest.approx(1000.0 + SLICE_MS)
    sender.take(1100.0)
    sender.pace_kbps = 2
    assert sender.due_ms == pytest.approx(1100.0 + SLICE_MS)
    sender.hurry()
    assert [part.index for part in sender.take(1101.0)] == [2]


def test_what_keeps_arriving_behind_a_queue_is_not_sent_again() -> None:
    sender = PivotSender(pace_kbps=60)
    sender.offer(0, slices(0, 4), 0.0)
    sent = play(sender, 0.0, 250.0)  # all four by 200 ms; each takes 220 ms on its way, one behind the other
    for number in range(3):
        assert not sender.acknowledge(ack(0, *range(number + 1)), 220.0 * (number + 1))
        sent += play(sender, 220.0 * (number + 1), 220.0 * (number + 2) - 1)
    assert [index for _, _, index in sent] == [0, 1, 2, 3]
    assert sender.acknowledge(ack(0, 0, 1, 2, 3), 880.0)


def test_an_answer_that_takes_longer_is_believed_at_once() -> None:
    sender = PivotSender(pace_kbps=60)
    sender.offer(0, slices(0, 2), 0.0)
    play(sender, 0.0, 100.0)
    sender.acknowledge(ack(0, 0), 10.0)
    sender.acknowledge(ack(0, 0, 1), 700.0)
    sender.offer(1, slices(1, 1), 1_000.0)
    answer_ms = 700.0 - SLICE_MS
    assert play(sender, 1_000.0, 2_500.0)[:2] == [(1_000.0, 1, 0), (pytest.approx(1_000.0 + 1.5 * answer_ms), 1, 0)]


def test_a_slice_that_is_due_rides_where_it_has_room_and_leaves_alone_when_no_bundle_comes() -> None:
    sender = PivotSender(pace_kbps=60)
    sender.bundle_wait_ms = 120.0
    sender.offer(0, slices(0, 4), 1000.0)
    assert sender.take(1000.0) == []  # the next bundle is worth waiting for
    assert sender.ride(SLICE_BYTES - 1, 1010.0) is None
    first = sender.ride(SLICE_BYTES, 1010.0)
    assert first is not None
    assert first.index == 0
    assert sender.ride(SLICE_BYTES, 1011.0) is None  # not due: one that rides counts for the pace, too
    alone = play(sender, 1011.0, 1180.0)
    assert alone == [(pytest.approx(1000.0 + RIDDEN_MS + 120.0), 0, 1)]
    # what waited for company does not slow those after it: two were due since
    for index in (2, 3):
        riding = sender.ride(SLICE_BYTES, 1181.0)
        assert riding is not None
        assert riding.index == index
    assert sender.ride(SLICE_BYTES, 2000.0) is None  # nothing is left


def test_a_large_slice_waits_for_no_bundle() -> None:
    sender = PivotSender()
    sender.bundle_wait_ms = 120.0
    data = bytes(RIDES_MOST_BYTES + 1)
    sender.offer(0, [PivotSlice(0, 0, 1, len(data), data)], 1000.0)
    assert sender.ride(1000, 1000.0) is None
    assert play(sender, 1000.0, 1001.0) == [(1000.0, 0, 0)]


def test_a_slice_that_rode_is_resent_like_any_other() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 1), 0.0)
    assert sender.ride(SLICE_BYTES, 5.0) is not None
    assert play(sender, 5.0, 6.0 + FIRST_RESEND_MS) == [(pytest.approx(5.0 + FIRST_RESEND_MS), 0, 0)]
    assert sender.acknowledge(ack(0, 0), 300.0)


def test_the_first_slice_of_all_waits_for_hurry_but_not_for_long_and_no_other_does() -> None:
    sender = PivotSender()
    sender.awaits_hurry = True
    sender.offer(0, slices(0, 2), 1000.0)
    assert (sender.take(1001.0), sender.due_ms) == ([], 1000.0 + FIRST_WAITS_MS)
    sender.hurry()
    assert [part.index for part in sender.take(1020.0)] == [0]
    sender.offer(1, slices(1, 1), 5000.0)
    assert [part.pivot_id for part in sender.take(5000.0)] == [1]
    alone = PivotSender()
    alone.awaits_hurry = True
    alone.offer(0, slices(0, 2), 1000.0)
    assert [part.index for part in alone.take(1000.0 + FIRST_WAITS_MS)] == [0]
