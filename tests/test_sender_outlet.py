"""Poses and voice reach the link: at once, or in bundles that leave in time."""

from __future__ import annotations

import asyncio

import numpy as np

from avcall.bench.memory_link import MemoryLink, pair
from avcall.bench.virtual_time import VirtualTimeLoop, run
from avcall.common import wire
from avcall.common.frames import Pose
from avcall.common.keypoints import COUNT
from avcall.common.link import Channel
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket, Packet, PivotAck, Report, VoicePacket
from avcall.sender.bundler import Bundler
from avcall.sender.outlet import Outlet

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
        outlet.voice(VOICE, 60.0)
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
        outlet.voice(VOICE, 60.0)
        await asyncio.sleep(1.0)
        running.cancel()
        return [(at_ms - start_ms, wire.parse(data)) for at_ms, _, data in link.sent], stats

    ((after_ms, bundle),), stats = run(main)
    assert 145 <= after_ms <= 147  # a little longer than the span: more of the voice may be being coded
    assert isinstance(bundle, Bundle)
    assert bundle.voice == (VOICE,)
    assert stats.payload_bytes["voice"] == 2 + 2 + 1 + 4  # sequence, time, length, Opus
    assert stats.payload_bytes["keypoints"] == len(wire.pack(bundle)) - 9
    assert 0 < stats.counters["keypoint_bits"] <= 8 * len(bundle.coded) + 8


def test_an_acknowledgement_rides_with_the_poses_and_does_not_wait_for_them() -> None:
    ack = PivotAck(3, frozenset({0}))

    async def main(loop: VirtualTimeLoop) -> tuple[list[Packet], list[Packet], Stats]:
        link, _ = pair()
        stats = Stats()
        outlet = Outlet(link, stats, loop.now_ms, Bundler(120.0, 25.0))
        outlet.attach(ack)
        alone = sent(link)
        outlet.pose(Pose(0.0, 1, POINTS), POINTS)
        outlet.attach(ack)
        running = asyncio.create_task(outlet.run())
        await asyncio.sleep(0.2)
        running.cancel()
        return alone, sent(link)[1:], stats

    alone, later, stats = run(main)
    assert alone == [ack]
    (bundle,) = later
    assert isinstance(bundle, Bundle)
    assert wire.attached(bundle) == [ack]
    size = len(wire.pack(ack))
    assert stats.payload_bytes["control"] == size + 1 + 1 + size  # alone; a count, a length and itself


def test_without_bundles_span_and_copies_mean_nothing() -> None:
    async def main(loop: VirtualTimeLoop) -> list[Packet]:
        link, _ = pair()
        outlet = Outlet(link, Stats(), loop.now_ms, None)
        outlet.set_span(200.0)
        outlet.set_copies(True)
        outlet.attach(PivotAck(3, frozenset({0})))
        outlet.pose(Pose(0.0, 1, POINTS), POINTS)
        return sent(link)

    assert [type(packet) for packet in run(main)] == [PivotAck, KeypointPacket]


def test_flush_leaves_nothing_behind() -> None:
    async def main(loop: VirtualTimeLoop) -> list[Packet]:
        link, _ = pair()
        outlet = Outlet(link, Stats(), loop.now_ms, Bundler(120.0, 25.0))
        outlet.pose(Pose(0.0, 1, POINTS), POINTS)
        outlet.flush()
        outlet.flush()
        return sent(link)

    assert len(run(main)) == 1


def test_urgent_reports_do_not_wait_for_a_full_bundle() -> None:
    report = Report(1, 2, 3, 4, 5)

    async def main(loop: VirtualTimeLoop) -> list[Packet]:
        link, _ = pair()
        outlet = Outlet(link, Stats(), loop.now_ms, Bundler(200.0, 25.0))
        outlet.urgent_reports = 1
        for number in range(2):
            outlet.pose(Pose(40.0 * number, 1, POINTS), POINTS)
            outlet.attach(report)
            assert outlet.has_poses == (number == 1)
        return sent(link)

    (bundle,) = run(main)
    assert isinstance(bundle, Bundle)
    assert wire.attached(bundle) == [report]


def test_a_bundle_takes_along_what_has_room_in_it() -> None:
    offered: list[int] = []
    slice_ = wire.pack(wire.PivotSlice(7, 0, 1, 300, bytes(300)))

    def rider(most_bytes: int) -> bytes | None:
        offered.append(most_bytes)
        return slice_ if len(offered) == 1 else None

    async def main(loop: VirtualTimeLoop) -> tuple[list[bytes], Stats]:
        link, _ = pair()
        stats = Stats()
        outlet = Outlet(link, stats, loop.now_ms, Bundler(40.0, 25.0))
        outlet.rider = rider
        outlet.voice(VOICE, 60.0)  # alone: nothing rides with that
        for number in range(2):
            outlet.pose(Pose(40.0 * number, 1, POINTS), POINTS)
            outlet.flush()
        return [data for _, _, data in link.sent], stats

    (_, full, plain), stats = run(main)
    ridden = wire.parse(full)
    assert isinstance(ridden, Bundle)
    assert wire.attached(ridden) == [wire.parse(slice_)]
    assert len(full) - len(plain) <= len(slice_) + 3
    assert all(len(plain) + most_bytes < wire.MTU_BYTES for most_bytes in offered)
    # what rode is counted by whoever sent it
    assert stats.payload_bytes["pivots"] == 0
    assert stats.payload_bytes["control"] == 0
