"""When to send a pivot: two rules to measure the selector against. Both keep one reference, the newest."""

from __future__ import annotations

from collections.abc import Mapping

from avcall.sender.adaptive_selector import CHECK_EVERY_MS
from avcall.sender.selector import Reason, SentPivot, Sight


class NewestPivot:
    """What both rules share. Implements the rest of `avcall.sender.selector.PivotSelector`."""

    def __init__(self) -> None:
        self._waiting: SentPivot | None = None
        self._current: SentPivot | None = None

    def set_budget(self, kbps: float, now_ms: float) -> None: ...

    def request(self, now_ms: float) -> None: ...

    def sent(self, pivot: SentPivot) -> None:
        self._waiting = pivot
        self._current = self._current or pivot

    def sending(self, pivot_id: int, now_ms: float) -> None: ...

    def acknowledged(self, pivot_id: int) -> None:
        if self._waiting is not None and self._waiting.pivot_id == pivot_id:
            self._current, self._waiting = self._waiting, None

    def reference(self) -> SentPivot | None:
        return self._current

    def refer(self, sight: Sight) -> SentPivot | None:
        return self._current

    def to_check(self, sight: Sight, now_ms: float) -> list[SentPivot]:
        return []

    def checked(self, flaws: Mapping[int, float], now_ms: float) -> None: ...


class FixedInterval(NewestPivot):
    """A pivot every so many milliseconds."""

    def __init__(self, interval_ms: float) -> None:
        super().__init__()
        self._interval_ms = interval_ms
        self._sent_ms = float("-inf")

    def wants(self, sight: Sight, now_ms: float) -> Reason | None:
        return Reason.AGE if now_ms - self._sent_ms >= self._interval_ms - 0.5 else None

    def sent(self, pivot: SentPivot) -> None:
        super().sent(pivot)
        self._sent_ms = pivot.sent_ms


class RunningMean(NewestPivot):
    """DAC's rule (Konuko et al., "Ultra-low bitrate video conferencing using deep image animation", 2021): a new
    reference when the mean distance since the last one exceeds a threshold. Its distance is measured with the
    selector's own check, and as often."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold
        self._checked_ms = float("-inf")
        self._flaws: list[float] = []

    def wants(self, sight: Sight, now_ms: float) -> Reason | None:
        if self._current is None:
            return Reason.START
        if self._waiting is not None or not self._flaws:
            return None
        return Reason.LOOK if sum(self._flaws) / len(self._flaws) > self._threshold else None

    def sent(self, pivot: SentPivot) -> None:
        super().sent(pivot)
        self._flaws = []

    def to_check(self, sight: Sight, now_ms: float) -> list[SentPivot]:
        if now_ms - self._checked_ms < CHECK_EVERY_MS or self._current is None:
            return []
        self._checked_ms = now_ms
        return [self._current]

    def checked(self, flaws: Mapping[int, float], now_ms: float) -> None:
        self._flaws += flaws.values()
