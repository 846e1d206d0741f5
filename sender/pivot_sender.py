"""Pivots on their way out: paced, protected by parity slices, resent until acknowledged. Sans-IO."""

from __future__ import annotations

from collections import deque
from math import comb

from avcall.common.pivot_format import MAX_PARITY, SLICE_HEAD_BYTES, PivotAck, PivotSlice, parity_slices
from avcall.sender.rate_control_allowance import MESSAGE_BYTES

PACE_KBPS = 60.0
"""Unless told otherwise. A slice of full size then takes 160 ms: keypoints in between wait for one slice at most."""
OVERHEAD_BYTES = SLICE_HEAD_BYTES + MESSAGE_BYTES
"""Beside a slice's data: its header, and what a data-channel message costs on the wire (docs/wire.md)."""
RIDING_BYTES = SLICE_HEAD_BYTES + 2
"""Beside its data in a bundle: its header, and how long it is."""
RIDES_MOST_BYTES = 600
"""Slices with more data have no room in many bundles, and little to gain: they wait for none."""
FIRST_WAITS_MS = 80.0
"""So long the first slice of all may wait for `hurry`."""
FIRST_RESEND_MS = 200.0
RESEND_RTT = 1.5
BACKOFF, BACKOFF_FROM = 1.6, 3
"""Two rounds are sent again at once: losses are more likely than a peer that is gone."""
SLOWEST_RESEND_MS = 3000.0
SURE = 0.9
"""Parity is added until the first round suffices this often: the rest is cheaper to resend."""
SAMPLE_SLICES = 20.0
"""The estimate of loss looks back over about so many slices."""
REMEMBERED = 8
"""Pivots whose late acknowledgement still counts."""


class PivotSender:
    """Sends one pivot at a time until the receiver has all of it, or a newer pivot replaces it."""

    def __init__(self, pace_kbps: float = PACE_KBPS) -> None:
        self.pace_kbps = pace_kbps
        """Rate on the wire at which slices leave; may be changed at any time: a faster one counts from the last slice
        on, a slower one from the next."""
        self.bundle_wait_ms = 0.0
        """A slice that is due waits so long for a bundle to ride in (`ride`), and then leaves alone."""
        self.awaits_hurry = False
        """The first slice of all waits for `hurry`, for FIRST_WAITS_MS at most: something is to leave ahead of it."""
        self.reported_loss = 0.0
        """Share of packets lost as known from elsewhere."""
        self._own_loss = 0.0
        self._counts: dict[int, int] = {}
        self._pivot_id: int | None = None
        self._slices: list[PivotSlice] = []
        self._received: frozenset[int] = frozenset()
        self._sent: dict[int, float] = {}
        """Slices that have left, and when for the first time."""
        self._whole = True
        self._queue: deque[PivotSlice] = deque()
        self._first_round: frozenset[int] | None = None
        self._offered_ms = self._next_send_ms = self._held_ms = 0.0
        self._last_slice = 0.0, 0.0
        """When it left, and its bits on the wire."""
        self._resend_ms = 0.0
        self._wait_ms, self._round = FIRST_RESEND_MS, 0
        self._rtt_ms: float | None = None

    @property
    def loss(self) -> float:
        """The share of slices that is believed to be lost."""
        return max(self._own_loss, self.reported_loss)

    @property
    def busy(self) -> bool:
        """Whether the receiver still lacks something."""
        return not self._whole

    @property
    def due_ms(self) -> float | None:
        """When `take` should be called next, None where there is nothing to do."""
        if self._whole:
            return None
        if not self._queue:
            return self._resend_ms
        return self._paced_ms + self._waits_ms(self._queue[0])

    @property
    def _paced_ms(self) -> float:
        """When the next slice may leave."""
        left_ms, bits = self._last_slice
        return max(self._offered_ms, self._held_ms, min(self._next_send_ms, left_ms + bits / self.pace_kbps))

    @property
    def in_first_round(self) -> bool:
        """Whether some slices of the pivot have not been sent even once."""
        return self._round == 0 and bool(self._queue)

    @property
    def slices_there(self) -> bool:
        """Whether all slices of the pivot that were sent so far have been acknowledged."""
        return bool(self._sent) and self._sent.keys() <= self._received

    def hurry(self) -> None:
        """The next slice need not wait for the pace."""
        self._next_send_ms = self._held_ms = 0.0

    def offer(self, pivot_id: int, slices: list[PivotSlice], now_ms: float) -> int:
        """Starts sending this pivot; whatever was missing of the one before is given up. Returns what it will take on
        the wire at most, each slice alone, if nothing has to be resent."""
        self._learn_loss()
        if self.awaits_hurry and not self._counts:
            self._held_ms = now_ms + FIRST_WAITS_MS
        self._counts = dict([*self._counts.items(), (pivot_id, len(slices))][-REMEMBERED:])
        self._pivot_id, self._slices = pivot_id, slices
        self._received, self._sent, self._whole = frozenset(), {}, False
        self._queue = deque([*slices, *parity_slices(slices, parities(len(slices), self.loss))])
        self._first_round = frozenset(part.index for part in self._queue)
        self._offered_ms, self._next_send_ms = now_ms, max(now_ms, self._next_send_ms)
        self._wait_ms, self._round = self._patience_ms(), 0
        return sum(len(part.data) + OVERHEAD_BYTES for part in self._queue)

    def take(self, now_ms: float) -> list[PivotSlice]:
        """The slice to send now, if any."""
        due_ms = self.due_ms
        if due_ms is None or now_ms < due_ms:
            return []
        if not self._queue:  # nothing but silence since the last round
            self._learn_loss()
            self._queue = deque(self._lacking())
            self._round += 1
            if self._round >= BACKOFF_FROM:
                self._wait_ms = min(self._wait_ms * BACKOFF, SLOWEST_RESEND_MS)
        return [self._leaving(len(self._queue[0].data) + OVERHEAD_BYTES, now_ms)]

    def ride(self, most_bytes: int, now_ms: float) -> PivotSlice | None:
        """The slice to send in a bundle that leaves now and has room for so much of its data, if any is due."""
        if self._whole or not self._queue or now_ms < self._paced_ms:
            return None
        if len(self._queue[0].data) > min(most_bytes, RIDES_MOST_BYTES):
            return None
        return self._leaving(len(self._queue[0].data) + RIDING_BYTES, now_ms)

    def _waits_ms(self, part: PivotSlice) -> float:
        return self.bundle_wait_ms if len(part.data) <= RIDES_MOST_BYTES else 0.0

    def _leaving(self, size_bytes: int, now_ms: float) -> PivotSlice:
        part = self._queue.popleft()
        self._sent.setdefault(part.index, now_ms)
        # what it waited for company does not slow those after it
        due_ms = max(self._next_send_ms, now_ms - self._waits_ms(part))
        self._last_slice = min(due_ms, now_ms), size_bytes * 8.0
        self._next_send_ms = self._last_slice[0] + self._last_slice[1] / self.pace_kbps
        self._resend_ms = now_ms + self._wait_ms
        return part

    def acknowledge(self, ack: PivotAck, now_ms: float) -> bool:
        """Takes note of an acknowledgement; True where the receiver has the whole pivot (also one given up since)."""
        if ack.pivot_id != self._pivot_id:
            count = self._counts.get(ack.pivot_id)
            return count is not None and len(ack.received) >= count
        fresh = ack.received - self._received
        if self._first_round is not None and (sent_ms := [self._sent[index] for index in fresh & self._sent.keys()]):
            # as Karn: no sample from a pivot sent twice
            sample_ms = now_ms - max(sent_ms)
            before_ms = sample_ms if self._rtt_ms is None else self._rtt_ms
            # up at once: what stands in a queue that grows is not lost
            self._rtt_ms = max(sample_ms, 0.75 * before_ms + 0.25 * sample_ms)
            self._wait_ms = self._patience_ms()
        self._received |= ack.received
        if len(self._received) >= len(self._slices):
            self._whole = True
            self._queue.clear()
        elif fresh and not self._whole:
            self._queue = deque(part for part in self._queue if part.index not in self._received)
            # the receiver is there: what it lacks is sent again a round trip after it could have come. While slices
            # keep coming the rest may still be on its way, behind a queue; once the newest is there, hardly
            answered_ms = now_ms + self._patience_ms()
            newest_there = max(self._sent, key=self._sent.__getitem__) in self._received
            self._resend_ms = min(self._resend_ms, answered_ms) if newest_there else answered_ms
        return self._whole

    def _patience_ms(self) -> float:
        return max(FIRST_RESEND_MS, RESEND_RTT * (self._rtt_ms or 0.0))

    def _lacking(self) -> list[PivotSlice]:
        """Enough for the receiver to complete the body: what it lacks of the body itself, then parity."""
        count = len(self._slices)
        needed = max(1, count - len(self._received))
        wanted = needed + parities(needed, self.loss)
        pool = [*self._slices, *parity_slices(self._slices, MAX_PARITY if wanted > 1 else 0)]
        return [part for part in pool if part.index not in self._received][:wanted]

    def _learn_loss(self) -> None:
        """Once a pivot, from its first round."""
        sent, self._first_round = self._first_round, None
        if sent:
            share = 1.0 - len(sent & self._received) / len(sent)
            self._own_loss += min(1.0, len(sent) / SAMPLE_SLICES) * (share - self._own_loss)


def parities(count: int, loss: float) -> int:
    """The fewest parity slices with which `count` slices get through with a probability of SURE, each of them being
    lost with probability `loss`; at most twice as many as slices."""
    for extra in range(min(MAX_PARITY, 2 * count)):
        total = count + extra
        arrive = sum(
            comb(total, here) * (1 - loss) ** here * loss ** (total - here) for here in range(count, total + 1)
        )
        if arrive >= SURE:
            return extra
    return min(MAX_PARITY, 2 * count)
