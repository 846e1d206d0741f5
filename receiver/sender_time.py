"""The sender's 32-bit capture times as numbers that never wrap."""

from __future__ import annotations

from avcall.common import wire
from avcall.common.errors import ProtocolError

_TOLERANCE_MS = 20_000.0
"""A capture time may disagree with the packet's arrival by this much: far more than any network delays a packet."""
_BELIEVE_AFTER = 25
"""So many disagreeing packets in a row, and it is the clock that jumped (a machine was suspended)."""


class SenderTime:
    """Unwraps capture times against their arrival, and refuses those that cannot be. Sans-IO.

    On one machine, where both ends read the same monotonic clock, the result is that clock's own value.
    """

    def __init__(self) -> None:
        self._ahead_ms: float | None = None
        self._refused = 0
        self.jumps = 0
        """How often the sender's clock was found to have jumped; what was buffered before is then worthless."""

    def media_ms(self, capture_ms: int, now_ms: float) -> float:
        """The capture time `capture_ms` (modulo 2**32) of a packet that arrived at `now_ms`, unwrapped.

        Raises:
            ProtocolError: a time that disagrees with the packets before it.
        """
        ahead_ms = self._ahead_ms or 0.0
        media_ms = wire.unwrap(capture_ms, now_ms + ahead_ms)
        if self._ahead_ms is None:
            self._ahead_ms = media_ms - now_ms
            return media_ms
        if abs(media_ms - now_ms - ahead_ms) > _TOLERANCE_MS:
            self._refused += 1
            if self._refused < _BELIEVE_AFTER:
                raise ProtocolError(f"a capture time {media_ms - now_ms - ahead_ms:+.0f} ms from where it can be")
            self.jumps += 1
        self._refused = 0
        self._ahead_ms = media_ms - now_ms
        return media_ms

    def nearest(self, capture_ms: int, now_ms: float) -> float:
        """The same without the check, for what may be older (a pivot that was sent again for long)."""
        return wire.unwrap(capture_ms, now_ms + (self._ahead_ms or 0.0))
