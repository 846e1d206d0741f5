"""Time as an argument: the one place that reads a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Returns monotonic milliseconds. Cores take `now_ms`; only pipelines hold a Clock."""


def monotonic_ms() -> float:
    """CLOCK_MONOTONIC in milliseconds: shared by all processes of one machine, unrelated between machines."""
    return time.monotonic_ns() / 1e6


class ClockOffset:
    """Estimates the peer's clock minus ours from echoes, as NTP does (RFC 5905, section 8): the echo with the
    smallest round trip of the last `window` bounds the error to half that trip. Sans-IO."""

    def __init__(self, window: int = 32) -> None:
        self._window = window
        self._samples: list[tuple[float, float]] = []

    def add_echo(self, sent_ms: float, peer_ms: float, received_ms: float) -> None:
        """One echo: our time of sending, the peer's time when it answered, our time of receipt."""
        rtt = received_ms - sent_ms
        if rtt < 0:
            return
        self._samples = [*self._samples, (rtt, peer_ms - (sent_ms + received_ms) / 2)][-self._window :]

    @property
    def rtt_ms(self) -> float | None:
        """Smallest recent round trip, None before the first echo."""
        return min(self._samples)[0] if self._samples else None

    @property
    def offset_ms(self) -> float | None:
        """Peer clock minus our clock, None before the first echo."""
        return min(self._samples)[1] if self._samples else None
