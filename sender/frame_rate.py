"""Which of the camera's frames are analysed: all, or every second one where the machine has no time for more. Sans-IO.

A machine that is late drops frames as it happens, and takes the time for the others from the picture that it shows of
the other end. Keypoints of every second frame, which the receiver interpolates, look as good (docs/interpolation.md).
"""

from __future__ import annotations

BUSY, FREE = 0.9, 0.7
"""Shares of the time between two frames: where a frame takes more than the first on average, every second one is left
out; where it takes less than the second, none is."""
WEIGHT = 0.06
"""Of a new frame in that average."""
LONGEST = 1.5
"""A frame that took more of such times counts as one that took so many: it waited for a pivot, or a call just began."""
HOLD_MS, LONGEST_HOLD_MS = 5_000.0, 60_000.0
"""Every second frame is left out for at least so long; for twice as long each time that all of them were soon too many
again, up to the second."""
SOON_MS = 10_000.0


class FrameRate:
    """Told when each analysed frame began and was done with."""

    def __init__(self, fps: float) -> None:
        self._interval_ms = 1000.0 / fps
        self._load = FREE
        """What a frame takes on average, as a share of the interval."""
        self._last_ms = self._changed_ms = float("-inf")
        self._hold_ms = HOLD_MS
        self.every = 1
        """Of so many frames one is analysed."""

    def wants(self, capture_ms: float) -> bool:
        """Whether the frame captured at `capture_ms` is to be analysed."""
        if self.every > 1 and 0.0 <= capture_ms - self._last_ms < (self.every - 0.5) * self._interval_ms:
            return False
        self._last_ms = capture_ms
        return True

    def took(self, begin_ms: float, end_ms: float) -> bool:
        """A frame was analysed and sent between these times; True where that changes `every`."""
        share = min((end_ms - begin_ms) / self._interval_ms, LONGEST)
        self._load += WEIGHT * (share - self._load)
        if self.every == 1 and self._load > BUSY:
            again = end_ms - self._changed_ms < SOON_MS
            self._hold_ms = min(2.0 * self._hold_ms, LONGEST_HOLD_MS) if again else HOLD_MS
            self.every = 2
        elif self.every == 2 and self._load < FREE and end_ms - self._changed_ms >= self._hold_ms:
            self.every = 1
        else:
            return False
        self._changed_ms = end_ms
        return True
