"""What one end of a call counts. Plain bookkeeping on the event loop: no clock, no threads."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

PAYLOAD_KINDS = ("keypoints", "pivots", "voice", "control")


class Stats:
    """Counters, payload bytes by kind, and how long each stage took."""

    def __init__(self, stage_window: int = 2000) -> None:
        self.counters: Counter[str] = Counter()
        self.payload_bytes: Counter[str] = Counter(dict.fromkeys(PAYLOAD_KINDS, 0))
        self._window = stage_window
        self._stages: dict[str, deque[float]] = {}

    def count(self, name: str, amount: int = 1) -> None:
        """Adds to a counter such as "packets_dropped"."""
        self.counters[name] += amount

    def add_payload(self, kind: str, size_bytes: int) -> None:
        """Application bytes handed to (sender) or taken from (receiver) the link, by PAYLOAD_KINDS."""
        self.payload_bytes[kind] += size_bytes

    def add_stage(self, name: str, took_ms: float) -> None:
        """One run of a stage; the last `stage_window` runs are kept."""
        self._stages.setdefault(name, deque(maxlen=self._window)).append(took_ms)

    def stage_ms(self) -> dict[str, dict[str, float]]:
        """{"stage": {"p50": ms, "p95": ms}}."""
        return {
            name: {"p50": float(np.percentile(runs, 50)), "p95": float(np.percentile(runs, 95))}
            for name, runs in self._stages.items()
        }


def payload_kbps(before: Counter[str], after: Counter[str], elapsed_ms: float) -> dict[str, float]:
    """Rates by kind between two copies of `Stats.payload_bytes`, in kbit/s."""
    return {kind: 8.0 * (after[kind] - before[kind]) / max(elapsed_ms, 1.0) for kind in PAYLOAD_KINDS}
