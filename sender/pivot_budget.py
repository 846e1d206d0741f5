"""What pivots may take: kbit/s that can be saved up for a while, and owed for a while. Sans-IO."""

from __future__ import annotations

SAVED_S = 4.0
"""So many seconds' worth can be saved up, unless told otherwise."""


class PivotBudget:
    """A bucket of bits that fills at the budget's rate; it starts empty, and may go below empty."""

    def __init__(self, kbps: float, saved_s: float = SAVED_S) -> None:
        self._kbps = kbps
        self._saved_s = saved_s
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

    def spend(self, size_bytes: int, now_ms: float) -> None:
        """Takes what a pivot costs, all of it: a key frame, too, is paid for in the end."""
        self._fill(now_ms)
        self._bits -= size_bytes * 8.0

    def affords(self, size_bytes: float, now_ms: float) -> bool:
        """Whether so much is saved."""
        self._fill(now_ms)
        return self._bits >= size_bytes * 8.0

    def share(self, now_ms: float) -> float:
        """How full the bucket is: 1 full, 0 empty, -1 owes as much as fits in it."""
        self._fill(now_ms)
        return self._bits / self._most

    @property
    def _most(self) -> float:
        return self._kbps * 1000.0 * self._saved_s

    def _fill(self, now_ms: float) -> None:
        if self._now_ms is not None:
            self._bits = min(self._most, self._bits + self._kbps * max(0.0, now_ms - self._now_ms))
        self._now_ms = now_ms if self._now_ms is None else max(now_ms, self._now_ms)
