"""A network in simulated time, for rate control: bottlenecks with a queue each, and flows through them.

Events are (time, callback) pairs in a heap; no clock, no sockets, no asyncio. Sizes are bytes on the wire.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class Simulation:
    """Runs callbacks in the order of their times."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when_ms: float, callback: Callable[[], None]) -> None:
        """Calls back at that time."""
        heapq.heappush(self._events, (when_ms, next(self._order), callback))

    def run(self, until_ms: float) -> None:
        """Everything up to that time."""
        while self._events and self._events[0][0] <= until_ms:
            self.now_ms, _, callback = heapq.heappop(self._events)
            callback()
        self.now_ms = until_ms


@dataclass
class Bottleneck:
    """A link with a drop-tail queue, shared by the flows that are sent through it."""

    simulation: Simulation
    capacity: Sequence[tuple[float, float]]
    """(from ms, kbit/s), in order; the first from 0."""
    queue_limit_ms: float = 300.0
    """As RFC 8867 section 4.1.2 has it: the queue is full when draining it takes this long."""
    dropped: int = 0
    _free_ms: float = 0.0

    def kbps(self, now_ms: float) -> float:
        """Its capacity now."""
        return [kbps for since_ms, kbps in self.capacity if since_ms <= now_ms][-1]

    def waiting_ms(self) -> float:
        """How long a packet would wait that came now."""
        return max(0.0, self._free_ms - self.simulation.now_ms)

    def send(self, size_bytes: int, arrived: Callable[[], None]) -> None:
        """Puts a packet into the queue; calls back when its last bit is out. What waits while the capacity changes is
        served at the old one."""
        now_ms = self.simulation.now_ms
        waits_ms = self.waiting_ms()
        if waits_ms > self.queue_limit_ms:
            self.dropped += 1
            return
        self._free_ms = now_ms + waits_ms + 8.0 * size_bytes / self.kbps(now_ms)
        self.simulation.at(self._free_ms, arrived)


@dataclass
class Policer(Bottleneck):
    """Drops what exceeds its capacity and a bucket of some packets; nothing ever waits."""

    bucket_bytes: float = 900.0
    _tokens: float = 900.0
    _filled_ms: float = 0.0

    def send(self, size_bytes: int, arrived: Callable[[], None]) -> None:
        """Lets a packet through at once, or drops it."""
        now_ms = self.simulation.now_ms
        filled = self._tokens + self.kbps(now_ms) * (now_ms - self._filled_ms) / 8.0
        self._tokens, self._filled_ms = min(self.bucket_bytes, filled), now_ms
        if self._tokens < size_bytes:
            self.dropped += 1
            return
        self._tokens -= size_bytes
        arrived()


@dataclass
class Way:
    """From one end to the other: an optional bottleneck, then delay, jitter and random loss. Packets stay in order."""

    simulation: Simulation
    bottleneck: Bottleneck | None = None
    delay_ms: float = 50.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 1
    _last_ms: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def send(self, size_bytes: int, arrived: Callable[[], None]) -> None:
        """Sends a packet; calls back when and if it arrives."""
        if self.bottleneck is not None:
            self.bottleneck.send(size_bytes, lambda: self._propagate(arrived))
        else:
            self._propagate(arrived)

    def _propagate(self, arrived: Callable[[], None]) -> None:
        if self._random.random() < self.loss:
            return
        jitter_ms = min(abs(self._random.gauss(0.0, self.jitter_ms)), 3.0 * self.jitter_ms) if self.jitter_ms else 0.0
        self._last_ms = max(self._last_ms, self.simulation.now_ms + self.delay_ms + jitter_ms)
        self.simulation.at(self._last_ms, arrived)
