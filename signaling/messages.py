"""The JSON messages between a peer and the signaling server. docs/signaling.md lists them.

Each message is one JSON object with a `type`. Text from the network raises only ProtocolError.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from avcall.common.errors import ProtocolError

VERSION = 1
MAX_BYTES = 64 * 1024
"""Largest message; an offer with twenty addresses has 4 KiB."""

ROOM_RULE = "1 to 64 letters, digits, '.', '_' or '-'"
_ROOM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PEER = re.compile(r"[A-Za-z0-9_-]{16,64}")
_MAX_TEXT = 300
_MAX_ICE_SERVERS = 8


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN server or a TURN relay, for example url="turn:relay.example:3478"."""

    url: str
    username: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """Client: wants to enter a room. `peer` is a token the client made up; with the same token it may come back in the
    place of a connection that the server still thinks alive."""

    version: int
    room: str
    peer: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Client: goes."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Both ways: for the other member of the room; the server does not look inside."""

    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Joined:
    """Server: you are in. Who finds someone there (`offerer`) makes the offer."""

    version: int
    room: str
    offerer: bool
    ice_servers: tuple[IceServer, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """Server: the other one has come."""


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """Server: the other one's connection to the server is gone (the call itself may go on)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Server, `type` "error": why a message was not obeyed; `code` is one of docs/signaling.md."""

    code: str
    message: str


FromClient: TypeAlias = Join | Leave | Signal
FromServer: TypeAlias = Joined | PeerJoined | PeerLeft | Signal | Refusal
_NAMES: dict[type[Any], str] = {
    Join: "join",
    Leave: "leave",
    Signal: "signal",
    Joined: "joined",
    PeerJoined: "peer_joined",
    PeerLeft: "peer_left",
    Refusal: "error",
}


def is_room_name(name: str) -> bool:
    """True for a name within ROOM_RULE."""
    return _ROOM.fullmatch(name) is not None


def dump(message: FromClient | FromServer) -> str:
    """JSON text of one message."""
    return json.dumps({"type": _NAMES[type(message)], **asdict(message)}, separators=(",", ":"))


def parse_from_client(text: str) -> FromClient:
    """A message that reached the server. The room name is checked later, so that its refusal can be explained.

    Raises:
        ProtocolError: too long, not JSON, unknown type, a field missing or of the wrong type.
    """
    raw = _load(text)
    match raw.get("type"):
        case "join":
            peer = _text(raw, "peer")
            if not _PEER.fullmatch(peer):
                raise ProtocolError("a join message with a bad peer token")
            return Join(_whole(raw, "version"), _text(raw, "room"), peer)
        case "leave":
            return Leave()
        case "signal":
            return _signal(raw)
        case _:
            raise ProtocolError("a signaling message of unknown type")


def parse_from_server(text: str) -> FromServer:
    """A message that reached a peer.

    Raises:
        ProtocolError: as `parse_from_client`.
    """
    raw = _load(text)
    match raw.get("type"):
        case "joined":
            return Joined(_whole(raw, "version"), _text(raw, "room"), bool(raw.get("offerer")), _ice_servers(raw))
        case "peer_joined":
            return PeerJoined()
        case "peer_left":
            return PeerLeft()
        case "signal":
            return _signal(raw)
        case "error":
            return Refusal(_text(raw, "code"), _text(raw, "message"))
        case _:
            raise ProtocolError("a signaling message of unknown type")


def _load(text: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise ProtocolError(f"a signaling message of more than {MAX_BYTES} bytes")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a signaling message that is not JSON") from error
    if not isinstance(raw, dict):
        raise ProtocolError("a signaling message that is not a JSON object")
    return raw


def _signal(raw: dict[str, Any]) -> Signal:
    data = raw.get("data")
    if not isinstance(data, dict):
        raise ProtocolError("a signal message without an object in data")
    return Signal(data)


def _ice_servers(raw: dict[str, Any]) -> tuple[IceServer, ...]:
    listed = raw.get("ice_servers", [])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ProtocolError("a joined message with bad ice_servers")
    return tuple(
        IceServer(_text(entry, "url"), _text(entry, "username"), _text(entry, "credential"))
        for entry in listed[:_MAX_ICE_SERVERS]
    )


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ProtocolError(f"a {raw.get('type', 'signaling')} message with a bad {name}"[:_MAX_TEXT])
    return value


def _whole(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"a {raw.get('type', 'signaling')} message with a bad {name}"[:_MAX_TEXT])
    return value
