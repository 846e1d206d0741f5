"""The sender's memory of what it sent, and what a receiver report says about it. Sans-IO."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from avcall.common import wire
from avcall.common.errors import ProtocolError
from avcall.common.report_format import BYTES_UNIT, GAP_UNIT_MS, HELD_UNIT_MS, Report

REMEMBERED = 1024
"""Packets: half a minute of the densest form."""
MAX_DUPLICATES = 64
"""Packets that the network may have doubled between two reports."""
JITTER_MS = 15.0
"""Two packets may have been brought together by so much."""
LONGER = 1.4
"""Times the median: packets longer than that tell what bytes take."""
_MODULUS = 2**16


@dataclass(frozen=True, slots=True)
class Sample:
    """One packet's way."""

    sent_ms: float
    transit_ms: float
    """One way, off by the unknown difference of the two clocks."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a report says, in the sender's terms."""

    samples: tuple[Sample, ...]
    """In the order of sending; the last one is the newest packet that arrived."""
    arrived_ms: float
    """When that one arrived, by the receiver's clock."""
    delivered_bytes: int
    """Everything that came out of the network since the report before."""
    delivered_ms: float
    """In this time; 0 in the first report."""
    sent_bytes: int
    """What was sent between the same two packets, of media: more than was delivered where packets are lost that have no
    stamp."""
    expected: int
    """Stamped packets sent since the newest one of the report before, up to the newest one of this."""
    lost: int
    """Those of them that did not arrive."""
    rtt_ms: float
    fastest_kbps: float = 0.0
    """What came out of the network between two of the packets, where that was fastest: at least so much it carries. 0
    where something is missing, or might be."""


@dataclass(slots=True)
class _Sent:
    number: int
    sent_ms: float
    size_bytes: int
    total_bytes: int
    """Sent so far, this packet included."""


@dataclass(slots=True)
class _Last:
    """What the latest report said."""

    sent: _Sent
    arrived_ms: float
    received: int
    received_bytes: int


class SentHistory:
    """Matches reports with what was sent."""

    def __init__(self) -> None:
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._count = self._total_bytes = 0
        self._last: _Last | None = None
        self._ahead_ms = 0.0
        self._missing = 0

    def sent(self, stamp: int, size_bytes: int, now_ms: float) -> None:
        """A stamped packet has left; `size_bytes` on the wire."""
        self._count += 1
        self._total_bytes += size_bytes
        key = stamp % _MODULUS
        self._sent[key] = _Sent(self._count, now_ms, size_bytes, self._total_bytes)
        self._sent.move_to_end(key)
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    def sent_unstamped(self, size_bytes: int) -> None:
        """Another media packet has left."""
        self._total_bytes += size_bytes

    def feedback(self, report: Report, now_ms: float, *, slices_there: bool = False) -> Feedback | None:
        """What the report adds; None where a newer one came before it. `slices_there` says that all packets without a
        stamp are known to have arrived.

        Raises:
            ProtocolError: it speaks of packets that were never sent, or of more than were.
        """
        newest = self._sent.get(report.stamp)
        if newest is None:
            raise ProtocolError("a report about a packet that was not sent")
        last = self._last
        if last is not None and newest.number <= last.sent.number:
            return None
        near_ms = newest.sent_ms + self._ahead_ms
        arrived_ms = wire.unwrap(report.arrived_ms, near_ms, bits=16)
        received = report.received if last is None else (report.received - last.received) % _MODULUS
        expected = newest.number - (last.sent.number if last is not None else 0)
        if received > expected + self._missing + MAX_DUPLICATES:
            raise ProtocolError("a report of more packets than were sent")
        self._missing = max(0, self._missing + expected - received)  # what was overtaken still comes
        self._ahead_ms = arrived_ms - newest.sent_ms
        units = 0 if last is None else (report.received_bytes - last.received_bytes) % _MODULUS
        self._last = _Last(newest, arrived_ms, report.received, report.received_bytes)
        arrivals = self._arrivals(report, newest, arrived_ms)
        delivered_bytes = units * BYTES_UNIT
        sent_bytes = 0 if last is None else newest.total_bytes - last.sent.total_bytes
        complete = received >= expected and (
            slices_there or (last is not None and delivered_bytes + BYTES_UNIT > sent_bytes)
        )
        before = [] if last is None else [(last.sent, last.arrived_ms)]
        return Feedback(
            samples=tuple(Sample(sent.sent_ms, at_ms - sent.sent_ms, sent.size_bytes) for sent, at_ms in arrivals),
            arrived_ms=arrived_ms,
            delivered_bytes=delivered_bytes,
            delivered_ms=0.0 if last is None else max(0.0, arrived_ms - last.arrived_ms),
            sent_bytes=sent_bytes,
            expected=expected,
            lost=max(0, expected - received),
            rtt_ms=max(0.0, now_ms - newest.sent_ms - report.held * HELD_UNIT_MS),
            fastest_kbps=_fastest_kbps([*before, *arrivals]) if complete else 0.0,
        )

    def _arrivals(self, report: Report, newest: _Sent, arrived_ms: float) -> list[tuple[_Sent, float]]:
        """The packets that the report lists and when they arrived, in the order of sending."""
        arrivals = [(newest, arrived_ms)]
        stamp = report.stamp
        for part in report.earlier:
            stamp = (stamp - part.stamp_gap_ms) % _MODULUS
            arrived_ms -= part.arrival_gap * GAP_UNIT_MS
            sent = self._sent.get(stamp)
            if sent is not None:
                arrivals.append((sent, arrived_ms))
        return sorted(arrivals, key=lambda arrival: arrival[0].sent_ms)


def _fastest_kbps(arrivals: list[tuple[_Sent, float]]) -> float:
    """Of what was sent after one of these packets, up to another one that arrived later, nothing being lost."""
    speeds = (
        8.0 * (later.total_bytes - sooner.total_bytes) / (later_ms - sooner_ms + JITTER_MS)
        for (sooner, sooner_ms), (later, later_ms) in combinations(arrivals, 2)
        if later_ms >= sooner_ms
    )
    return max(speeds, default=0.0)


def more_a_byte(samples: Collection[Sample]) -> float | None:
    """What a byte takes on the slowest link, in ms, as far as it was seen: by so much was the fastest of the longer
    packets slower than the fastest of the others. None where none is longer."""
    usual_bytes = LONGER * median(sample.size_bytes for sample in samples) if samples else 0.0
    longer = [sample for sample in samples if sample.size_bytes > usual_bytes]
    others = [sample for sample in samples if sample.size_bytes <= usual_bytes]
    if not longer or not others:
        return None
    slow, fast = (min(some, key=lambda sample: sample.transit_ms) for some in (longer, others))
    return max(0.0, slow.transit_ms - fast.transit_ms) / (slow.size_bytes - fast.size_bytes)
