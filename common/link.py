"""What both pipelines see of the network: two channels, no aiortc. `avcall.signaling.peer` makes real ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from avcall.common.control import Message
from avcall.common.wire import Packet


class Channel(Enum):
    MEDIA = "media"
    """Unordered, never retransmitted, packets of at most `wire.MTU_BYTES`."""
    CONTROL = "control"
    """Ordered and reliable; msgpack messages of `avcall.common.control`."""


@dataclass(frozen=True, slots=True)
class WireBytes:
    """Bytes at the socket since the link opened, UDP and IP headers, acks and keep-alives included."""

    up: int
    down: int


class LinkClosed(Exception):  # noqa: N818 - a state, not an error
    """The link is gone: closed here, by the peer, or lost."""


class Link(Protocol):
    """An open connection to the one peer."""

    def send(self, channel: Channel, data: bytes) -> None:
        """Queues one message. Media is dropped (and counted) rather than queued behind a congested link; after the
        link has closed, sending does nothing."""

    async def receive(self) -> tuple[Channel, bytes]:
        """The next message.

        Raises:
            LinkClosed: no more will come.
        """

    def arrived_ms(self) -> float:
        """When the message that `receive` gave last came to this machine, by a `Clock`: the program may have been too
        busy to take it then."""

    def wire_bytes(self) -> WireBytes:
        """What has crossed the socket so far."""

    async def close(self) -> None:
        """Flushes the control channel briefly, then closes; may be called twice."""


class Endpoint(Protocol):
    """A pipeline as the session sees it: what arrives is handed to it on the event loop, parsed."""

    def on_packet(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        """A media packet; those meant for the other pipeline are ignored."""

    def on_message(self, message: Message, now_ms: float) -> None:
        """A control message; likewise."""
