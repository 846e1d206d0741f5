"""A call in both directions on virtual time: each end a real sender and receiver over one session (`avcall call`)."""

from __future__ import annotations

import pytest

from avcall.bench.memory_link import Path
from avcall.bench.virtual_call import End, losses, two_way
from avcall.cli.calling import Both
from avcall.common import wire
from avcall.common.link import Channel
from avcall.common.wire import Bundle, Packet, PivotAck, PivotSlice, Report


def media(side: End) -> list[Packet]:
    """The packets that an end sent."""
    return [wire.parse(data) for _, channel, data in side.link.sent if channel is Channel.MEDIA]


@pytest.mark.parametrize(("span_ms", "most_kbps"), [("120", 18.0), ("200", 14.0)])
def test_both_ends_show_the_other_and_no_acknowledgement_travels_alone(span_ms: str, most_kbps: float) -> None:
    ends = two_way(Both, Path(delay_ms=50), Path(delay_ms=50), span_ms=span_ms)
    for side in ends:
        assert side.summary["ticks_filled"] >= 0.98
        assert side.summary["freeze_longest_ms"] <= 120
        assert side.summary["time_to_first_face_ms"] < 2_000
        assert side.summary["av_skew_ms"]["p95_abs"] <= 40
        riding = sum(len(packet.attached) for packet in media(side) if isinstance(packet, Bundle))
        alone = sum(isinstance(packet, PivotAck | Report) for packet in media(side))
        assert riding > 30  # an acknowledgement for each pivot, two reports a second
        assert alone <= 2  # before the first frame there is no bundle to ride in
        assert side.link.up_bytes * 8 / 20 / 1000 < most_kbps  # with headers, without SCTP's acknowledgements
    if span_ms == "120":
        assert all(side.summary["latency_ms"]["p95"] <= 250 for side in ends)  # at a round trip of 100 ms


def test_losses_in_both_directions_are_played_through() -> None:
    jitter = [0.0, 5.0, 15.0, 2.0, 20.0, 8.0]
    paths = [Path(delay_ms=50, losses=losses(0.1, seed), jitter_ms=jitter) for seed in (7, 21)]
    for side in two_way(Both, *paths, seconds=30.0, span_ms="120"):
        assert side.summary["ticks_filled"] >= 0.96
        assert side.summary["freeze_longest_ms"] <= 300
        assert side.summary["counters"]["copies_used"] > 5


def test_slices_of_later_pivots_ride_in_bundles() -> None:
    for side in two_way(Both, Path(delay_ms=50), Path(delay_ms=50), seconds=30.0, span_ms="120"):
        packets = media(side)
        riding = [part for packet in packets if isinstance(packet, Bundle) for part in wire.attached(packet)]
        later = [part.pivot_id for part in riding if isinstance(part, PivotSlice)]
        alone = [part.pivot_id for part in packets if isinstance(part, PivotSlice)]
        assert later
        assert set(alone) == {0}  # the first picture waits for nothing
        assert side.summary["counters"].get("packets_malformed", 0) == 0
