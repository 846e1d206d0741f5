"""The WebRTC link on this machine: real sockets, two connections, no server between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from avcall.common.errors import CallError, ConfigError
from avcall.common.link import Channel, LinkClosed
from avcall.common.stats import Stats
from avcall.signaling import peer as peer_module
from avcall.signaling.ice_sockets import LOOPBACK
from avcall.signaling.messages import FromServer, PeerJoined, PeerLeft, Signal
from avcall.signaling.peer import PeerLeftError, PeerLink, connect

pytestmark = pytest.mark.real_time


class Wire:
    """One end of a signaling path that is two queues."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[FromServer] = asyncio.Queue()
        self.other = self

    async def send(self, data: dict[str, Any]) -> None:
        self.other.inbox.put_nowait(Signal(data))

    async def receive(self) -> FromServer:
        return await self.inbox.get()


def wires() -> tuple[Wire, Wire]:
    first, second = Wire(), Wire()
    first.other, second.other = second, first
    return first, second


@asynccontextmanager
async def linked(stats: Stats | None = None, bind: str = LOOPBACK) -> AsyncIterator[tuple[PeerLink, PeerLink]]:
    first, second = wires()
    ends = await asyncio.gather(
        connect(first, offerer=True, bind=bind, stats=stats), connect(second, offerer=False, bind=bind, stats=stats)
    )
    try:
        yield ends[0], ends[1]
    finally:
        await asyncio.gather(ends[0].close(), ends[1].close())


@pytest.fixture(autouse=True)
async def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """No task survives a link, and nothing is complained of."""
    yield
    for _ in range(5):
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_messages_both_ways_on_both_channels() -> None:
    async with linked() as (first, second):
        for link in (first, second):
            link.send(Channel.CONTROL, b"control")
            link.send(Channel.MEDIA, b"media")
        for link in (first, second):
            got = {await link.receive(), await link.receive()}
            assert got == {(Channel.CONTROL, b"control"), (Channel.MEDIA, b"media")}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a datagram came")
async def test_a_message_is_as_old_as_its_datagram_however_busy_this_end_was() -> None:
    busy_s = 0.15
    async with linked() as (first, second):
        for _ in range(2):  # from the second on the kernel keeps the time
            before, begun_s = first.wire_bytes().up, time.monotonic()
            first.send(Channel.MEDIA, b"media")
            while first.wire_bytes().up == before:  # noqa: ASYNC110 - not a step longer
                await asyncio.sleep(0)
            time.sleep(busy_s)  # noqa: ASYNC251 - nobody gets anything done
            await second.receive()
        now_s, arrived_s = time.monotonic(), second.arrived_ms() / 1000.0
        assert begun_s - 0.001 <= arrived_s <= now_s - busy_s + 0.001


async def test_the_wire_is_counted_with_headers_and_acks() -> None:
    async with linked() as (first, second):
        assert first.wire_bytes().up > 1_000  # ICE and DTLS
        before, payload = first.wire_bytes(), bytes(90)
        for _ in range(40):
            first.send(Channel.MEDIA, payload)
            await second.receive()
        await asyncio.sleep(0.3)
        up = first.wire_bytes().up - before.up
        acks = first.wire_bytes().down - before.down
        message = 90 + 2 + 16 + 12 + 29 + 28  # whole words, DATA, SCTP, DTLS with ChaCha20-Poly1305, UDP over IPv4
        assert 40 * message <= up <= 40 * message + 1_000
        assert 4 * 85 <= acks <= 4 * 85 + 1_000  # one for each thousand bytes
        assert first.wire_bytes().up == second.wire_bytes().down
        assert first.wire_bytes().down == second.wire_bytes().up


async def test_records_are_short_where_both_ends_prefer_it() -> None:
    async with linked() as ends:
        assert {end._dtls()._ssl.get_cipher_name() for end in ends} == {"ECDHE-ECDSA-CHACHA20-POLY1305"}


async def test_acks_ride_with_data_where_both_ends_send() -> None:
    async with linked() as (first, second):
        await asyncio.sleep(0.3)  # what opens the call has been acked
        before = first.wire_bytes()
        for _ in range(20):
            first.send(Channel.MEDIA, bytes(88))
            await asyncio.sleep(0.03)
            second.send(Channel.MEDIA, bytes(88))
            await asyncio.sleep(0.03)
        message = 88 + 16 + 12 + 29 + 28
        for sent in (first.wire_bytes().up - before.up, first.wire_bytes().down - before.down):
            assert sent <= 20 * message + 20 * 16  # an ack with each would be the most: none alone


async def test_closing_flushes_control_and_ends_receiving_at_both_ends() -> None:
    async with linked() as (first, second):
        for number in range(50):
            first.send(Channel.CONTROL, bytes([number]) * 1000)
        await first.close()
        await first.close()
        first.send(Channel.MEDIA, b"too late")
        assert [(await second.receive())[1][0] for _ in range(50)] == list(range(50))
        with pytest.raises(LinkClosed):
            await second.receive()
        with pytest.raises(LinkClosed):
            await first.receive()
        second.send(Channel.MEDIA, b"too late")


async def test_media_is_dropped_rather_than_queued_and_control_is_not() -> None:
    stats = Stats()
    async with linked(stats) as (first, second):
        for _ in range(100):
            first.send(Channel.MEDIA, bytes(1000))
        first.send(Channel.CONTROL, b"still here")
        assert stats.counters["media_dropped_congested"] == 83  # one is on its way, 16 KiB wait
        while (await second.receive()) != (Channel.CONTROL, b"still here"):
            pass


async def test_media_that_nobody_takes_makes_room_for_newer() -> None:
    stats = Stats()
    async with linked(stats) as (first, second):
        second._take(Channel.CONTROL, b"kept")
        for number in range(300):
            second._take(Channel.MEDIA, number.to_bytes(2, "big"))
        second._take(Channel.CONTROL, "text")
        assert stats.counters == {"media_dropped_inbound": 44, "packets_malformed": 1}
        assert await second.receive() == (Channel.CONTROL, b"kept")
        assert await second.receive() == (Channel.MEDIA, (44).to_bytes(2, "big"))
        assert first.wire_bytes().up > 0


async def test_a_machine_without_a_network_falls_back_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
    async with linked(bind="") as (first, second):
        first.send(Channel.CONTROL, b"hello")
        assert await second.receive() == (Channel.CONTROL, b"hello")


async def test_an_address_of_another_machine_names_the_flag() -> None:
    first, _ = wires()
    with pytest.raises(ConfigError, match=r"--bind 192\.0\.2\.1: not an address of this machine"):
        await connect(first, offerer=True, bind="192.0.2.1")


async def test_no_answer_is_an_error_in_bounded_time() -> None:
    first, _ = wires()
    with pytest.raises(CallError, match=r"no connection to the peer within 0 s: check .* UDP .* --stun or --turn"):
        await connect(first, offerer=True, bind=LOOPBACK, timeout_s=0.3)


async def test_no_path_is_an_error_in_bounded_time() -> None:
    """Both are told wrong ports: descriptions arrive, datagrams do not."""

    class Misleading(Wire):
        async def send(self, data: dict[str, Any]) -> None:
            await super().send(
                {**data, "sdp": re.sub(r"127\.0\.0\.1 \d+ typ host", "127.0.0.1 9 typ host", data["sdp"])}
            )

    first, second = Misleading(), Misleading()
    first.other, second.other = second, first
    failures = await asyncio.gather(
        connect(first, offerer=True, bind=LOOPBACK, timeout_s=2.0),
        connect(second, offerer=False, bind=LOOPBACK, timeout_s=2.0),
        return_exceptions=True,
    )
    for failure in failures:
        assert isinstance(failure, CallError)
        assert "--stun or --turn" in str(failure)


@pytest.mark.parametrize("sdp", ["", "nonsense", "v=0\r\nm=application x", "v=0\r\n" * 5000, 7, None])
async def test_nonsense_from_the_peer(sdp: object) -> None:
    first, _ = wires()
    first.inbox.put_nowait(PeerJoined())
    first.inbox.put_nowait(Signal({"kind": "candidate"}))
    first.inbox.put_nowait(Signal({"kind": "offer", "sdp": sdp}))
    with pytest.raises(CallError, match="makes no sense"):
        await connect(first, offerer=False, bind=LOOPBACK)


async def test_a_peer_that_leaves_before_the_connection_stands() -> None:
    first, _ = wires()
    first.inbox.put_nowait(PeerLeft())
    with pytest.raises(PeerLeftError):
        await connect(first, offerer=False, bind=LOOPBACK)


async def test_being_cancelled_at_any_moment_leaves_nothing() -> None:
    for steps in (0, 1, 3, 10, 30, 60):
        first, second = wires()
        tasks = [
            asyncio.create_task(connect(first, offerer=True, bind=LOOPBACK)),
            asyncio.create_task(connect(second, offerer=False, bind=LOOPBACK)),
        ]
        for _ in range(steps):
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await (await task).close()


async def test_a_peer_that_closes_while_we_send_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "_FLUSH_S", 0.0)
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    async with linked() as (first, second):
        closing = asyncio.create_task(second.close())
        for _ in range(200):
            first.send(Channel.MEDIA, bytes(200))
            first.send(Channel.CONTROL, bytes(200))
            await asyncio.sleep(0)
        await closing
    assert not unhandled
