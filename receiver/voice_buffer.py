"""Speech on its way out: packets by sequence become samples; what is missing is recovered or concealed. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avcall.common import wire
from avcall.common.errors import ProtocolError
from avcall.common.frames import SAMPLE_RATE
from avcall.common.wire import VoicePacket
from avcall.receiver.opus_decoder import OpusDecoder, Samples, has_fec, packet_samples

SAMPLES_PER_MS = SAMPLE_RATE / 1000
MAX_PACKETS = 64
CONCEAL_STEP = SAMPLE_RATE // 50
FULL_CONCEAL_MS, FADE_MS = 100.0, 60.0
"""Concealment is heard in full so long, and then fades to silence."""
_JOIN_MS = 2.0
_CAPTURE_JITTER_MS = 40.0
"""Consecutive packets whose capture times disagree by less than this are joined without a seam."""
_FADE_IN = SAMPLE_RATE // 200


@dataclass(frozen=True, slots=True)
class _Waiting:
    media_ms: float
    samples: int
    packet: VoicePacket

    @property
    def end_ms(self) -> float:
        return self.media_ms + self.samples / SAMPLES_PER_MS


class VoiceBuffer:
    """The jitter buffer of the voice. `pull` moves `position_ms`, the media time of the next sample, onwards."""

    def __init__(self, decoder: OpusDecoder) -> None:
        self._decoder = decoder
        self._waiting: dict[int, _Waiting] = {}
        self._next_sequence: int | None = None
        self._newest_sequence: int | None = None
        self._first_sequence = 0
        self._decoded = np.zeros(0, np.int16)
        self._decoded_end_ms = 0.0
        self._packet_samples = 3 * CONCEAL_STEP
        self._concealed_ms = 0.0
        self._joined = False
        self.silent = True
        """Nothing is being heard: the gap between two stretches of speech, or a loss too long to conceal."""
        self.received = self.duplicates = self.late = self.recovered = self.refused = 0
        self.concealed_ms = 0.0

    @property
    def position_ms(self) -> float:
        """The media time of the next sample that `pull` gives."""
        return self._decoded_end_ms - len(self._decoded) / SAMPLES_PER_MS

    @property
    def lost(self) -> int:
        """Packets that never came, by their sequence numbers."""
        if self._newest_sequence is None:
            return 0
        return max(0, self._newest_sequence - self._first_sequence + 1 - self.received)

    def insert(self, packet: VoicePacket, media_ms: float) -> float | None:
        """Takes one packet, whose first sample was captured at `media_ms`. If it repeats a lost packet before it,
        returns when that one was captured: it has become playable too.

        Raises:
            ProtocolError: not an Opus packet.
        """
        samples = packet_samples(packet.opus)
        newest = self._newest_sequence
        sequence = packet.sequence if newest is None else int(wire.unwrap(packet.sequence, newest, bits=16))
        if newest is None:
            self._first_sequence = newest = sequence
        if sequence in self._waiting:
            self.duplicates += 1
            return None
        self._newest_sequence = max(newest, sequence)
        self.received += 1
        if self._next_sequence is not None and sequence < self._next_sequence:
            self.late += 1
            return None
        self._waiting[sequence] = _Waiting(media_ms, samples, packet)
        while len(self._waiting) > MAX_PACKETS:
            self._take(min(self._waiting))
        if sequence - newest == 2 and not packet.talk_start and has_fec(packet.opus):
            return media_ms - samples / SAMPLES_PER_MS
        return None

    def seek(self, media_ms: float) -> None:
        """Goes on at `media_ms`; what was decoded before is dropped."""
        self._decoded = np.zeros(0, np.int16)
        self._decoded_end_ms = media_ms
        self._joined = False

    def clear(self) -> None:
        """Drops everything that waits: the sender's clock jumped."""
        self._waiting.clear()
        self._next_sequence = self._newest_sequence = None
        self.received = 0
        self.silent = True

    def peek(self, count: int) -> Samples:
        """Up to `count` samples that will come next, as far as nothing has to be concealed for them."""
        while len(self._decoded) < count and (following := self._joining()) is not None:
            self._decode(following)
        return self._decoded[:count]

    def pull(self, count: int, *, hold: bool = False) -> Samples:
        """The next `count` samples. With `hold`, what is concealed because nothing has arrived does not use up media
        time: the voice waits for its packets."""
        while len(self._decoded) < count:
            self._extend(count - len(self._decoded), hold)
        pulled, self._decoded = self._decoded[:count], self._decoded[count:]
        return pulled

    def _extend(self, wanted: int, hold: bool) -> None:
        while self._waiting and self._waiting[first := min(self._waiting)].end_ms <= self._decoded_end_ms + _JOIN_MS:
            self._take(first)
            self.late += 1
        if not self._waiting:
            self._conceal(CONCEAL_STEP if not self.silent else wanted, hold)
            return
        sequence = min(self._waiting)
        following = self._waiting[sequence]
        gap_ms = following.media_ms - self._decoded_end_ms
        if self._joining() == sequence or gap_ms <= _JOIN_MS:
            self._decode(sequence)
        elif self._next_sequence == sequence - 1 and self._recover(following, gap_ms):
            return
        else:
            step = wanted if self.silent else CONCEAL_STEP
            self._conceal(max(1, min(step, round(gap_ms * SAMPLES_PER_MS))), hold=False)

    def _joining(self) -> int | None:
        """The sequence number of a packet that continues the last one without a seam."""
        sequence = self._next_sequence
        if not self._joined or sequence not in self._waiting:
            return None
        apart_ms = abs(self._waiting[sequence].media_ms - self._decoded_end_ms)
        return sequence if apart_ms <= _CAPTURE_JITTER_MS else None

    def _decode(self, sequence: int) -> None:
        joined = self._joining() == sequence
        waiting = self._take(sequence)
        try:
            samples = self._decoder.decode(waiting.packet.opus)
        except ProtocolError:
            self.refused += 1
            return
        self._packet_samples = waiting.samples
        gap_ms = waiting.media_ms - self._decoded_end_ms
        if joined:
            self._decoded_end_ms += 0.1 * gap_ms  # follows the capture clock, not its jitter
        elif gap_ms < 0:
            samples = samples[round(-gap_ms * SAMPLES_PER_MS) :]
        self._append(samples)
        self._joined = True

    def _recover(self, following: _Waiting, gap_ms: float) -> bool:
        """Decodes the one lost packet before `following` from what that one repeats."""
        if following.packet.talk_start or not has_fec(following.packet.opus):
            return False
        try:
            samples = self._decoder.decode_fec(following.packet.opus, self._packet_samples)
        except ProtocolError:
            self.refused += 1
            return False
        missing = round(gap_ms * SAMPLES_PER_MS)
        self._append(samples[max(0, len(samples) - missing) :])
        self._next_sequence = (self._next_sequence or 0) + 1
        self._joined = True
        self.recovered += 1
        return True

    def _append(self, samples: Samples) -> None:
        if self.silent and len(samples) >= _FADE_IN:
            samples = samples.copy()
            samples[:_FADE_IN] = samples[:_FADE_IN] * np.linspace(0.0, 1.0, _FADE_IN)
        self.silent = False
        self._concealed_ms = 0.0
        self._decoded = np.concatenate([self._decoded, samples])
        self._decoded_end_ms += len(samples) / SAMPLES_PER_MS

    def _conceal(self, count: int, hold: bool) -> None:
        """Adds `count` samples of what might have been; silence after FULL_CONCEAL_MS + FADE_MS."""
        took_ms = count / SAMPLES_PER_MS
        if self.silent:
            samples = np.zeros(count, np.int16)
        else:
            made = self._decoder.conceal(-(-count // 40) * 40)[:count]
            before, after = (self._conceal_gain(ms) for ms in (self._concealed_ms, self._concealed_ms + took_ms))
            samples = (made * np.linspace(before, after, len(made))).astype(np.int16)
            self._concealed_ms += took_ms
            self.concealed_ms += took_ms
            self.silent = self._conceal_gain(self._concealed_ms) <= 0.0
        self._joined = False
        self._decoded = np.concatenate([self._decoded, samples])
        if not hold:
            self._decoded_end_ms += len(samples) / SAMPLES_PER_MS

    @staticmethod
    def _conceal_gain(concealed_ms: float) -> float:
        return min(1.0, max(0.0, 1.0 - (concealed_ms - FULL_CONCEAL_MS) / FADE_MS))

    def _take(self, sequence: int) -> _Waiting:
        self._next_sequence = sequence + 1
        return self._waiting.pop(sequence)
