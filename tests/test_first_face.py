"""How soon a call shows a face, and what that costs a thin link: two-way calls on virtual time, a real key frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path as File

import cv2
import numpy as np
import pytest

from avcall.common import wire
from avcall.common.frames import VideoFrame
from avcall.common.link import Channel
from avcall.common.wire import PivotSlice
from tests import test_two_way_call
from tests.memory_link import HEADER_BYTES, MemoryLink, Path
from tests.test_two_way_call import two_way
from tests.test_whole_call import Camera

SIDE = 256
PORTRAIT = File(__file__).parents[1] / "bench" / "assets" / "portrait.jpg"
JITTER_MS = [0.0, 5.0, 15.0, 2.0, 20.0, 8.0]


@dataclass
class PortraitCamera(Camera):
    """A portrait, a little out of focus; its key frame takes some 2.8 kB."""

    async def frames(self) -> AsyncIterator[VideoFrame]:
        portrait = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
        portrait = cv2.GaussianBlur(cv2.resize(portrait, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 1)
        async for frame in super().frames():
            image = np.asarray(portrait, dtype=np.uint8).copy()
            image[:2, :2] = frame.image[0, 0]
            yield VideoFrame(image, frame.capture_ms)


def longest_queue_ms(link: MemoryLink, rate_kbps: float) -> float:
    """What the worst packet of the first five seconds found before it."""
    free_ms, longest_ms, begin_ms = 0.0, 0.0, link.sent[0][0]
    for sent_ms, _, data in link.sent:
        if sent_ms - begin_ms < 5_000.0:
            longest_ms = max(longest_ms, free_ms - sent_ms)
        free_ms = max(free_ms, sent_ms) + (len(data) + HEADER_BYTES) * 8 / rate_kbps
    return longest_ms


@pytest.mark.parametrize(
    ("rate_kbps", "delay_ms", "face_ms", "queue_ms"),
    [
        (20, 50.0, 9_500.0, 260.0),
        (50, 50.0, 1_500.0, 200.0),
        (100, 25.0, 1_100.0, 60.0),
        (100, 50.0, 1_100.0, 60.0),
        (1000, 50.0, 1_000.0, 10.0),
    ],
)
def test_the_first_face_is_there_soon_and_floods_no_thin_link(
    rate_kbps: float, delay_ms: float, face_ms: float, queue_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_two_way_call, "Camera", PortraitCamera)
    monkeypatch.setattr(test_two_way_call, "SIZE", SIDE)
    path = Path(delay_ms=delay_ms, rate_kbps=rate_kbps, jitter_ms=JITTER_MS)
    for side in two_way(path, path, seconds=face_ms / 1000 + 1.0, span_ms="auto"):
        packets = [wire.parse(data) for _, channel, data in side.link.sent if channel is Channel.MEDIA]
        length = next(packet.length for packet in packets if isinstance(packet, PivotSlice))
        assert 2_000 < length < 3_200
        assert side.summary["time_to_first_face_ms"] <= face_ms
        assert longest_queue_ms(side.link, rate_kbps) <= queue_ms
