"""What the sender's rate control needs to know about what arrives: when to report, and what. Sans-IO."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from avcall.common import wire
from avcall.common.report_format import (
    BYTES_UNIT,
    GAP_UNIT_MS,
    HELD_UNIT_MS,
    MAX_EARLIER,
    MAX_HELD_MS,
    MAX_STAMP_GAP_MS,
    STAMP_BITS,
    Earlier,
    Report,
)

EVERY_MS = 450.0
EARLY_MS, EARLY_EVERY_MS = 8_000.0, 30.0
"""At the beginning of a call the sender's rate rises fast, and has to be stopped fast: every packet is reported."""
ALONE_EVERY_MS, ALONE_EARLY_EVERY_MS = 900.0, 200.0
"""The same where reports have no bundle to ride in and cost ten times as much."""
FIRST_ALONE_MS = 100.0
"""A first report so soon is about the first packet alone: two that came together with a train between them would say
nothing about the bytes that came."""
SOONEST_MS = 110.0
"""Between two reports when the network turns worse."""
LATER_BY_MS = 50.0
"""A packet that took this much longer than the fastest of late is news. Measured against capture times, so a busy
sender may look like a busy network: that costs a report."""
_FASTEST_OF = 128
_MODULUS = 2**16


@dataclass(frozen=True, slots=True)
class _Arrival:
    stamp: int
    arrived_ms: float
    wire_bytes: int


class Reporter:
    """Takes stamped packets, gives reports. A report is due only while packets arrive: a pause makes none."""

    def __init__(self, every_ms: float = EVERY_MS, early_every_ms: float = EARLY_EVERY_MS) -> None:
        self._usually_ms, self._early_ms = every_ms, early_every_ms
        self._fresh: list[_Arrival] = []
        self._transits: deque[float] = deque(maxlen=_FASTEST_OF)
        self._newest: _Arrival | None = None
        self._received = 0
        self._first_ms: float | None = None
        self._reported_ms = float("-inf")
        self._urgent = False
        self._reports = 0

    def arrived(self, stamp: int, wire_bytes: int, now_ms: float) -> None:
        """A packet with this stamp; `wire_bytes` have crossed the socket downwards so far, it included."""
        if self._first_ms is None:
            self._first_ms = now_ms
        self._received = (self._received + 1) % _MODULUS
        arrival = _Arrival(stamp % _MODULUS, now_ms, wire_bytes)
        if self._newest is None or wire.newer(arrival.stamp, self._newest.stamp, STAMP_BITS):
            self._newest = arrival
        self._fresh.append(arrival)
        del self._fresh[: -4 * MAX_EARLIER]
        if self._early(now_ms, EARLY_MS):
            return  # all are reported, and the first packets, which are short, would be the fastest for long
        transit_ms = (now_ms - stamp) % _MODULUS
        if self._transits and _apart(transit_ms, min(self._transits)) > LATER_BY_MS:
            self._urgent = True
        self._transits.append(transit_ms)

    def report(self, now_ms: float) -> Report | None:
        """The report to send now, if one is due."""
        if not self._fresh or self._newest is None or now_ms - self._reported_ms < self._every_ms(now_ms):
            return None
        fresh, waiting = self._fresh, []
        if self._reports == 0 and self._early(now_ms, FIRST_ALONE_MS):  # bytes are counted from the first packet on
            fresh, waiting = fresh[:1], fresh[1:]
        newest = self._newest if not waiting else fresh[0]
        report = Report(
            newest.stamp,
            round(newest.arrived_ms) % _MODULUS,
            min(round((now_ms - newest.arrived_ms) / HELD_UNIT_MS), MAX_HELD_MS // HELD_UNIT_MS),
            (self._received - len(waiting)) % _MODULUS,
            newest.wire_bytes // BYTES_UNIT % _MODULUS,
            _earlier(newest, fresh),
        )
        self._fresh = waiting
        self._reports += 1
        self._reported_ms = now_ms
        self._urgent = False
        return report

    def _every_ms(self, now_ms: float) -> float:
        if self._urgent:
            return SOONEST_MS
        return self._early_ms if self._early(now_ms, EARLY_MS) else self._usually_ms

    def _early(self, now_ms: float, within_ms: float) -> bool:
        return self._first_ms is not None and now_ms - self._first_ms < within_ms


def _earlier(newest: _Arrival, fresh: list[_Arrival]) -> tuple[Earlier, ...]:
    """The packets that can be told as gaps from the newest on; the rest are only counted."""
    behind = {(newest.stamp - arrival.stamp) % _MODULUS: arrival for arrival in fresh}
    chain = [(0, newest)] + [(gap, behind[gap]) for gap in sorted(behind) if 0 < gap < _MODULUS // 2]
    earlier: list[Earlier] = []
    for (gap_ms, later), (next_gap_ms, arrival) in pairwise(chain[: MAX_EARLIER + 1]):
        arrival_gap = round((later.arrived_ms - arrival.arrived_ms) / GAP_UNIT_MS)
        if next_gap_ms - gap_ms > MAX_STAMP_GAP_MS or not -128 <= arrival_gap <= 127:
            break
        earlier.append(Earlier(next_gap_ms - gap_ms, arrival_gap))
    return tuple(earlier)


def _apart(late_ms: float, early_ms: float) -> float:
    return (late_ms - early_ms + _MODULUS / 2) % _MODULUS - _MODULUS / 2
