"""Whole calls on virtual time: a real sender, session and receiver; only face, camera and network are made up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from avcall.bench.memory_link import MemoryLink, Path, pair
from avcall.bench.virtual_face import MODEL, Camera, NoseWriter, SwayingFace, TenPoints, Voice
from avcall.bench.virtual_time import InlineExecutor, VirtualTimeLoop, run
from avcall.common import wire
from avcall.common.config import ReceiveConfig, SendConfig
from avcall.common.control import Hello
from avcall.common.keypoints import Image
from avcall.common.link import Endpoint
from avcall.common.stats import Stats
from avcall.models.twins import BicubicSuperResolver, IdentityEnhancer
from avcall.receiver.pipeline import Receiver
from avcall.receiver.speaker import SilentSpeaker
from avcall.sender.pipeline import Sender
from avcall.signaling.session import Session, handshake


@dataclass
class Log:
    """A trace in memory; of each picture only the corner that `NoseWriter` wrote."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pictures: list[tuple[Image, dict[str, Any]]] = field(default_factory=list)

    def event(self, kind: str, **values: object) -> None:
        self.events.append((kind, values))

    def picture(self, image: Image, **values: object) -> None:
        self.pictures.append((image[:1, :2].copy(), values))


@dataclass
class Outcome:
    """What a call in one direction left behind."""

    reason: str
    summary: dict[str, Any]
    shown: list[tuple[Image, dict[str, Any]]]
    sender: Stats
    receiver: Stats
    there: MemoryLink
    back: MemoryLink
    sender_log: Log


@dataclass
class End:
    """What one end of a call in both directions left behind."""

    summary: dict[str, Any]
    shown: list[tuple[Image, dict[str, Any]]]
    link: MemoryLink


def hello(*, sends: bool, receives: bool, side: int = Camera.side) -> Hello:
    return Hello(wire.VERSION, "test", MODEL.name, MODEL.weights, 10, side, 25.0, sends, receives, True)


def losses(share: float, seed: int = 7, count: int = 5000) -> list[bool]:
    """For `Path.losses`: each packet by its own chance."""
    rng = random.Random(seed)
    return [rng.random() < share for _ in range(count)]


async def one_way(
    loop: VirtualTimeLoop,
    there: Path,
    back: Path,
    *,
    seconds: float,
    camera: type[Camera] = Camera,
    away: tuple[float, float] = (0.0, 0.0),
    cut_after_s: float = 0.0,
    **sending: Any,
) -> Outcome:
    """A call from the handshake to the bye. `sending` is for SendConfig."""
    a, b = pair(there, back)
    if cut_after_s:
        loop.call_later(cut_after_s, b.cut)
    hellos = await asyncio.gather(
        handshake(a, hello(sends=True, receives=False, side=camera.side)),
        handshake(b, hello(sends=False, receives=True, side=camera.side)),
    )
    stats_a, stats_b, log_a, log_b = Stats(), Stats(), Log(), Log()
    sender = _sender(loop, a, camera(loop, seconds, away), stats_a, log_a, pivot_max_age_s=5.0, **sending)
    receiver = _receiver(loop, b, stats_b, log_b)
    sessions = Session(a, hellos[0], loop.now_ms, stats_a), Session(b, hellos[1], loop.now_ms, stats_b)

    async def send() -> None:
        pumping = asyncio.create_task(sessions[0].pump([sender]), name="pump-sender")
        await sender.run()
        await sessions[0].bye("the file has ended")
        await pumping

    async def receive() -> str:
        showing = asyncio.create_task(receiver.run(), name="receiver")
        try:
            return await sessions[1].pump([receiver])
        finally:
            receiver.stop()
            await showing

    async with asyncio.TaskGroup() as group:
        sending_task, receiving = group.create_task(send()), group.create_task(receive())
    assert sending_task.done()
    summary = receiver.summary(loop.now_ms(), sessions[1].offset.offset_ms)
    return Outcome(receiving.result(), summary, log_b.pictures, stats_a, stats_b, a, b, log_a)


class Pipeline(Endpoint, Protocol):
    """Runs until it has nothing more to do, and takes what arrives."""

    async def run(self) -> None: ...


Join = Callable[[Sender, Receiver], Pipeline]
"""`avcall.cli.calling.Both`, which this room may not import."""


def two_way(
    join: Join,
    there: Path,
    back: Path,
    seconds: float = 20.0,
    *,
    camera: type[Camera] = Camera,
    **sending: Any,
) -> tuple[End, End]:
    """A call in both directions, as `avcall call` makes it. `sending` is for SendConfig."""

    async def main(loop: VirtualTimeLoop) -> tuple[End, End]:
        links = pair(there, back)
        ends = (_end(join, loop, link, camera(loop, seconds), **sending) for link in links)
        first, second = await asyncio.gather(*ends)
        return first, second

    return run(main)


async def _end(join: Join, loop: VirtualTimeLoop, link: MemoryLink, camera: Camera, **sending: Any) -> End:
    theirs = await handshake(link, hello(sends=True, receives=True, side=camera.side))
    sent, seen = Stats(), Log()
    sender = _sender(loop, link, camera, sent, Log(), voice_kbps=6.0, **sending)
    receiver = _receiver(loop, link, Stats(), seen, tell=sender.attach)
    session, both = Session(link, theirs, loop.now_ms, sent), join(sender, receiver)
    pumping = asyncio.create_task(session.pump([both]), name="pump")
    await both.run()
    await session.bye("the file has ended")
    await pumping
    return End(receiver.summary(loop.now_ms(), session.offset.offset_ms), seen.pictures, link)


def _sender(loop: VirtualTimeLoop, link: MemoryLink, camera: Camera, stats: Stats, log: Log, **sending: Any) -> Sender:
    return Sender(
        SendConfig(room="r", size=camera.side, **sending),
        source=camera,
        microphone=Voice(loop),
        detector=TenPoints(),
        link=link,
        clock=loop.now_ms,
        executor=InlineExecutor(),
        pivot_executor=InlineExecutor(),
        voice_executor=InlineExecutor(),
        stats=stats,
        trace=log,
        make_mesh=SwayingFace,
    )


def _receiver(loop: VirtualTimeLoop, link: MemoryLink, stats: Stats, log: Log, **telling: Any) -> Receiver:
    return Receiver(
        ReceiveConfig(room="r", window=False),
        reenactor=NoseWriter(),
        upscaler=BicubicSuperResolver(),
        enhancer=IdentityEnhancer(),
        renderers=[],
        speaker=SilentSpeaker(),
        link=link,
        clock=loop.now_ms,
        executor=InlineExecutor(),
        pivot_executor=InlineExecutor(),
        stats=stats,
        trace=log,
        **telling,
    )
