"""Speech as Opus packets (RFC 6716) through PyAV's libopus. Sans-IO: sound goes in, packets come out."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avcall.common.frames import SAMPLE_RATE, AudioChunk
from avcall.common.wire import VoicePacket
from avcall.sender.speech_gate import SpeechGate

LOOKAHEAD_MS = 6.5
"""libopus's delay: what a decoder gives for a packet was captured this much before the packet's first input sample."""
GATE_PIECE_MS = 20
FRAMES_MS = (20, 40, 60, 80, 100, 120)
"""What libopus codes in one packet, in steps of the gate's pieces."""
VOICE_KBPS = (6.0, 64.0)
DTX_BYTES = 2
"""A packet of at most this size says "silence" (RFC 6716 section 3.4) and is not sent."""
GAP_MS = 60.0
"""Sound that comes this much off its time begins anew: the microphone was muted, or chunks were dropped."""
FOLLOW = 0.05
"""Of a chunk's deviation: the times follow the device's clock, but not the jitter with which its chunks come."""


def frame_for(span_ms: float) -> int:
    """The longest piece of speech that fits a bundle of this span without waiting for another bundle, in ms."""
    pieces = -(-span_ms // FRAMES_MS[-1])
    return min(FRAMES_MS, key=lambda frame_ms: abs(frame_ms - span_ms / pieces))


class VoiceEncoder:
    """Gathers chunks into frames of `frame_ms`, codes those with speech in them, numbers the packets.

    In-band FEC is switched on for `loss_percent`; libopus uses it from about 13 kbit/s upwards and ignores it below.
    """

    def __init__(self, kbps: float, frame_ms: int, loss_percent: int = 10) -> None:
        self._loss_percent = loss_percent
        self._wanted = self._settings = (kbps, frame_ms)
        self._codec = self._open()
        self._gate = SpeechGate(GATE_PIECE_MS)
        self._waiting = np.zeros(0, dtype=np.int16)
        self._echo = np.zeros(0, dtype=np.bool_)
        """Of each waiting sample, whether it is what is left of an echo."""
        self._begin_ms: float | None = None
        self._sequence = 0
        self._samples_coded = 0
        self._silent = True

    @property
    def frame_ms(self) -> int:
        """Length of the pieces that are coded now."""
        return self._settings[1]

    def set(self, *, kbps: float | None = None, frame_ms: int | None = None) -> None:
        """Takes effect with the next frame; may be called from another thread than `encode`. libopus starts afresh,
        which can be heard: seldom, then.

        Args:
            frame_ms: one of FRAMES_MS.
        """
        self._wanted = (kbps or self._wanted[0], frame_ms or self._wanted[1])

    def _open(self) -> Any:
        kbps, frame_ms = self._settings
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
            "packet_loss": str(self._loss_percent),
        }
        codec.open()
        return codec

    def encode(self, chunk: AudioChunk) -> list[VoicePacket]:
        """The packets that this chunk completes: none, one or two."""
        if self._begin_ms is not None:
            late_ms = chunk.capture_ms - self._begin_ms - len(self._waiting) * 1000.0 / SAMPLE_RATE
            self._begin_ms = None if abs(late_ms) > GAP_MS else self._begin_ms + FOLLOW * late_ms
        if self._begin_ms is None:
            self._waiting, self._echo = np.zeros(0, dtype=np.int16), np.zeros(0, dtype=np.bool_)
            self._begin_ms = chunk.capture_ms
            self._silent = True
        self._waiting = np.concatenate([self._waiting, chunk.samples])
        self._echo = np.concatenate([self._echo, np.full(len(chunk.samples), chunk.echo)])
        packets: list[VoicePacket] = []
        while True:
            if self._wanted != self._settings:
                self._settings = self._wanted
                self._codec = self._open()
            count = SAMPLE_RATE * self.frame_ms // 1000
            if len(self._waiting) < count:
                return packets
            packets += self._encode_frame(self._waiting[:count], self._echo[:count], self._begin_ms)
            self._waiting, self._echo = self._waiting[count:], self._echo[count:]
            self._begin_ms += self.frame_ms

    def _encode_frame(self, samples: NDArray[np.int16], echo: NDArray[np.bool_], begin_ms: float) -> list[VoicePacket]:
        pieces, echoes = (sound.reshape(-1, SAMPLE_RATE * GATE_PIECE_MS // 1000) for sound in (samples, echo))
        heard = zip(pieces, echoes.mean(axis=1) > 0.5, strict=True)
        verdicts = [self._gate.is_speech(*piece) for piece in heard]  # of every piece, or the background is not learnt
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
