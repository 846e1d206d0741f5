"""The network as two queues: a delay, a bit rate and a list of losses. Implements `avcall.common.link.Link`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from avcall.common.link import Channel, LinkClosed, WireBytes

HEADER_BYTES = 85
"""What a data-channel message costs on the wire beside its payload: UDP and IPv4 28, DTLS 29, SCTP 12, DATA 16.
An acknowledgement that travels alone takes as much."""
ACK_BYTES = 16
"""What it adds to a message."""
ACK_S, RHYTHM_SLACK_S = 0.2, 0.02
"""How long it may wait; and see `signaling/sctp_tuning.py`."""


@dataclass(frozen=True)
class Path:
    """One direction: `losses` (True = lost) is repeated over the media packets; control is never lost, only delayed.
    `jitter_ms` is repeated likewise and added to the delay, so packets may overtake one another."""

    delay_ms: float = 20.0
    losses: Sequence[bool] = ()
    jitter_ms: Sequence[float] = (0.0,)
    rate_kbps: float = 0.0
    """0 for no limit; otherwise packets queue behind one another."""
    acks: bool = False
    """Whether SCTP's acknowledgements of what has come are sent too, as avcall.signaling.sctp_tuning sends them where
    nothing is lost."""


class MemoryLink:
    """One end; `pair` makes two that face each other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._losses: Iterable[bool] = itertools.cycle(path.losses or (False,))
        self._jitter: Iterable[float] = itertools.cycle(path.jitter_ms)
        self._inbox: asyncio.Queue[tuple[Channel, bytes] | None] = asyncio.Queue()
        self._closed = False
        self._free_at_s = 0.0
        self._control_at_s = 0.0
        self._sent_s = float("-inf")
        self._ack_at: asyncio.TimerHandle | None = None
        self.up_bytes = 0
        self.down_bytes = 0
        self.sent: list[tuple[float, Channel, bytes]] = []
        self.queued: list[tuple[float, float]] = []
        """When each packet was sent, and how long it then waited for those before it, in ms."""
        self.peer: MemoryLink = self

    def send(self, channel: Channel, data: bytes) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        size_bytes = len(data) + HEADER_BYTES + self._riding_bytes(now_s)
        self.sent.append((now_s * 1000.0, channel, data))
        arrive_s = self._leave(size_bytes, now_s) + (self._path.delay_ms + next(iter(self._jitter))) / 1000
        if channel is Channel.CONTROL:
            arrive_s = self._control_at_s = max(arrive_s, self._control_at_s)
        elif next(iter(self._losses)):
            return
        loop.call_at(arrive_s, self.peer._arrive, channel, data, size_bytes)

    def _leave(self, size_bytes: int, now_s: float) -> float:
        """When the last bit has left."""
        self.up_bytes += size_bytes
        start_s = max(now_s, self._free_at_s)
        self.queued.append((now_s * 1000.0, (start_s - now_s) * 1000.0))
        if self._path.rate_kbps:
            self._free_at_s = start_s = start_s + size_bytes * 8 / (self._path.rate_kbps * 1000)
        return start_s

    def longest_queue_ms(self, seconds: float) -> float:
        """What the worst packet of the first seconds found before it."""
        begin_ms = self.queued[0][0]
        return max(waited_ms for sent_ms, waited_ms in self.queued if sent_ms - begin_ms < 1000.0 * seconds)

    def _riding_bytes(self, now_s: float) -> int:
        """An acknowledgement rides in the last message that can be expected before it is due."""
        rhythm_s = min(now_s - self._sent_s, ACK_S)
        self._sent_s = now_s
        if self._ack_at is None or self._ack_at.when() > now_s + rhythm_s + RHYTHM_SLACK_S:
            return 0
        self._ack_at.cancel()
        self._ack_at = None
        return ACK_BYTES

    def _ack_alone(self) -> None:
        loop = asyncio.get_running_loop()
        self._ack_at = None
        if not self._closed:
            arrive_s = self._leave(HEADER_BYTES, loop.time()) + self._path.delay_ms / 1000
            loop.call_at(arrive_s, self.peer._count, HEADER_BYTES)

    def _count(self, size_bytes: int) -> None:
        if not self._closed:
            self.down_bytes += size_bytes

    def _arrive(self, channel: Channel, data: bytes, size_bytes: int) -> None:
        if not self._closed:
            self._count(size_bytes)
            if self._path.acks and self._ack_at is None:
                self._ack_at = asyncio.get_running_loop().call_later(ACK_S, self._ack_alone)
            self._inbox.put_nowait((channel, data))

    async def receive(self) -> tuple[Channel, bytes]:
        item = None if self._closed and self._inbox.empty() else await self._inbox.get()
        if item is None:
            raise LinkClosed
        return item

    def arrived_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1000.0  # nobody is busy here: everything is taken when it comes

    def wire_bytes(self) -> WireBytes:
        return WireBytes(self.up_bytes, self.down_bytes)

    async def close(self) -> None:
        """What control has queued still arrives, as a real link's flush sees to."""
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(max(self._path.delay_ms / 1000, self._control_at_s - now_s) + 0.001)
        self.cut()
        self.peer.cut()

    def cut(self) -> None:
        """The link is gone at this end, at once."""
        if not self._closed:
            self._closed = True
            if self._ack_at is not None:
                self._ack_at.cancel()
            self._inbox.put_nowait(None)


def pair(there: Path | None = None, back: Path | None = None) -> tuple[MemoryLink, MemoryLink]:
    """Two ends: what the first sends takes the path `there`, what the second sends the path `back`."""
    first, second = MemoryLink(there or Path()), MemoryLink(back or Path())
    first.peer, second.peer = second, first
    return first, second
