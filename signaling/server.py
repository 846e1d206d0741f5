"""The signaling server: a WebSocket at / (and /ws), figures at /health. It introduces two peers; no media passes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import hashlib
import hmac
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version

from aiohttp import WSCloseCode, WSMsgType, web

from avcall.common.clock import Clock, monotonic_ms
from avcall.common.config import flag
from avcall.common.errors import ConfigError, SignalingError
from avcall.signaling.ice_servers import stun_server, turn_server
from avcall.signaling.messages import MAX_BYTES, FromServer, IceServer, Refusal, dump
from avcall.signaling.rooms import Delivery, Limits, Rooms

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0
_EXPIRE_EVERY_S = 2.0
_OUTBOX_MESSAGES = 64
"""Messages that wait for a peer that does not read; with more, it is dropped."""
_READ_BYTES = 4 * MAX_BYTES
"""Beyond MAX_BYTES a message is dropped and counted; beyond this the connection is closed unread."""
_TURN_LIFE_S = 6 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalConfig:
    """`avcall signal`."""

    host: str = flag("0.0.0.0", "address to listen on", metavar="ADDRESS")
    port: int = flag(8765, "port to listen on; 0 takes a free one", metavar="PORT")
    stun: tuple[str, ...] = flag((), "STUN server to tell the peers of", metavar="HOST:PORT")
    turn: tuple[str, ...] = flag(
        (),
        "TURN relay to tell the peers of: HOST:PORT with --turn-secret, else USER:PASSWORD@HOST:PORT",
        metavar="RELAY",
    )
    turn_secret: str = flag(
        "", "secret shared with coturn (its static-auth-secret); AVCALL_TURN_SECRET if not given", metavar="SECRET"
    )
    room_ttl_s: float = flag(3600.0, "close a room in which nobody has said anything for this long", metavar="SECONDS")
    max_rooms: int = flag(500, "refuse new rooms beyond this many", metavar="COUNT")


def turn_credentials(secret: str, now_s: float) -> tuple[str, str]:
    """User name and password for a relay that shares `secret`, good for six hours from `now_s` (seconds since 1970).

    The scheme of coturn's use-auth-secret (draft-uberti-behave-turn-rest): the name is the time of expiry and a label,
    the password its HMAC-SHA1 in base64.
    """
    username = f"{int(now_s) + _TURN_LIFE_S}:avcall"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


def announced_servers(config: SignalConfig) -> Callable[[], tuple[IceServer, ...]]:
    """Makes the ICE servers of a `joined` message.

    Raises:
        ConfigError: --stun or --turn is not of the form it must have, or a relay has no credentials.
    """
    stun = tuple(stun_server(text) for text in config.stun)
    relays = tuple(turn_server(text) for text in config.turn)
    secret = config.turn_secret or os.environ.get("AVCALL_TURN_SECRET", "")
    for text, relay in zip(config.turn, relays, strict=True):
        if not relay.username and not secret:
            raise ConfigError(f"--turn {text}: no credentials: write USER:PASSWORD@{text} or give --turn-secret")

    def servers() -> tuple[IceServer, ...]:
        made = [
            relay if relay.username else IceServer(relay.url, *turn_credentials(secret, time.time()))
            for relay in relays
        ]
        return (*stun, *made)

    return servers


class SignalingServer:
    """Sockets around `Rooms`. `application` is what aiohttp runs."""

    def __init__(
        self, limits: Limits, ice_servers: Callable[[], tuple[IceServer, ...]] = tuple, clock: Clock = monotonic_ms
    ) -> None:
        self.rooms = Rooms(limits, ice_servers)
        self._clock = clock
        self._outboxes: dict[int, asyncio.Queue[Delivery]] = {}
        self.application = web.Application()
        self.application.router.add_get("/", self._websocket)
        self.application.router.add_get("/ws", self._websocket)
        self.application.router.add_get("/health", self._health)
        self.application.cleanup_ctx.append(self._expiring)
        self.application.on_shutdown.append(self._say_goodbye)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "ok",
                "service": "avcall-signaling",
                "rooms": self.rooms.rooms,
                "peers": self.rooms.peers,
                "dropped": self.rooms.dropped,
                "counters": dict(self.rooms.counters),
                "version": version("avcall"),
            }
        )

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_READ_BYTES)
        if not socket.can_prepare(request).ok:
            return web.Response(status=426, text="This is an avcall signaling server: open it with --signal ws://...\n")
        await socket.prepare(request)
        number = self.rooms.connect(self._clock())
        if number is None:
            await socket.send_str(dump(Refusal("busy", "the signaling server has too many connections")))
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
            return socket
        outbox = self._outboxes[number] = asyncio.Queue(_OUTBOX_MESSAGES)
        # Not a TaskGroup: the writer must end with the reader, whichever way that ends, and can raise nothing itself.
        writer = asyncio.create_task(_write(socket, outbox), name=f"signaling-write-{number}")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._deliver(self.rooms.receive(number, message.data, self._clock()))
                else:
                    self._deliver(self.rooms.drop(number, "malformed", "only text messages are understood"))
        finally:
            del self._outboxes[number]
            self._deliver(self.rooms.disconnect(number))
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return socket

    def _deliver(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            outbox = self._outboxes.get(delivery.to)
            if outbox is None:
                continue
            if outbox.full():  # it does not read: what it has not read is worthless by now
                self.rooms.counters["refused_slow"] += 1
                while not outbox.empty():
                    outbox.get_nowait()
                delivery = Delivery(delivery.to, Refusal("slow", "messages were not read in time"), close=True)
            outbox.put_nowait(delivery)

    async def _expiring(self, application: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._expire(), name="signaling-expire")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_EVERY_S)
            self._deliver(self.rooms.expire(self._clock()))

    async def _say_goodbye(self, application: web.Application) -> None:
        goodbye = Refusal("shutting_down", "the signaling server is shutting down")
        self._deliver([Delivery(number, goodbye, close=True) for number in self._outboxes])
        for _ in range(20):  # the writers close their sockets, and with them the readers end
            if not self._outboxes:
                return
            await asyncio.sleep(0.05)


async def _write(socket: web.WebSocketResponse, outbox: asyncio.Queue[Delivery]) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            delivery = await outbox.get()
            if delivery.message is not None:
                await socket.send_str(dump(delivery.message))
            if delivery.close:
                await socket.close(code=WSCloseCode.GOING_AWAY if _is_farewell(delivery.message) else WSCloseCode.OK)
                return


def _is_farewell(message: FromServer | None) -> bool:
    return isinstance(message, Refusal) and message.code == "shutting_down"


async def serve(config: SignalConfig, ready: Callable[[str], None] | None = None) -> None:
    """Runs the server until cancelled. `ready` is told the address it listens on ("ws://HOST:PORT").

    Raises:
        SignalingError: the port is taken, or the address is not this machine's.
        ConfigError: bad --stun or --turn.
    """
    limits = Limits(max_rooms=config.max_rooms, room_ttl_s=config.room_ttl_s)
    server = SignalingServer(limits, announced_servers(config))
    runner = web.AppRunner(server.application, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            raise SignalingError(_explain(error, config)) from error
        host, port = runner.addresses[0][:2]
        logger.info("signaling on %s port %s", host, port)
        if ready is not None:
            ready(f"ws://{f'[{host}]' if ':' in host else host}:{port}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _explain(error: OSError | OverflowError, config: SignalConfig) -> str:
    if isinstance(error, OverflowError):
        return f"--port {config.port} is not a port: give 1 to 65535, or 0 for a free one"
    if error.errno == errno.EADDRINUSE:
        return f"--port {config.port} is in use: stop the program that listens there or choose another --port"
    if error.errno == errno.EACCES:
        return f"--port {config.port} may only be opened by root: choose a --port above 1023"
    return f"--host {config.host}: cannot listen there ({error.strerror or error}): give an address of this machine"
