"""The receiver report of `avcall.common.wire`: what arrived when, for the sender's rate control.

Like RTCP feedback for congestion control (RFC 8888) it gives arrival times packet by packet, but in two bytes each and
with counts that never start again, so that a lost report costs nothing. A packet is named by its stamp: the capture
time of the newest thing in it, which the sender can look up.

    type=9 stamp:u16 arrived_ms:u16 held:u8 received:u16 received_bytes:u16 (stamp_gap:u8 arrival_gap:i8) ...
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from avcall.common.errors import ProtocolError

TYPE = 9
STAMP_BITS = 16
STAMP_MODULUS = 1 << STAMP_BITS
MAX_EARLIER = 24
MAX_STAMP_GAP_MS = 255
HELD_UNIT_MS = 4
MAX_HELD_MS = 255 * HELD_UNIT_MS
GAP_UNIT_MS = 4
BYTES_UNIT = 16

_HEAD = struct.Struct("<BHHBHH")
_EARLIER = struct.Struct("<Bb")


@dataclass(frozen=True, slots=True)
class Earlier:
    """A packet that arrived since the last report, besides the newest."""

    stamp_gap_ms: int
    """Its stamp lies this much before that of the next newer packet listed, 1 to MAX_STAMP_GAP_MS."""
    arrival_gap: int
    """It arrived this much before that packet, in GAP_UNIT_MS, -128 to 127; negative where it was overtaken."""


@dataclass(frozen=True, slots=True)
class Report:
    """All counts are modulo 2**16 and run through the whole call."""

    stamp: int
    """Of the newest packet that arrived."""
    arrived_ms: int
    """When it did, by the receiver's clock, modulo 2**16."""
    held: int
    """How long ago that was when the report was made, in HELD_UNIT_MS: not part of the round trip (RFC 3550, DLSR)."""
    received: int
    """Stamped packets so far."""
    received_bytes: int
    """Everything that had crossed the socket when the newest packet arrived, in BYTES_UNIT."""
    earlier: tuple[Earlier, ...] = ()
    """From new to old, at most MAX_EARLIER."""


def pack_report(report: Report) -> bytes:
    """Bytes of a report: 10, and 2 for each earlier packet."""
    head = _HEAD.pack(
        TYPE, report.stamp, report.arrived_ms, report.held, report.received, report.received_bytes
    )  # fmt: skip
    return head + b"".join(_EARLIER.pack(part.stamp_gap_ms, part.arrival_gap) for part in report.earlier)


def parse_report(data: bytes) -> Report:
    """One report, its type included.

    Raises:
        ProtocolError: truncated, too long, or two packets of one stamp.
    """
    count, rest = divmod(len(data) - _HEAD.size, _EARLIER.size)
    if rest or not 0 <= count <= MAX_EARLIER:
        raise ProtocolError(f"a report of {len(data)} bytes")
    _, stamp, arrived_ms, held, received, received_bytes = _HEAD.unpack_from(data)
    earlier = tuple(Earlier(*pair) for pair in _EARLIER.iter_unpack(data[_HEAD.size :]))
    if any(part.stamp_gap_ms == 0 for part in earlier):
        raise ProtocolError("a report that lists a packet twice")
    return Report(stamp, arrived_ms, held, received, received_bytes, earlier)
