"""Tells speech from silence, so that silence is not sent (discontinuous transmission).

libopus's own DTX cannot be switched on through the FFmpeg wrapper that PyAV ships, hence this gate before the wire.
It is cautious: what is clearly above the background's level passes, and so does the short while after it.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

ABOVE_FLOOR_DB = 6.0
QUIETEST_SPEECH_DBFS = -62.0
LOUDEST_SILENCE_DBFS = -38.0
"""Anything louder is sent, background or not: music behind a voice must not come and go with it."""
HANGOVER_MS = 400.0
"""Word endings and short pauses are still sent."""
FLOOR_WINDOW_MS = 4000.0
"""The background is the quietest moment of this long: longer than anybody speaks without a stop."""


class SpeechGate:
    """Sans-IO: pieces of sound of a constant length go in, a verdict comes out."""

    def __init__(self, piece_ms: float) -> None:
        self._piece_ms = piece_ms
        self._levels: deque[float] = deque(maxlen=round(FLOOR_WINDOW_MS / piece_ms))
        self._smooth_db = 0.0
        self._hangover_ms = 0.0

    def is_speech(self, samples: NDArray[np.int16], echo: bool = False) -> bool:
        """Whether this piece should be sent. The first pieces, with no background known yet, pass if audible. What is
        left of an echo is no speech, whatever its level."""
        level_db = level_dbfs(samples)
        self._smooth_db = level_db if not self._levels else 0.6 * self._smooth_db + 0.4 * level_db
        self._levels.append(self._smooth_db)
        threshold_db = QUIETEST_SPEECH_DBFS
        if len(self._levels) * self._piece_ms >= 1000.0:
            threshold_db = min(max(threshold_db, min(self._levels) + ABOVE_FLOOR_DB), LOUDEST_SILENCE_DBFS)
        if level_db > threshold_db and not echo:
            self._hangover_ms = HANGOVER_MS
            return True
        self._hangover_ms -= self._piece_ms
        return self._hangover_ms > 0.0


def level_dbfs(samples: NDArray[np.int16]) -> float:
    """Level relative to a full-scale square wave, -100 for silence."""
    power = float(np.mean(np.square(samples.astype(np.float32) / 32768.0)))
    return max(-100.0, 10.0 * float(np.log10(power + 1e-12)))
