"""The other end's voice taken out of what the microphone hears, so that nobody hears himself come back.

What the speaker plays is kept with the time at which it is heard, and given to WebRTC's echo canceller (AEC3) beside
what the microphone heard at that time. The canceller finds the rest of the delay, the room and the loudness itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray
from pywebrtc_audio import AudioProcessor

from avcall.common.frames import SAMPLE_RATE, AudioChunk
from avcall.sender.microphone import AudioSource

Samples = NDArray[np.int16]

LEAD_MS = 40
"""The canceller is told what is played so much before it is heard: sound cards are wrong about their latency, and an
echo that came before its cause could not be found. Less than a speaker's stock, so it is always there in time."""
DELAY_MS = 8.0
"""By which the canceller makes a voice later."""
ECHO_DB, ECHO_NOW_DB = 15.0, 10.0
"""What was heard was echo where the canceller took so much of it, of late and just now. An own voice as loud as the
echo loses 3 dB."""
RECENT = 0.3
"""Weight of the latest chunk in what is meant by "of late"."""
TAIL_CHUNKS, TAIL_DB = 15, 3.0
"""As an echo dies away less of it is taken: for so many chunks, what is hardly louder than what was left is echo."""
KEPT = 4 * SAMPLE_RATE
"""Samples that are remembered."""
NEAR = 30 * SAMPLE_RATE // 1000
"""Times that are off by fewer samples are those of one unbroken sound: clocks wander, sound does not."""


class PlayedSound:
    """What left the speaker, and when. Its times are those of one clock, in ms, with those of the microphone."""

    def __init__(self) -> None:
        self._ring: Samples = np.zeros(KEPT, np.int16)
        self._end: int | None = None
        """Number of the sample after the last one, counted from time 0."""
        self._next: int | None = None

    def play(self, samples: Samples, heard_ms: float) -> None:
        """These samples (n,) are heard from `heard_ms` on; the order of the calls is that of the sound."""
        begin = round(heard_ms * SAMPLE_RATE / 1000)
        if self._end is None:
            self._end = begin
        if abs(begin - self._end) < NEAR:
            begin = self._end
        gap = np.arange(self._end, min(begin, self._end + KEPT))
        self._ring[gap % KEPT] = 0
        samples = samples[-KEPT:]
        self._ring[np.arange(begin, begin + len(samples)) % KEPT] = samples
        self._end = begin + len(samples)

    def at(self, time_ms: float, count: int) -> Samples:
        """`count` samples from `time_ms` on; silence where nothing was played, or where that is forgotten."""
        begin = round(time_ms * SAMPLE_RATE / 1000)
        if self._next is not None and abs(begin - self._next) < NEAR:
            begin = self._next
        self._next = begin + count
        found = np.zeros(count, np.int16)
        if self._end is not None:
            numbers = np.arange(begin, begin + count)
            known = (numbers < self._end) & (numbers >= self._end - KEPT)
            found[known] = self._ring[numbers[known] % KEPT]
        return found


class EchoCanceller:
    """20 ms of sound take 0.2 ms; not for two threads."""

    def __init__(self, played: PlayedSound) -> None:
        self._played = played
        self._processor = AudioProcessor(sample_rate=SAMPLE_RATE, echo_cancellation=True, stream_delay_ms=LEAD_MS)
        self._powers = np.zeros(2)
        """Of what was heard and of what was left, of late."""
        self._left, self._tail = 0.0, 0
        """What was left of the last echo, and for how many chunks more that is told from a voice."""

    def cancel(self, chunk: AudioChunk) -> AudioChunk:
        """The chunk without the echo, as of DELAY_MS earlier, and whether it was all echo. Chunks come one after
        another."""
        far = self._played.at(chunk.capture_ms + LEAD_MS, len(chunk.samples))
        samples = self._processor.process(np.ascontiguousarray(chunk.samples), far)
        now = np.array([np.mean(np.square(sound, dtype=np.float64)) for sound in (chunk.samples, samples)]) + 1e-9
        self._powers += RECENT * (now - self._powers)
        taken_db = 10.0 * np.log10([self._powers[0] / self._powers[1], now[0] / now[1]])
        if taken_db[0] >= ECHO_DB and taken_db[1] >= ECHO_NOW_DB:
            self._left, self._tail = max(self._powers[1], now[1]), TAIL_CHUNKS
            return AudioChunk(samples, chunk.capture_ms - DELAY_MS, echo=True)
        self._tail -= 1
        dies_away = self._tail >= 0 and now[1] <= self._left * 10.0 ** (TAIL_DB / 10.0)
        return AudioChunk(samples, chunk.capture_ms - DELAY_MS, echo=dies_away)


class EchoCancelled:
    """A microphone without the echo of what is played. Implements `avcall.sender.microphone.AudioSource`."""

    def __init__(self, source: AudioSource, played: PlayedSound) -> None:
        self._source = source
        self._canceller = EchoCanceller(played)

    @property
    def dropped(self) -> int:
        """Chunks that the microphone dropped."""
        return self._source.dropped

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        """See AudioSource."""
        async with aclosing(self._source.chunks()) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield self._canceller.cancel(chunk)
