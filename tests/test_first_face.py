"""How soon a call shows a face, and what that costs a thin link: two-way calls on virtual time, a real key frame."""

from __future__ import annotations

import pytest

from avcall.bench.memory_link import Path
from avcall.bench.virtual_call import two_way
from avcall.bench.virtual_face import PortraitCamera
from avcall.cli.calling import Both
from avcall.common import wire
from avcall.common.link import Channel
from avcall.common.wire import PivotSlice

JITTER_MS = [0.0, 5.0, 15.0, 2.0, 20.0, 8.0]


@pytest.mark.parametrize(
    ("rate_kbps", "delay_ms", "face_ms", "queue_ms"),
    [
        (15, 50.0, 12_000.0, 400.0),
        (20, 50.0, 8_000.0, 200.0),
        (50, 50.0, 1_500.0, 200.0),
        (100, 25.0, 1_100.0, 60.0),
        (100, 50.0, 1_100.0, 60.0),
        (1000, 50.0, 1_000.0, 10.0),
    ],
)
def test_the_first_face_is_there_soon_and_floods_no_thin_link(
    rate_kbps: float, delay_ms: float, face_ms: float, queue_ms: float
) -> None:
    path = Path(delay_ms=delay_ms, rate_kbps=rate_kbps, jitter_ms=JITTER_MS, acks=True)
    for side in two_way(Both, path, path, seconds=face_ms / 1000 + 1.0, camera=PortraitCamera):
        packets = [wire.parse(data) for _, channel, data in side.link.sent if channel is Channel.MEDIA]
        length = next(packet.length for packet in packets if isinstance(packet, PivotSlice))
        assert 2_000 < length < 3_200
        assert side.summary["time_to_first_face_ms"] <= face_ms
        assert side.link.longest_queue_ms(5.0) <= queue_ms
