"""Is there a face? A blinked-away frame or two is no loss; a face that has left is marked as gone. Sans-IO."""

from __future__ import annotations

LOST_AFTER_MS = 200.0
"""Shorter gaps are left to the receiver, which interpolates."""
HELD_EVERY_MS = 200.0
"""How often the last pose is repeated while there is no face: the receiver sees that the call lives."""
RETURN_AFTER_MS = 500.0
"""A face that was gone this long gets a fresh pivot when it returns."""
HINT_AFTER_MS = 3000.0


class FacePresence:
    """Follows whether frames have a face in them."""

    def __init__(self) -> None:
        self.face_seen = False
        """A face was found at least once."""
        self._begin_ms: float | None = None
        self._seen_ms = 0.0
        self._held_ms = -1e12
        self._missed = False
        self._hinted = False

    def found(self, now_ms: float) -> bool:
        """A frame with a face; True where the face was away long enough to need a fresh pivot."""
        returned = self.face_seen and self._missed and now_ms - self._seen_ms >= RETURN_AFTER_MS
        self._missed = False
        self.face_seen = True
        self._hinted = False
        self._begin_ms = self._seen_ms = now_ms
        return returned

    def missed(self, now_ms: float) -> bool:
        """A frame without one; True where the last pose should be repeated now, marked as held."""
        if self._begin_ms is None:
            self._begin_ms = now_ms
        self._missed = True
        if not self.face_seen or now_ms - self._seen_ms < LOST_AFTER_MS or now_ms - self._held_ms < HELD_EVERY_MS:
            return False
        self._held_ms = now_ms
        return True

    def hint_due(self, now_ms: float) -> bool:
        """True once in each absence, when it has lasted long enough to say something about it."""
        if self._hinted or self._begin_ms is None or now_ms - self._begin_ms < HINT_AFTER_MS:
            return False
        self._hinted = True
        return True
