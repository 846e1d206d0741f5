"""Poses and voice reach the link: at once, or in bundles that leave in time."""

from __future__ import annotations

import asyncio

import numpy as np

from avcall.common import wire
from avcall.common.frames import Pose
from avcall.common.keypoints import COUNT
from avcall.common.link import Channel
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket, Packet, VoicePacket
from avcall.sender.bundler import Bundler
from avcall.sender.outlet import Outlet
from tests.memory_link import MemoryLink, pair
from tests.virtual_time import VirtualTimeLoop, run

POINTS = np.zeros((COUNT, 2), dtype=np.float32)
VOICE = VoicePacket(0, 10, b"opus")


def sent(link: MemoryLink) -> list[Packet]:
    return [wire.parse(data) for _, channel, data in link.sent if channel is Channel.MEDIA]


def test_without_a_bundler_every_packet_leaves_alone() -> None:
    async def main(loop: VirtualTimeLoop) -> tuple[list[Packet], Stats]:
        link, _ = pair()
        stats = Stats()
        outlet = Outlet(link, stats, loop.now_ms, None)
        for number in range(2):
            outlet.pose(Pose(40.0 * number, 1, POINTS), POINTS)
        outlet.voice(VOICE)
        return sent(link), stats

    packets, stats = run(main)
    assert [type(packet) for packet in packets] == [KeypointPacket, KeypointPacket, VoicePacket]
    assert (stats.payload_bytes["keypoints"], stats.payload_bytes["voice"]) == (2 * 90, 12)


def test_what_waits_leaves_after_a_span() -> None:
    async def main(loop: VirtualTimeLoop) -> tuple[list[tuple[float, Packet]], Stats]:
        link, _ = pair()
        stats = Stats()
        outlet = Outlet(link, stats, loop.now_ms, Bundler(120.0, 25.0))
        running = asyncio.create_task(outlet.run())
        start_ms = loop.now_ms()
        outlet.pose(Pose(0.0, 1, POINTS), POINTS)
        outlet.voice(VOICE)
        await asyncio.sleep(1.0)
        running.cancel()
        return [(at_ms - start_ms, wire.parse(data)) for at_ms, _, data in link.sent], stats

    ((after_ms, bundle),), stats = run(main)
    assert 120 <= after_ms <= 122
    assert isinstance(bundle, Bundle)
    assert bundle.voice == (VOICE,)
    assert stats.payload_bytes["voice"] == 2 + 4 + 4  # sequence, its line in the table, Opus
    assert stats.payload_bytes["keypoints"] == len(wire.pack(bundle)) - 10


def test_flush_leaves_nothing_behind() -> None:
    async def main(loop: VirtualTimeLoop) -> list[Packet]:
        link, _ = pair()
        outlet = Outlet(link, Stats(), loop.now_ms, Bundler(120.0, 25.0))
        outlet.pose(Pose(0.0, 1, POINTS), POINTS)
        outlet.flush()
        outlet.flush()
        return sent(link)

    assert len(run(main)) == 1
