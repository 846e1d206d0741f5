"""The network as two queues: a delay, a bit rate and a list of losses. Implements `avcall.common.link.Link`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from avcall.common.link import Channel, LinkClosed, WireBytes

HEADER_BYTES = 85
"""What a data-channel message costs on the wire beside its payload: UDP and IPv4 28, DTLS 29, SCTP 12, DATA 16."""


@dataclass(frozen=True)
class Path:
    """One direction: `losses` (True = lost) is repeated over the media packets; control is never lost, only delayed.
    `jitter_ms` is repeated likewise and added to the delay, so packets may overtake one another."""

    delay_ms: float = 20.0
    losses: Sequence[bool] = ()
    jitter_ms: Sequence[float] = (0.0,)
    rate_kbps: float = 0.0
    """0 for no limit; otherwise packets queue behind one another."""


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
        self.up_bytes = 0
        self.down_bytes = 0
        self.sent: list[tuple[float, Channel, bytes]] = []
        self.peer: MemoryLink = self

    def send(self, channel: Channel, data: bytes) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        size_bytes = len(data) + HEADER_BYTES
        self.up_bytes += size_bytes
        self.sent.append((now_s * 1000.0, channel, data))
        start_s = now_s
        if self._path.rate_kbps:
            start_s = max(now_s, self._free_at_s)
            self._free_at_s = start_s + size_bytes * 8 / (self._path.rate_kbps * 1000)
            start_s = self._free_at_s
        arrive_s = start_s + (self._path.delay_ms + next(iter(self._jitter))) / 1000
        if channel is Channel.CONTROL:
            arrive_s = self._control_at_s = max(arrive_s, self._control_at_s)
        elif next(iter(self._losses)):
            return
        loop.call_at(arrive_s, self.peer._arrive, channel, data, size_bytes)

    def _arrive(self, channel: Channel, data: bytes, size_bytes: int) -> None:
        if not self._closed:
            self.down_bytes += size_bytes
            self._inbox.put_nowait((channel, data))

    async def receive(self) -> tuple[Channel, bytes]:
        item = None if self._closed and self._inbox.empty() else await self._inbox.get()
        if item is None:
            raise LinkClosed
        return item

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
            self._inbox.put_nowait(None)


def pair(there: Path | None = None, back: Path | None = None) -> tuple[MemoryLink, MemoryLink]:
    """Two ends: what the first sends takes the path `there`, what the second sends the path `back`."""
    first, second = MemoryLink(there or Path()), MemoryLink(back or Path())
    first.peer, second.peer = second, first
    return first, second
