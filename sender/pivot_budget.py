"""What pivots may take: kbit/s that can be saved up for a while, and owed for a while. Sans-IO."""

from __future__ import annotations

SAVED_S = 4.0
"""So many seconds' worth can be saved up, or owed for a key frame: these are rare, and not paid back for longer."""


class PivotBudget:
    """A bucket of bits that fills at the budget's rate; it starts empty, and may go below empty."""

    def __init__(self, kbps: float) -> None:
        self._kbps = kbps
        self._bits = 0.0
        self._now_ms: float | None = None

    @property
    def kbps(self) -> float:
        """The rate at which it fills."""
        return self._kbps

    def set(self, kbps: float, now_ms: float) -> None:
        """Another rate from now on; saved or owed seconds stay as many."""
        share = self.share(now_ms)
        self._kbps = kbps
        self._bits = share * self._most

    def spend(self, size_bytes: int, now_ms: float, *, forgiven: bool = False) -> None:
        """Takes what a pivot costs; `forgiven`: no more than can be owed."""
        self._fill(now_ms)
        least = min(self._bits, -self._most) if forgiven else float("-inf")
        self._bits = max(least, self._bits - size_bytes * 8.0)

    def share(self, now_ms: float) -> float:
        """How full the bucket is: 1 full, 0 empty, -1 owes as much as fits in it."""
        self._fill(now_ms)
        return self._bits / self._most

    @property
    def _most(self) -> float:
        return self._kbps * 1000.0 * SAVED_S

    def _fill(self, now_ms: float) -> None:
        if self._now_ms is not None:
            self._bits = min(self._most, self._bits + self._kbps * max(0.0, now_ms - self._now_ms))
        self._now_ms = now_ms if self._now_ms is None else max(now_ms, self._now_ms)
