"""The msgpack messages of the reliable control channel. docs/wire.md lists them.

Each message is a map with a `kind` and the fields of one dataclass below; unknown kinds are refused, unknown fields
ignored (a newer peer may send more).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias, get_type_hints

import msgpack

from avcall.common import wire
from avcall.common.errors import ModelMismatchError, ProtocolError

MAX_BYTES = 4096
MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of each end. `sends` and `receives` say what this end does with media."""

    protocol: int
    version: str
    model: str
    weights: str
    """First 8 hex digits of the sha256 of the model's weights."""
    keypoints: int
    size: int
    fps: float
    sends: bool
    receives: bool
    voice: bool


@dataclass(frozen=True, slots=True)
class PivotRequest:
    """The receiver wants a fresh pivot (it has none, or the one that frames refer to never came)."""


@dataclass(frozen=True, slots=True)
class Mute:
    """The sender's microphone or camera was switched off or on."""

    voice: bool
    video: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a Pong: round trip and clock offset."""

    sent_ms: float


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a Ping with the answering end's own monotonic time."""

    sent_ms: float
    peer_ms: float


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message of a call."""

    reason: str


Message: TypeAlias = Hello | PivotRequest | Mute | Ping | Pong | Bye
_KINDS: dict[str, type[Any]] = {
    "hello": Hello,
    "pivot_request": PivotRequest,
    "mute": Mute,
    "ping": Ping,
    "pong": Pong,
    "bye": Bye,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def pack(message: Message) -> bytes:
    """Bytes of one control message."""
    packed: bytes = msgpack.packb({"kind": _NAMES[type(message)], **asdict(message)})
    return packed


def parse(data: bytes) -> Message:
    """One control message.

    Raises:
        ProtocolError: not msgpack, unknown kind, a missing field, a wrong type, too long.
    """
    if len(data) > MAX_BYTES:
        raise ProtocolError(f"a control message of {len(data)} bytes")
    try:
        raw = msgpack.unpackb(data, raw=False, strict_map_key=True, max_array_len=64, max_map_len=64)
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError("a control message that is not msgpack") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str) or raw["kind"] not in _KINDS:
        raise ProtocolError("a control message of unknown kind")
    kind = _KINDS[raw["kind"]]
    types = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    values = {name: _check(raw["kind"], name, raw.get(name), types[name]) for name in names}
    message: Message = kind(**values)
    return message


def _check(kind: str, name: str, value: object, wanted: type) -> object:
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted or (isinstance(value, str) and len(value) > MAX_TEXT):
        raise ProtocolError(f"a {kind} message with a bad {name}")
    if isinstance(value, float) and not -1e15 < value < 1e15:
        raise ProtocolError(f"a {kind} message with a bad {name}")
    return value


def check_hello(ours: Hello, theirs: Hello) -> None:
    """Refuses a peer that could not be understood.

    Raises:
        ModelMismatchError: another protocol version, model, weights or number of keypoints.
    """
    if theirs.protocol != wire.VERSION:
        raise ModelMismatchError(
            f"the peer (avcall {theirs.version}) speaks protocol {theirs.protocol}, this end (avcall {ours.version}) "
            f"speaks {wire.VERSION}: install the same avcall version at both ends"
        )
    if (theirs.model, theirs.weights, theirs.keypoints) != (ours.model, ours.weights, ours.keypoints):
        raise ModelMismatchError(
            f"the peer uses model {theirs.model!r} ({theirs.weights}), this end {ours.model!r} ({ours.weights}): "
            "give both ends the same --model"
        )
    if not (ours.sends and theirs.receives) and not (theirs.sends and ours.receives):
        both = "send" if ours.sends else "receive"
        raise ModelMismatchError(
            f"both ends only {both}: run 'avcall send' at one and 'avcall receive' at the other, "
            "or 'avcall call' at both"
        )
