"""Speech as Opus packets (RFC 6716) through PyAV's libopus. Sans-IO: sound goes in, packets come out."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

from avcall.common.frames import SAMPLE_RATE, AudioChunk
from avcall.common.wire import VoicePacket
from avcall.sender.speech_gate import SpeechGate

LOOKAHEAD_MS = 6.5
"""libopus's delay: what a decoder gives for a packet was captured this much before the packet's first input sample."""
GATE_PIECE_MS = 20
DTX_BYTES = 2
"""A packet of at most this size says "silence" (RFC 6716 section 3.4) and is not sent."""
GAP_MS = 60.0
"""Sound that comes this much off its time begins anew: the microphone was muted, or chunks were dropped."""
FOLLOW = 0.05
"""Of a chunk's deviation: the times follow the device's clock, but not the jitter with which its chunks come."""


class VoiceEncoder:
    """Gathers chunks into frames of `frame_ms`, codes those with speech in them, numbers the packets.

    In-band FEC is switched on for `loss_percent`; libopus uses it from about 13 kbit/s upwards and ignores it below.
    """

    def __init__(self, kbps: float, frame_ms: int, loss_percent: int = 10) -> None:
        self._frame_ms = frame_ms
        self._frame_samples = SAMPLE_RATE * frame_ms // 1000
        codec: Any = av.CodecContext.create("libopus", "w")
        codec.sample_rate = SAMPLE_RATE
        codec.layout = "mono"
        codec.format = "s16"
        codec.time_base = Fraction(1, SAMPLE_RATE)
        codec.bit_rate = round(kbps * 1000)
        codec.options = {
            "application": "voip",
            "frame_duration": str(frame_ms),
            "vbr": "constrained",
            "fec": "1",
            "packet_loss": str(loss_percent),
        }
        codec.open()
        self._codec = codec
        self._gate = SpeechGate(GATE_PIECE_MS)
        self._waiting = np.zeros(0, dtype=np.int16)
        self._begin_ms: float | None = None
        self._sequence = 0
        self._samples_coded = 0
        self._silent = True

    def encode(self, chunk: AudioChunk) -> list[VoicePacket]:
        """The packets that this chunk completes: none, one or two."""
        if self._begin_ms is not None:
            late_ms = chunk.capture_ms - self._begin_ms - len(self._waiting) * 1000.0 / SAMPLE_RATE
            self._begin_ms = None if abs(late_ms) > GAP_MS else self._begin_ms + FOLLOW * late_ms
        if self._begin_ms is None:
            self._waiting = np.zeros(0, dtype=np.int16)
            self._begin_ms = chunk.capture_ms
            self._silent = True
        self._waiting = np.concatenate([self._waiting, chunk.samples])
        packets: list[VoicePacket] = []
        while len(self._waiting) >= self._frame_samples:
            packets += self._encode_frame(self._waiting[: self._frame_samples], self._begin_ms)
            self._waiting = self._waiting[self._frame_samples :]
            self._begin_ms += self._frame_ms
        return packets

    def _encode_frame(self, samples: np.ndarray[Any, np.dtype[np.int16]], begin_ms: float) -> list[VoicePacket]:
        pieces = samples.reshape(-1, SAMPLE_RATE * GATE_PIECE_MS // 1000)
        verdicts = [self._gate.is_speech(piece) for piece in pieces]  # of every piece, or the background is not learnt
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, :]), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._samples_coded
        self._samples_coded += len(samples)
        packets = []
        for coded in self._codec.encode(frame):  # silence is coded too: the coder's state follows the sound
            opus = bytes(coded)
            if not any(verdicts) or len(opus) <= DTX_BYTES:
                self._silent = True
                continue
            capture_ms = round(begin_ms - LOOKAHEAD_MS) % 2**32
            packets.append(VoicePacket(self._sequence, capture_ms, opus, talk_start=self._silent))
            self._sequence = (self._sequence + 1) % 2**16
            self._silent = False
        return packets
