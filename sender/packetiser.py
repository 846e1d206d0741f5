"""Poses and pivots as packets: numbering, pacing, and resending until acknowledged. Sans-IO."""

from __future__ import annotations

from collections import deque

from avcall.common.frames import Pose
from avcall.common.wire import KeypointPacket, PivotAck, PivotSlice

PACE_MS = 20.0
FIRST_BURST, BURST = 3, 1
"""Slices every PACE_MS: nothing is on the screen before the first pivot; later ones must not delay the keypoints."""
FIRST_RESEND_MS = 200.0
RESEND_RTT = 1.5
BACKOFF = 1.6
SLOWEST_RESEND_MS = 3000.0
REMEMBERED = 8
"""Pivots whose late acknowledgement still counts."""


class KeypointPacketiser:
    """Numbers the poses."""

    def __init__(self) -> None:
        self._sequence = 0

    def packet(self, pose: Pose) -> KeypointPacket:
        packet = KeypointPacket(
            self._sequence, round(pose.capture_ms) % 2**32, pose.pivot_id, pose.keypoints, pose.face_lost
        )
        self._sequence = (self._sequence + 1) % 2**16
        return packet


class PivotSender:
    """Sends one pivot at a time in paced slices until the receiver has all of them, or a newer pivot replaces it."""

    def __init__(self) -> None:
        self._pivot_id: int | None = None
        self._counts: dict[int, int] = {}
        self._missing: dict[int, PivotSlice] = {}
        self._queue: deque[int] = deque()
        self._next_send_ms = 0.0
        self._resend_ms = 0.0
        self._wait_ms = FIRST_RESEND_MS
        self._last_sent_ms: float | None = None
        self._resent = False
        self._rtt_ms: float | None = None
        self._any_arrived = False

    def offer(self, pivot_id: int, slices: list[PivotSlice], now_ms: float) -> None:
        """Starts sending this pivot; whatever was missing of the one before is given up."""
        self._pivot_id = pivot_id
        self._counts = dict([*self._counts.items(), (pivot_id, len(slices))][-REMEMBERED:])
        self._missing = {part.index: part for part in slices}
        self._queue = deque(self._missing)
        self._next_send_ms = max(now_ms, self._next_send_ms)
        self._wait_ms = max(FIRST_RESEND_MS, RESEND_RTT * (self._rtt_ms or 0.0))
        self._resent = False

    @property
    def busy(self) -> bool:
        """Whether slices wait to be sent or acknowledged."""
        return bool(self._missing)

    @property
    def due_ms(self) -> float | None:
        """When `take` should be called next, None where there is nothing to do."""
        if not self._missing:
            return None
        return self._next_send_ms if self._queue else self._resend_ms

    def take(self, now_ms: float) -> list[PivotSlice]:
        """The slices to send now."""
        due_ms = self.due_ms
        if due_ms is None or now_ms < due_ms:
            return []
        if not self._queue:  # nothing but silence since the last round
            self._queue = deque(self._missing)
            self._resent = True
            self._wait_ms = min(self._wait_ms * BACKOFF, SLOWEST_RESEND_MS)
        burst = BURST if self._any_arrived else FIRST_BURST
        parts = [self._missing[self._queue.popleft()] for _ in range(min(burst, len(self._queue)))]
        self._next_send_ms = now_ms + PACE_MS
        self._resend_ms = now_ms + self._wait_ms
        self._last_sent_ms = now_ms
        return parts

    def acknowledge(self, ack: PivotAck, now_ms: float) -> bool:
        """Takes note of an acknowledgement; True where the receiver has the whole pivot (also one given up since)."""
        if ack.pivot_id != self._pivot_id:
            count = self._counts.get(ack.pivot_id)
            return count is not None and ack.received >= frozenset(range(count))
        if not self._missing:
            return True
        before = len(self._missing)
        self._missing = {index: part for index, part in self._missing.items() if index not in ack.received}
        self._queue = deque(index for index in self._queue if index in self._missing)
        if self._missing:
            if len(self._missing) < before:
                # the receiver is there: what it lacks is asked again a round trip after it could have come
                self._resend_ms = min(
                    self._resend_ms, now_ms + max(FIRST_RESEND_MS, RESEND_RTT * (self._rtt_ms or 0.0))
                )
            return False
        self._any_arrived = True
        if not self._resent and self._last_sent_ms is not None:  # as Karn: no sample from a pivot sent twice
            sample_ms = now_ms - self._last_sent_ms
            self._rtt_ms = sample_ms if self._rtt_ms is None else 0.75 * self._rtt_ms + 0.25 * sample_ms
        return True
