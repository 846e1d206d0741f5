"""What the viewer got to see: ticks filled, freezes, delay, and how far sound and picture were apart. Sans-IO."""

from __future__ import annotations

from collections import deque

import numpy as np

from avcall.common import wire

_WINDOW = 25 * 3600
_SECOND = 25
TICK_MS = 40.0
END_MS = 500.0
"""Between the last frame sent and the end of the call; ticks without a new frame there are left out of account."""


class DisplayStats:
    """Fed once a display tick that showed something; a tick that was missed is seen by its absence."""

    def __init__(self) -> None:
        self._first_tick: int | None = None
        self._last_tick = 0
        self._ticks = 0
        self._filled = 0
        self._media_ms = float("-inf")
        self._filled_ms: float | None = None
        self._last_ms = 0.0
        self._first_ms = 0.0
        self._latest: deque[float] = deque(maxlen=4 * _SECOND)
        self._latency_ms: deque[float] = deque(maxlen=_WINDOW)
        self._skew_ms: deque[float] = deque(maxlen=_WINDOW)
        self._freeze_longest_ms = 0.0
        self._settled = (0, 0.0)
        """Ticks and longest freeze as of the last filled tick."""

    def tick(self, tick: int, shown_ms: float, media_ms: float, *, new: bool, excused: bool = False) -> bool:
        """One tick at which a picture of the moment `media_ms` was on show from `shown_ms` on. `new` says that it was
        made from keypoints received for that moment; `excused` that none was due (the camera is off).

        Returns True where the tick counts as filled: new, and later than all before it.
        """
        if self._first_tick is None:
            if not new:
                return False
            self._first_tick, self._last_tick, self._first_ms = tick, tick - 1, shown_ms
        if excused:
            self._last_tick, self._last_ms, self._filled_ms = tick, shown_ms, shown_ms
            return False
        self._ticks += tick - self._last_tick
        self._last_tick, self._last_ms = tick, shown_ms
        filled = new and media_ms > self._media_ms
        if self._filled_ms is not None:
            self._freeze_longest_ms = max(self._freeze_longest_ms, shown_ms - self._filled_ms)
        if filled:
            self._filled += 1
            self._filled_ms, self._media_ms = shown_ms, media_ms
            self._settled = (self._ticks, self._freeze_longest_ms)
            self._latest.append(shown_ms)
            self._latency_ms.append(wrapped(shown_ms - media_ms))
        return filled

    def add_skew(self, skew_ms: float) -> None:
        """Media time seen minus media time heard at one moment."""
        self._skew_ms.append(skew_ms)

    @property
    def shown(self) -> int:
        """Ticks filled so far."""
        return self._filled

    def fps(self, now_ms: float) -> float:
        """New pictures in the last second."""
        return float(sum(now_ms - shown_ms <= 1000.0 for shown_ms in self._latest))

    def still_ms(self, now_ms: float) -> float:
        """How long the picture has not moved on."""
        return 0.0 if self._filled_ms is None else now_ms - self._filled_ms

    def summary(self, offset_ms: float) -> dict[str, object]:
        """`offset_ms` is the sender's clock minus ours. Values are None where there was nothing to measure."""
        ticks, freeze_longest_ms, last_ms = self._ticks, self._freeze_longest_ms, self._last_ms
        if self._filled_ms is not None and last_ms - self._filled_ms <= END_MS:  # the call's end is no freeze
            (ticks, freeze_longest_ms), last_ms = self._settled, self._filled_ms
        elapsed_ms = last_ms - self._first_ms + TICK_MS
        latency = np.array(self._latency_ms) + offset_ms
        skew = np.array(self._skew_ms)
        return {
            "fps_shown": 1000.0 * self._filled / elapsed_ms if self._filled else 0.0,
            "ticks_filled": self._filled / ticks if ticks else 0.0,
            "freeze_longest_ms": freeze_longest_ms,
            "latency_ms": {"p50": _percentile(latency, 50), "p95": _percentile(latency, 95)},
            "av_skew_ms": {
                "mean": float(skew.mean()) if len(skew) else None,
                "p95_abs": _percentile(np.abs(skew), 95),
            },
        }


def wrapped(difference_ms: float) -> float:
    """A difference of times of which one is known modulo 2**32 only."""
    return wire.unwrap(difference_ms, 0.0)  # type: ignore[arg-type]


def _percentile(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None
