"""A call over the in-memory link: hello, dispatch, clocks, bye, silence; and one through a server and WebRTC."""

from __future__ import annotations

import asyncio
import dataclasses
import os

import pytest

from avcall.bench import virtual_time
from avcall.bench.memory_link import MemoryLink, Path, pair
from avcall.bench.virtual_time import VirtualTimeLoop
from avcall.common import control, wire
from avcall.common.clock import monotonic_ms
from avcall.common.config import CallConfig
from avcall.common.control import Bye, Hello, Message, PivotRequest
from avcall.common.errors import CallError, ModelMismatchError, RoomError
from avcall.common.link import Channel, Link
from avcall.common.stats import Stats
from avcall.common.wire import Packet, PivotAck, VoicePacket
from avcall.signaling.client import SignalingClient
from avcall.signaling.server import SignalConfig
from avcall.signaling.session import Session, handshake, open_session
from tests.signaling_server import running_server

SENDER = Hello(wire.VERSION, "0.1.0", "classical", "00000000", 10, 256, 25.0, sends=True, receives=False, voice=True)
RECEIVER = dataclasses.replace(SENDER, sends=False, receives=True)


class Recorder:
    """An endpoint that keeps what it is handed."""

    def __init__(self) -> None:
        self.packets: list[tuple[Packet, int, float]] = []
        self.messages: list[tuple[Message, float]] = []

    def on_packet(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        self.packets.append((packet, size_bytes, now_ms))

    def on_message(self, message: Message, now_ms: float) -> None:
        self.messages.append((message, now_ms))


async def sessions(
    loop: VirtualTimeLoop, near: MemoryLink, far: MemoryLink, skew_ms: float = 0.0
) -> tuple[Session, Session]:
    hellos = await asyncio.gather(handshake(near, SENDER), handshake(far, RECEIVER))
    assert hellos == [RECEIVER, SENDER]
    return (
        Session(near, hellos[0], loop.now_ms, Stats()),
        Session(far, hellos[1], lambda: loop.now_ms() + skew_ms, Stats()),
    )


def test_both_get_the_others_hello_and_what_is_sent_is_handed_out() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        near, far = await sessions(loop, *pair())
        seen = Recorder(), Recorder()
        pumps = asyncio.gather(near.pump([seen[0]]), far.pump([seen[1]]))
        await asyncio.sleep(1.0)
        start_ms = loop.now_ms()
        near.link.send(Channel.MEDIA, wire.pack(VoicePacket(7, 1000, b"opus")))
        far.link.send(Channel.MEDIA, wire.pack(PivotAck(3, frozenset({0}))))
        far.send(PivotRequest())
        await asyncio.sleep(1.0)
        await near.bye("that is all")
        assert await pumps == ["", "that is all"]
        assert seen[1].packets == [(VoicePacket(7, 1000, b"opus"), 12, start_ms + 20.0)]
        assert seen[0].packets == [(PivotAck(3, frozenset({0})), 8, start_ms + 20.0)]
        assert seen[0].messages == [(PivotRequest(), start_ms + 20.0)]
        assert seen[1].messages == []

    virtual_time.run(call)


def test_the_clock_offset_and_the_round_trip_are_measured() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        near, far = await sessions(loop, *pair(Path(delay_ms=30.0), Path(delay_ms=50.0)), skew_ms=5_000.0)
        pumps = asyncio.gather(near.pump([]), far.pump([]))
        await asyncio.sleep(2.0)
        assert near.offset.rtt_ms == pytest.approx(80.0)
        assert near.offset.offset_ms == pytest.approx(5_000.0 - 10.0)  # the delays differ by 20 ms
        assert far.offset.offset_ms == pytest.approx(-5_000.0 + 10.0)
        await far.bye("")
        assert await pumps == ["", ""]

    virtual_time.run(call)


def test_an_idle_call_costs_few_pings_and_counts_them() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        links = pair()
        near, far = await sessions(loop, *links)
        pumps = asyncio.gather(near.pump([]), far.pump([]))
        await asyncio.sleep(60.0)
        pings = [data for _, _, data in links[0].sent if control.parse(data).__class__ is control.Ping]
        assert 15 <= len(pings) <= 28  # nobody is silent for more than 2.5 s
        assert near._stats.payload_bytes["control"] > 15 * len(pings[0])
        await near.bye("")
        await pumps

    virtual_time.run(call)


def test_in_a_call_in_which_media_flow_pings_become_rare() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        links = pair()
        near, far = await sessions(loop, *links)
        pumps = asyncio.gather(near.pump([]), far.pump([]))
        start_ms = loop.now_ms()
        for _ in range(600):
            for session in (near, far):
                session.link.send(Channel.MEDIA, wire.pack(VoicePacket(7, 1000, b"opus")))
            await asyncio.sleep(0.1)
        sent = [(at_ms - start_ms, data) for at_ms, channel, data in links[0].sent if channel is Channel.CONTROL]
        pings_s = [at_ms / 1000 for at_ms, data in sent if isinstance(control.parse(data), control.Ping)]
        assert pings_s == pytest.approx([0.0, 0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 25.4, 40.4, 55.4], abs=0.1)
        await near.bye("")
        await pumps

    virtual_time.run(call)


def test_pings_wait_for_their_answers_where_the_way_is_long() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        links = pair(Path(delay_ms=300), Path(delay_ms=300))
        near, far = await sessions(loop, *links)
        pumps = asyncio.gather(near.pump([]), far.pump([]))
        start_ms = loop.now_ms()
        for _ in range(120):
            for session in (near, far):
                session.link.send(Channel.MEDIA, wire.pack(VoicePacket(7, 1000, b"opus")))
            await asyncio.sleep(0.1)
        sent = [(at_ms - start_ms, data) for at_ms, channel, data in links[0].sent if channel is Channel.CONTROL]
        pings_s = [at_ms / 1000 for at_ms, data in sent if isinstance(control.parse(data), control.Ping)]
        assert pings_s == pytest.approx([0.0, 2.4, 7.2], abs=0.1)
        assert near.offset.rtt_ms == pytest.approx(600.0)
        await near.bye("")
        await pumps

    virtual_time.run(call)


def test_nonsense_is_counted_and_dropped() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        near, far = await sessions(loop, *pair())
        seen = Recorder()
        pumps = asyncio.gather(near.pump([]), far.pump([seen]))
        for number in range(300):
            near.link.send(Channel.MEDIA, os.urandom(number))
            near.link.send(Channel.CONTROL, b"\xc1" + os.urandom(number))
        await asyncio.sleep(1.0)
        assert far._stats.counters["packets_malformed"] >= 590  # a few random bytes may make a voice packet
        assert seen.messages == []
        await near.bye("")
        await pumps

    virtual_time.run(call)


def test_a_peer_that_falls_silent_is_gone_after_six_seconds() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        links = pair()
        near, far = await sessions(loop, *links)
        pump = asyncio.create_task(near.pump([]))
        other = asyncio.create_task(far.pump([]))
        await asyncio.sleep(10.0)
        assert not pump.done()
        other.cancel()
        links[1].cut()
        start_ms = loop.now_ms()
        with pytest.raises(CallError, match="the peer is gone: nothing heard for 6 s"):
            await pump
        assert 3_000.0 <= loop.now_ms() - start_ms <= 6_500.0  # the last ping was up to 3 s before

    virtual_time.run(call)


def test_any_datagram_is_a_sign_of_life() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        links = pair()
        near, _ = await sessions(loop, *links)
        pump = asyncio.create_task(near.pump([]))
        for _ in range(20):  # acks and keep-alives, say, while every message is stuck
            await asyncio.sleep(1.0)
            links[0].down_bytes += 93
        assert not pump.done()
        with pytest.raises(CallError):
            await pump

    virtual_time.run(call)


def test_a_link_that_closes_without_a_word() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        links = pair()
        near, _ = await sessions(loop, *links)
        loop.call_later(1.0, links[0].cut)
        with pytest.raises(CallError, match="closed the connection without a word"):
            await near.pump([])

    virtual_time.run(call)


def test_the_peers_reason_is_fit_for_a_terminal() -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        near, far = await sessions(loop, *pair())
        far.send(Bye("good\x1b[31m\n bye"))
        assert await near.pump([]) == "good[31m bye"

    virtual_time.run(call)


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (dataclasses.replace(RECEIVER, model="other"), "--model"),
        (dataclasses.replace(RECEIVER, weights="12345678"), "--model"),
        (dataclasses.replace(RECEIVER, protocol=9), "install the same avcall version"),
        (SENDER, "both ends only send"),
    ],
)
def test_a_mismatch_is_raised_at_both_ends(theirs: Hello, why: str) -> None:
    async def call(loop: VirtualTimeLoop) -> None:
        near, far = pair()
        refusals = await asyncio.gather(handshake(near, SENDER), handshake(far, theirs), return_exceptions=True)
        assert isinstance(refusals[0], ModelMismatchError)
        assert why in str(refusals[0])
        assert theirs.protocol != wire.VERSION or isinstance(refusals[1], ModelMismatchError)

    virtual_time.run(call)


def test_a_handshake_that_is_refused_interrupted_or_never_answered() -> None:
    async def shake(link: Link) -> str:
        with pytest.raises(CallError) as caught:
            await handshake(link, SENDER)
        return str(caught.value)

    async def call(loop: VirtualTimeLoop) -> None:
        near, far = pair()
        far.send(Channel.CONTROL, control.pack(Bye("not you")))
        assert await shake(near) == "the peer refused the call: not you"
        near, far = pair()
        loop.call_later(1.0, near.cut)
        assert "went away during the handshake" in await shake(near)
        near, far = pair()
        far.send(Channel.CONTROL, b"?")
        far.send(Channel.MEDIA, b"?")
        start_s = loop.time()
        assert "does not say hello" in await shake(near)
        assert loop.time() - start_s == pytest.approx(10.0)

    virtual_time.run(call)


def config(url: str, wait_s: float = 10.0) -> CallConfig:
    return CallConfig(room="R", signal=url, bind="127.0.0.1", wait_s=wait_s)


@pytest.mark.real_time
async def test_a_call_through_a_server_and_webrtc() -> None:
    async def end(url: str, hello: Hello) -> tuple[str, Recorder]:
        seen = Recorder()
        async with open_session(config(url), hello, monotonic_ms, Stats()) as session:
            if hello.sends:
                for number in range(10):
                    session.link.send(Channel.MEDIA, wire.pack(VoicePacket(number, 0, b"opus")))
                    await asyncio.sleep(0.02)
                return "sent", seen
            return await session.pump([seen]), seen

    async with running_server() as url:
        (_, _), (reason, seen) = await asyncio.gather(end(url, SENDER), end(url, RECEIVER))
    assert reason == "the call has ended"
    assert {packet.sequence for packet, _, _ in seen.packets if isinstance(packet, VoicePacket)} == set(range(10))
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.real_time
async def test_nobody_comes() -> None:
    async with running_server() as url:
        with pytest.raises(RoomError, match="room 'R': nobody else came within 0 s: check --room and --signal"):
            async with open_session(config(url, wait_s=0.2), SENDER, monotonic_ms, Stats()):
                pass


@pytest.mark.real_time
async def test_a_mismatch_through_webrtc_is_an_error_at_both_ends() -> None:
    async def end(url: str, hello: Hello) -> None:
        async with open_session(config(url), hello, monotonic_ms, Stats()):
            pass

    async with running_server() as url:
        other = dataclasses.replace(RECEIVER, model="other")
        refusals = await asyncio.gather(end(url, SENDER), end(url, other), return_exceptions=True)
    assert [type(refusal) for refusal in refusals] == [ModelMismatchError, ModelMismatchError]


@pytest.mark.real_time
async def test_who_is_interrupted_tells_the_peer_and_the_room_can_be_used_again() -> None:
    async def end(url: str, hello: Hello) -> str:
        async with open_session(config(url), hello, monotonic_ms, Stats()) as session:
            connected.release()
            return await session.pump([])

    connected = asyncio.Semaphore(0)
    async with running_server() as url:
        staying = asyncio.create_task(end(url, SENDER))
        for _ in range(2):
            leaving = asyncio.create_task(end(url, RECEIVER))
            await connected.acquire()
            await connected.acquire()
            leaving.cancel()
            assert await staying == "the call has ended"
            await asyncio.wait({leaving})
            staying = asyncio.create_task(end(url, SENDER))
        staying.cancel()
        await asyncio.wait({staying})


@pytest.mark.real_time
async def test_the_server_may_go_while_the_call_goes_on() -> None:
    ends: list[asyncio.Task[str]] = []
    connected = asyncio.Semaphore(0)

    async def end(url: str, hello: Hello) -> str:
        async with open_session(config(url), hello, monotonic_ms, Stats()) as session:
            connected.release()
            if hello.sends:
                await server_gone.wait()
                await asyncio.sleep(0.2)
                return "sender"
            return await session.pump([])

    server_gone = asyncio.Event()
    async with running_server(SignalConfig(host="127.0.0.1", port=0)) as url:
        ends = [asyncio.create_task(end(url, hello)) for hello in (SENDER, RECEIVER)]
        await connected.acquire()
        await connected.acquire()
    server_gone.set()
    assert await asyncio.gather(*ends) == ["sender", "the call has ended"]


@pytest.mark.real_time
async def test_one_who_leaves_before_connecting_is_waited_for_again() -> None:
    async def end(url: str, hello: Hello) -> str:
        async with open_session(config(url), hello, monotonic_ms, Stats()) as session:
            return "met" if hello.sends else await session.pump([])

    async with running_server() as url:
        waiting = asyncio.create_task(end(url, SENDER))
        await asyncio.sleep(0.1)
        async with SignalingClient(url, "R"):
            await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await asyncio.gather(waiting, end(url, RECEIVER)) == ["met", "the call has ended"]
