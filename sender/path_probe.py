"""Learns in a call's first moments what the path carries, from both ends' first packets.

A pose leaves at once, then a slice of the first pivot, then another pose: the time between the two at the other end is
what the slice took on the slowest link, and rate control has it as soon as a report about them comes. So it is known
here, too, from when on slices may ride in bundles.
"""

from __future__ import annotations

from avcall.common.clock import Clock
from avcall.common.wire import Packet, PivotSlice
from avcall.sender.outlet import Outlet
from avcall.sender.pivot_stage import PivotStage
from avcall.sender.rate_control_stage import RateStage

PROBES, AGAIN_MS = 6, 400.0
"""Where nothing is learnt from one, it is tried again so often: once all slices that have left are there, or after so
long. Sooner, the slices of several would be a queue on a thin path."""
URGENT_REPORTS, URGENT_WITHIN_MS = 2, 100.0
"""The peer waits for these as just said. Not where its first slice took longer than that behind the packet before it:
on a path so thin they would cost more than they tell."""


class PathProbe:
    """Told what is said and heard."""

    def __init__(self, rate: RateStage | None, pivots: PivotStage, outlet: Outlet, clock: Clock) -> None:
        """Without `rate` nothing is probed."""
        self._rate, self._pivots, self._outlet, self._clock = rate, pivots, outlet, clock
        self._left = PROBES
        self._begun_ms = float("-inf")
        self._open = False
        if rate is not None:
            pivots.await_hurry()
        self._peer_has, self._peer_ms = False, float("-inf")

    def ride(self, most_bytes: int) -> bytes | None:
        """A slice of a pivot, of at most so many bytes, for a bundle that is leaving. The first pivot's leave alone as
        long as they tell what the path carries, and where they follow each other more quickly than bundles."""
        span_ms = self._outlet.span_ms
        if self._rate is not None and self._rate.first_pivot:
            probing = self._open or (self._left > 0 and self._rate.unprobed(self._begun_ms))
            if probing or self._pivots.slice_ms < span_ms:
                self._pivots.set_bundle_wait(0.0)
                return None
        self._pivots.set_bundle_wait(span_ms)
        return self._pivots.ride(most_bytes)

    def said(self) -> None:
        """A pose is ready to leave: it leaves at once where a slice is to follow, or has followed."""
        now_ms = self._clock()
        if self._open:
            self._open, self._begun_ms = False, now_ms
            self._outlet.flush()
        elif (
            self._left > 0
            and self._rate is not None
            and self._rate.unprobed(self._begun_ms)
            and self._pivots.in_first_round
            and (self._pivots.slices_there or now_ms - self._begun_ms >= AGAIN_MS)
        ):
            self._left, self._open = self._left - 1, True
            self._outlet.flush()
            self._pivots.hurry()

    def heard(self, packet: Packet, now_ms: float) -> None:
        """The peer probes too: what it waits for leaves at once."""
        if isinstance(packet, PivotSlice) and not self._peer_has:
            self._peer_has = True
            if now_ms - self._peer_ms < URGENT_WITHIN_MS:
                self._outlet.urgent_reports = URGENT_REPORTS
        self._peer_ms = now_ms
