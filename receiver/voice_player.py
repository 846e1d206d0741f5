"""Steers the voice: what is heard stays at the play-out clock's target, without clicks. Sans-IO."""

from __future__ import annotations

import numpy as np

from avcall.common.frames import SAMPLE_RATE
from avcall.receiver.opus_decoder import Samples
from avcall.receiver.playout import JUMP_MS, PlayoutClock
from avcall.receiver.time_stretch import NEEDED, best_period, lengthen, resample, shorten
from avcall.receiver.voice_buffer import VoiceBuffer

CHUNK = SAMPLE_RATE // 100
CHUNK_MS = 10.0
"""Short, because all of a chunk must have arrived when its first sample is heard."""
_STEADY_MS = 6.0
_HURRY_MS, _WAIT_MS = 30.0, 12.0
"""Errors beyond the first are steered out by resampling, larger ones by leaving out a pitch period where the voice is
behind, and by repeating one where it is ahead. That begins sooner: a voice that is ahead takes the picture along, and
every bundle's first frame comes too late for that."""
_RESAMPLE_STEP = 1


class VoicePlayer:
    """Gives the voice in chunks of 10 ms, and tells the clock what is heard when."""

    def __init__(self, buffer: VoiceBuffer, clock: PlayoutClock) -> None:
        self._buffer = buffer
        self._clock = clock

    def chunk(self, heard_ms: float) -> Samples:
        """The CHUNK samples that will leave the speaker from `heard_ms` on."""
        if not self._clock.running:
            return np.zeros(CHUNK, np.int16)
        buffer = self._buffer
        error_ms = self._clock.target_ms(heard_ms) - buffer.position_ms
        if buffer.silent or abs(error_ms) > JUMP_MS:
            buffer.seek(self._clock.target_ms(heard_ms))
            error_ms = 0.0
        position_ms = buffer.position_ms
        samples = self._steered(error_ms)
        if not buffer.silent:
            self._clock.heard(position_ms, heard_ms)
        return samples

    def _steered(self, error_ms: float) -> Samples:
        """A positive error means that the voice is behind: it has to hurry."""
        if abs(error_ms) <= _STEADY_MS:
            return self._buffer.pull(CHUNK)
        far = error_ms > _HURRY_MS or error_ms < -_WAIT_MS
        if far and len(ahead := self._buffer.peek(CHUNK + NEEDED)) == CHUNK + NEEDED:
            period = best_period(ahead)
            if error_ms > 0:
                self._buffer.pull(CHUNK + period)
                return shorten(ahead, period)[:CHUNK]
            self._buffer.pull(CHUNK - period)
            return lengthen(ahead, period)[:CHUNK]
        if error_ms < -_HURRY_MS:
            return self._buffer.pull(CHUNK, hold=True)
        span = CHUNK + (_RESAMPLE_STEP if error_ms > 0 else -_RESAMPLE_STEP)
        samples = self._buffer.pull(span)
        following = self._buffer.peek(1)
        return resample(np.concatenate([samples, following if len(following) else samples[-1:]]), CHUNK)
