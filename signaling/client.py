"""One peer's connection to the signaling server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from types import TracebackType
from typing import Any, Self

import aiohttp

from avcall.common.errors import ProtocolError, RoomError, SignalingError
from avcall.signaling.messages import (
    MAX_BYTES,
    ROOM_RULE,
    VERSION,
    FromClient,
    FromServer,
    Join,
    Joined,
    Leave,
    Refusal,
    Signal,
    dump,
    is_room_name,
    parse_from_server,
)

logger = logging.getLogger(__name__)

_CONNECT_S = 8.0
_CLOSE_S = 1.0
_HEARTBEAT_S = 15.0
_MAX_NONSENSE = 20
_BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class SignalingClient:
    """`async with SignalingClient(url, room) as client`: connected and joined. One task at a time may receive."""

    def __init__(self, url: str, room: str) -> None:
        if not is_room_name(room):
            raise RoomError(f"--room {room[:64]!r} is not a room name: use {ROOM_RULE}")
        if not url.startswith(("ws://", "wss://")):
            raise SignalingError(f"--signal {url}: the address must begin with ws:// or wss://")
        self._url = url
        self._room = room
        self._peer = secrets.token_urlsafe(18)
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.joined: Joined = Joined(VERSION, room, offerer=False)

    async def __aenter__(self) -> Self:
        """Connects and joins.

        Raises:
            SignalingError: the server is down, or is no signaling server.
            RoomError: the room is full or its name refused.
        """
        self._http = aiohttp.ClientSession()
        try:
            await self._enter_room()
        except BaseException:
            await self._close_socket()
            await self._http.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(SignalingError):
            await self._send(Leave())
        await self._close_socket()
        if self._http is not None:
            await self._http.close()

    async def send(self, data: dict[str, Any]) -> None:
        """Hands `data` to the other member of the room.

        Raises:
            SignalingError: the connection to the server is gone.
        """
        await self._send(Signal(data))

    async def receive(self) -> FromServer:
        """The next message that makes sense.

        Raises:
            SignalingError: the connection to the server is gone, or the server ended it.
            RoomError: the server refused the room.
        """
        for _ in range(_MAX_NONSENSE):
            if self._socket is None:
                break
            frame = await self._socket.receive()
            if frame.type is not aiohttp.WSMsgType.TEXT:
                if frame.type is aiohttp.WSMsgType.BINARY:
                    continue
                raise SignalingError(
                    f"the signaling server at {self._url} closed the connection: check that 'avcall signal' still runs"
                )
            try:
                message = parse_from_server(frame.data)
            except ProtocolError as error:
                logger.debug("dropped from the signaling server: %s", error)
                continue
            if isinstance(message, Refusal):
                raise self._refused(message)
            return message
        raise SignalingError(f"what answers at {self._url} is not an avcall signaling server: check --signal")

    async def stay(self) -> None:
        """Keeps this end in its room while a call goes on, with one warning when the server is lost: media goes from
        peer to peer, so the call survives. Runs until cancelled, or until the server says that the room is closed."""
        while True:
            try:
                while True:
                    await self.receive()
            except SignalingError as error:
                if isinstance(error, RoomError):
                    return
            logger.warning("the signaling server at %s is gone; the call goes on without it", self._url)
            if not await self._come_back():
                return
            logger.warning("the signaling server at %s is back", self._url)

    async def _come_back(self) -> bool:
        for attempt in range(1_000_000):
            await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            try:
                await self._enter_room()
            except RoomError:
                return False
            except SignalingError as error:
                logger.debug("%s", error)
            else:
                return True
        return False

    async def _close_socket(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, ConnectionError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._socket.close()

    async def _enter_room(self) -> None:
        assert self._http is not None
        await self._close_socket()
        try:
            async with asyncio.timeout(_CONNECT_S):
                self._socket = await self._http.ws_connect(
                    self._url, heartbeat=_HEARTBEAT_S, max_msg_size=4 * MAX_BYTES
                )
                await self._send(Join(VERSION, self._room, self._peer))
                joined = await self.receive()
        except TimeoutError as error:
            raise SignalingError(
                f"the signaling server at {self._url} does not answer: check --signal and the firewall"
            ) from error
        except aiohttp.WSServerHandshakeError as error:
            raise SignalingError(
                f"what answers at {self._url} is not an avcall signaling server (HTTP {error.status}): check --signal"
            ) from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise SignalingError(f"--signal {self._url}: not an address; write ws://HOST:PORT") from error
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise SignalingError(
                f"no secure connection to {self._url}: check its certificate, or use ws:// ({_short(error)})"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise SignalingError(
                f"cannot reach a signaling server at {self._url} ({_short(error)}): "
                "start 'avcall signal' there or correct --signal"
            ) from error
        if not isinstance(joined, Joined):
            raise SignalingError(f"what answers at {self._url} is not an avcall signaling server: check --signal")
        self.joined = joined

    async def _send(self, message: FromClient) -> None:
        if self._socket is None or self._socket.closed:
            raise SignalingError(f"the signaling server at {self._url} is gone: check that 'avcall signal' still runs")
        try:
            await self._socket.send_str(dump(message))
        except (aiohttp.ClientError, ConnectionError) as error:
            raise SignalingError(
                f"the signaling server at {self._url} is gone ({_short(error)}): check that 'avcall signal' still runs"
            ) from error

    def _refused(self, refusal: Refusal) -> SignalingError:
        room = f"--room {self._room}"
        why = "".join(char for char in refusal.message if char.isprintable())
        match refusal.code:
            case "room_full":
                return RoomError(f"{room} is full: two are in it already; agree on another room")
            case "bad_room":
                return RoomError(f"{room}: the server refuses this name; use {ROOM_RULE}")
            case "room_expired":
                return RoomError(f"{room} has expired at the server: start the call again")
            case "too_many_rooms" | "busy":
                return RoomError(f"the signaling server at {self._url} is full ({why}): try later or another --signal")
            case "version":
                return SignalingError(
                    f"the signaling server at {self._url} is of another version ({why}): install the same avcall there"
                )
            case _:
                return SignalingError(f"the signaling server at {self._url} refused: {why}")


def _short(error: BaseException) -> str:
    reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if (
        isinstance(reason, OSError) and reason.errno and reason.errno > 0
    ):  # "Connection refused" says more than asyncio's text
        return os.strerror(reason.errno)
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return str(text).splitlines()[0][:120]
