"""Numbering, pacing and resending."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.frames import Pose
from avcall.common.wire import SLICE_DATA_BYTES, PivotAck, PivotSlice
from avcall.sender.packetiser import (
    BACKOFF,
    BURST,
    FIRST_BURST,
    FIRST_RESEND_MS,
    PACE_MS,
    KeypointPacketiser,
    PivotSender,
)


def slices(pivot_id: int, count: int) -> list[PivotSlice]:
    length = count * SLICE_DATA_BYTES
    return [PivotSlice(pivot_id, index, count, length, bytes(SLICE_DATA_BYTES)) for index in range(count)]


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


def test_poses_are_numbered_and_times_wrap() -> None:
    packetiser = KeypointPacketiser()
    points = np.zeros((10, 2), dtype=np.float32)
    packets = [packetiser.packet(Pose(2**32 + 5.4, 3, points, face_lost=n == 1)) for n in range(65_537)]
    assert [packets[n].sequence for n in (0, 1, 65_535, 65_536)] == [0, 1, 65_535, 0]
    assert packets[0].capture_ms == 5
    assert [packets[n].face_lost for n in (0, 1)] == [False, True]
    assert packets[0].pivot_id == 3


def test_the_first_pivot_is_quicker_than_later_ones() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 6), 1000.0)
    first = play(sender, 1000.0, 1100.0)
    assert [time for time, _, _ in first] == [1000.0] * FIRST_BURST + [1000.0 + PACE_MS] * FIRST_BURST
    assert sender.acknowledge(ack(0, *range(6)), 1150.0)
    sender.offer(1, slices(1, 4), 3000.0)
    later = play(sender, 3000.0, 3150.0)
    assert BURST == 1
    assert [time for time, _, _ in later] == [3000.0 + PACE_MS * n for n in range(4)]


def test_only_what_is_lacking_is_resent() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 3), 0.0)
    play(sender, 0.0, 100.0)
    assert not sender.acknowledge(ack(0, 0, 2), 80.0)
    again = play(sender, 80.0, FIRST_RESEND_MS + 50)
    assert again == [(FIRST_RESEND_MS, 0, 1)]
    assert sender.acknowledge(ack(0, 0, 1, 2), 300.0)
    assert not sender.busy
    assert sender.due_ms is None
    assert play(sender, 300.0, 60_000.0) == []


def test_resends_back_off_while_nobody_answers() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 1), 0.0)
    times = [time for time, _, _ in play(sender, 0.0, 20_000.0)]
    waits = np.diff(times)
    assert waits[0] == FIRST_RESEND_MS
    assert waits[1] == pytest.approx(FIRST_RESEND_MS * BACKOFF)
    assert (np.diff(waits) >= 0).all()
    assert waits[-1] == 3000.0


def test_the_resend_wait_follows_the_round_trip() -> None:
    sender = PivotSender()
    sender.offer(0, slices(0, 1), 0.0)
    sender.take(0.0)
    sender.acknowledge(ack(0, 0), 190.0)  # before any resend: a clean sample
    sender.offer(1, slices(1, 1), 1000.0)
    assert play(sender, 1000.0, 1400.0) == [(1000.0, 1, 0), (1285.0, 1, 0)]


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


@pytest.mark.parametrize("seed", range(5))
def test_half_of_everything_lost_still_arrives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sender = PivotSender()
    sender.offer(0, slices(0, 5), 0.0)
    received: set[int] = set()
    now_ms = 0.0
    while sender.busy and now_ms < 30_000.0:
        for part in sender.take(now_ms):
            if rng.random() < 0.5:
                received.add(part.index)
                if rng.random() < 0.5:
                    sender.acknowledge(PivotAck(0, frozenset(received)), now_ms + 1)
        now_ms += 20.0
    assert len(received) == 5
    assert not sender.busy
