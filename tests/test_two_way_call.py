"""A call in both directions on virtual time: each end a real sender and receiver over one session (`avcall call`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest

from avcall.cli.calling import Both
from avcall.common import wire
from avcall.common.config import ReceiveConfig, SendConfig
from avcall.common.link import Channel
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, PivotAck, Report
from avcall.models.twins import BicubicSuperResolver, IdentityEnhancer
from avcall.receiver.pipeline import Receiver
from avcall.receiver.speaker import SilentSpeaker
from avcall.sender.pipeline import Sender
from avcall.signaling.session import Session, handshake
from tests.memory_link import MemoryLink, Path, pair
from tests.test_whole_call import SIZE, Camera, Log, NoseWriter, SwayingFace, TenPoints, Voice, hello, losses
from tests.virtual_time import InlineExecutor, VirtualTimeLoop, run


@dataclass
class End:
    """What one end of a call left behind."""

    summary: dict[str, Any]
    sent: Stats
    link: MemoryLink

    def alone(self, *kinds: type[object]) -> int:
        """Media packets of these kinds that it sent by themselves."""
        packets = [wire.parse(data) for _, channel, data in self.link.sent if channel is Channel.MEDIA]
        return sum(isinstance(packet, kinds) for packet in packets)

    @property
    def riding(self) -> int:
        packets = [wire.parse(data) for _, channel, data in self.link.sent if channel is Channel.MEDIA]
        return sum(len(packet.attached) for packet in packets if isinstance(packet, Bundle))


async def end(loop: VirtualTimeLoop, link: MemoryLink, seconds: float, span_ms: str) -> End:
    theirs = await handshake(link, replace(hello(sends=True), receives=True))
    sent, received, clock, executor = Stats(), Stats(), loop.now_ms, InlineExecutor()
    sender = Sender(
        SendConfig(room="r", size=SIZE, span_ms=span_ms, voice_kbps=6.0),
        source=Camera(loop, seconds),
        microphone=Voice(loop),
        detector=TenPoints(),
        link=link,
        clock=clock,
        executor=executor,
        stats=sent,
        trace=Log(),
        make_mesh=SwayingFace,
    )
    receiver = Receiver(
        ReceiveConfig(room="r", window=False),
        reenactor=NoseWriter(),
        upscaler=BicubicSuperResolver(),
        enhancer=IdentityEnhancer(),
        renderers=[],
        speaker=SilentSpeaker(),
        link=link,
        clock=clock,
        executor=executor,
        pivot_executor=executor,
        stats=received,
        trace=Log(),
        tell=sender.attach,
    )
    session, both = Session(link, theirs, clock, sent), Both(sender, receiver)
    pumping = asyncio.create_task(session.pump([both]), name="pump")
    await both.run()
    await session.bye("the file has ended")
    await pumping
    return End(receiver.summary(clock(), session.offset.offset_ms), sent, link)


def two_way(there: Path, back: Path, seconds: float = 20.0, span_ms: str = "120") -> tuple[End, End]:
    async def main(loop: VirtualTimeLoop) -> tuple[End, End]:
        links = pair(there, back)
        first, second = await asyncio.gather(*(end(loop, link, seconds, span_ms) for link in links))
        return first, second

    return run(main)


@pytest.mark.parametrize(("span_ms", "most_kbps"), [("120", 18.0), ("200", 14.0)])
def test_both_ends_show_the_other_and_no_acknowledgement_travels_alone(span_ms: str, most_kbps: float) -> None:
    ends = two_way(Path(delay_ms=50), Path(delay_ms=50), span_ms=span_ms)
    for side in ends:
        assert side.summary["ticks_filled"] >= 0.98
        assert side.summary["freeze_longest_ms"] <= 120
        assert side.summary["time_to_first_face_ms"] < 2_000
        assert side.summary["av_skew_ms"]["p95_abs"] <= 40
        assert side.riding > 30  # an acknowledgement for each pivot, two reports a second
        assert side.alone(PivotAck, Report) <= 2  # before the first frame there is no bundle to ride in
        assert side.link.up_bytes * 8 / 20 / 1000 < most_kbps  # with headers, without SCTP's acknowledgements
    if span_ms == "120":
        assert all(side.summary["latency_ms"]["p95"] <= 250 for side in ends)  # at a round trip of 100 ms


def test_losses_in_both_directions_are_played_through() -> None:
    jitter = [0.0, 5.0, 15.0, 2.0, 20.0, 8.0]
    paths = [Path(delay_ms=50, losses=losses(0.1, seed), jitter_ms=jitter) for seed in (7, 21)]
    for side in two_way(*paths, seconds=30.0):
        assert side.summary["ticks_filled"] >= 0.96
        assert side.summary["freeze_longest_ms"] <= 300
        assert side.summary["counters"]["copies_used"] > 5
