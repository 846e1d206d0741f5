"""A call from the room to the last word: who is there, can we talk, hand out what arrives, is the peer still alive.

`handshake` and `Session` work over any `Link`; `open_session` puts a signaling server and WebRTC under them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from avcall.common import control, wire
from avcall.common.clock import Clock, ClockOffset
from avcall.common.config import CallConfig
from avcall.common.control import Bye, Hello, Message, Ping, Pong
from avcall.common.errors import CallError, ModelMismatchError, ProtocolError, RoomError
from avcall.common.link import Channel, Endpoint, Link, LinkClosed, WireBytes
from avcall.common.stats import Stats
from avcall.common.wire import Bundle
from avcall.signaling.client import SignalingClient
from avcall.signaling.ice_servers import stun_server, turn_server
from avcall.signaling.ice_sockets import check_address
from avcall.signaling.messages import IceServer, PeerJoined
from avcall.signaling.peer import PeerLeftError, connect

logger = logging.getLogger(__name__)

HELLO_MS = 10_000.0
SILENT_MS = 6_000.0
"""A peer from which no datagram has come for this long is gone: even an idle one answers pings."""
FIRST_PING_MS, SLOWEST_PING_MS = 200.0, 15_000.0
"""Each ping comes twice as long after the one before as that did: the clock offset is known when the first frames are
shown, and later on a ping, which with its answer takes 270 bytes of the wire and acks, costs little."""
PAUSE_RTT = 4.0
"""Pings come no faster than so many round trips: where those are long the link is thin, and the first face waits."""
QUIET_MS = 2_500.0
"""A peer that has not been heard for so long is pinged."""
LOOK_MS = 500.0
"""How often, at least, it is looked whether the peer is silent."""


async def handshake(link: Link, hello: Hello, stats: Stats | None = None) -> Hello:
    """Exchanges hellos and returns the peer's.

    Raises:
        ModelMismatchError: the two ends cannot understand one another; the peer is told.
        CallError: the peer went away, refused, or said nothing for 10 s.
    """
    stats = stats or Stats()
    _send(link, hello, stats)
    try:
        async with asyncio.timeout(HELLO_MS / 1000):
            theirs = await _await_hello(link, stats)
    except TimeoutError as error:
        raise CallError("the peer is connected but does not say hello: is it another program?") from error
    except LinkClosed as error:
        raise CallError("the peer went away during the handshake: start both ends again") from error
    try:
        control.check_hello(hello, theirs)
    except ModelMismatchError as error:
        _send(link, Bye(str(error)[: control.MAX_TEXT]), stats)
        raise
    return theirs


async def _await_hello(link: Link, stats: Stats) -> Hello:
    while True:
        channel, data = await link.receive()
        if channel is Channel.MEDIA:  # may overtake the hello
            continue
        stats.add_payload("control", len(data))
        try:
            message = control.parse(data)
        except ProtocolError:
            stats.count("packets_malformed")
            continue
        if isinstance(message, Hello):
            return message
        if isinstance(message, Bye):
            raise CallError(f"the peer refused the call: {printable(message.reason)}")


class Session:
    """A call in progress. `pump` runs it; everything is on one event loop.

    Control messages count as payload "control" in both directions; media is counted by the pipelines.
    """

    def __init__(self, link: Link, peer: Hello, clock: Clock, stats: Stats) -> None:
        self.link = link
        self.peer = peer
        self.offset = ClockOffset()
        self._clock = clock
        self._stats = stats
        self._heard_ms = clock()
        self._heard_bytes = 0
        self._ping_ms = self._pinged_ms = clock()
        self._pause_ms = FIRST_PING_MS
        self._echoed = True
        self._said_bye = False

    def send(self, message: Message) -> None:
        """One control message to the peer."""
        _send(self.link, message, self._stats)

    def wire_bytes(self) -> WireBytes:
        """Bytes at the socket so far, see Link."""
        return self.link.wire_bytes()

    async def pump(self, endpoints: Sequence[Endpoint]) -> str:
        """Hands out what arrives until the call ends; returns the peer's reason, or "" if this end said bye.

        Raises:
            CallError: the connection is lost, or the peer has been silent for 6 s.
        """
        self._heard_ms = self._clock()
        while True:
            now_ms = self._clock()
            if self._is_silent(now_ms):
                raise CallError(
                    f"the peer is gone: nothing heard for {SILENT_MS / 1000:.0f} s; check the network and call again"
                )
            self._ping_if_due(now_ms)
            try:
                async with asyncio.timeout(self._look_again_ms(now_ms) / 1000):
                    channel, data = await self.link.receive()
            except TimeoutError:
                continue
            except LinkClosed:
                if self._said_bye:
                    return ""
                raise CallError("the peer is gone: it closed the connection without a word; call again") from None
            now_ms = self._clock()
            if channel is Channel.MEDIA:
                self._take_packet(data, endpoints, now_ms)
            elif (reason := self._take_message(data, endpoints, now_ms)) is not None:
                return reason

    async def bye(self, reason: str) -> None:
        """Tells the peer why the call ends, and closes the link. May be called twice, and after the peer's bye."""
        if not self._said_bye:
            self._said_bye = True
            self.send(Bye(printable(reason)[: control.MAX_TEXT]))
        await self.link.close()

    def _is_silent(self, now_ms: float) -> bool:
        """Any datagram is a sign of life: messages may all be stuck behind a lost one for seconds."""
        down_bytes = self.link.wire_bytes().down
        if down_bytes != self._heard_bytes:
            self._heard_bytes, self._heard_ms = down_bytes, now_ms
        return now_ms - self._heard_ms > SILENT_MS

    def _look_again_ms(self, now_ms: float) -> float:
        return min(max(0.0, self._ping_ms - now_ms), LOOK_MS) if self._echoed else LOOK_MS

    def _ping_if_due(self, now_ms: float) -> None:
        quiet = now_ms - max(self._heard_ms, self._pinged_ms) >= QUIET_MS
        if (now_ms >= self._ping_ms and self._echoed) or quiet:
            self.send(Ping(now_ms))
            self._pinged_ms, self._echoed = now_ms, False
            self._ping_ms = now_ms + self._pause_ms
            self._pause_ms = min(2 * self._pause_ms, SLOWEST_PING_MS)

    def _take_packet(self, data: bytes, endpoints: Sequence[Endpoint], now_ms: float) -> None:
        try:
            packet = wire.parse(data)
        except ProtocolError as error:
            self._stats.count("packets_malformed")
            logger.debug("dropped: %s", error)
            return
        for endpoint in endpoints:
            endpoint.on_packet(packet, len(data), now_ms)
        if isinstance(packet, Bundle):
            for part, riding in zip(packet.attached, wire.attached(packet), strict=True):
                for endpoint in endpoints:
                    endpoint.on_packet(riding, len(part), now_ms)

    def _take_message(self, data: bytes, endpoints: Sequence[Endpoint], now_ms: float) -> str | None:
        self._stats.add_payload("control", len(data))
        try:
            message = control.parse(data)
        except ProtocolError as error:
            self._stats.count("packets_malformed")
            logger.debug("dropped: %s", error)
            return None
        match message:
            case Ping():
                self.send(Pong(message.sent_ms, now_ms))
            case Pong():
                self._echoed = True
                self.offset.add_echo(message.sent_ms, message.peer_ms, now_ms)
                trip_ms = min(now_ms - self._pinged_ms, SLOWEST_PING_MS / (2 * PAUSE_RTT))
                self._ping_ms = max(self._ping_ms, self._pinged_ms + PAUSE_RTT * trip_ms)
                self._pause_ms = max(self._pause_ms, 2 * PAUSE_RTT * trip_ms)
            case Bye():
                return printable(message.reason)
            case _:
                for endpoint in endpoints:
                    endpoint.on_message(message, now_ms)
        return None


@asynccontextmanager
async def open_session(config: CallConfig, hello: Hello, clock: Clock, stats: Stats) -> AsyncIterator[Session]:
    """Joins the room, waits for the other one, connects and shakes hands. On leaving, by whatever way, the peer is told
    and everything is closed; `session.bye(reason)` before that gives a reason of your own.

    Raises:
        SignalingError, RoomError: no server, no room, or nobody else came within `config.wait_s`.
        CallError, ModelMismatchError: no path to the peer, or it cannot be understood.
        ConfigError: --stun, --turn or --bind.
    """
    check_address(config.bind)
    own_servers = [*map(stun_server, config.stun), *map(turn_server, config.turn)]
    async with SignalingClient(config.signal, config.room) as signaling:
        link = await _meet(signaling, config, own_servers, stats)
        try:
            peer = await handshake(link, hello, stats)
            session = Session(link, peer, clock, stats)
            # Not a TaskGroup, which would wrap what the caller raises; it can raise nothing itself.
            staying = asyncio.create_task(signaling.stay(), name="signaling-stay")
            try:
                yield session
            finally:
                staying.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await staying
                await session.bye("the call has ended")
        finally:
            await link.close()


async def _meet(signaling: SignalingClient, config: CallConfig, own_servers: Sequence[IceServer], stats: Stats) -> Link:
    """Waits for the other one as often as one leaves again before the connection stands."""
    offerer = signaling.joined.offerer
    ice_servers = (*own_servers, *signaling.joined.ice_servers)
    try:
        async with asyncio.timeout(config.wait_s) as waiting:
            while True:
                while not offerer and not isinstance(await signaling.receive(), PeerJoined):
                    pass
                left_s = waiting.when()
                waiting.reschedule(None)
                try:
                    return await connect(
                        signaling, offerer=offerer, ice_servers=ice_servers, bind=config.bind, stats=stats
                    )
                except PeerLeftError:
                    logger.debug("the other one left before the connection stood; waiting on")
                offerer = False
                waiting.reschedule(left_s)
    except TimeoutError as error:
        raise RoomError(
            f"room {config.room!r}: nobody else came within {config.wait_s:.0f} s: "
            "check --room and --signal at the other end"
        ) from error


def _send(link: Link, message: Message, stats: Stats) -> None:
    data = control.pack(message)
    stats.add_payload("control", len(data))
    link.send(Channel.CONTROL, data)


def printable(text: str) -> str:
    """Text from the peer, fit for a terminal."""
    return "".join(char for char in text if char.isprintable())
