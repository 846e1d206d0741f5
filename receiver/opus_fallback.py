"""Opus through PyAV, for machines where libopus itself cannot be loaded: concealment, but no FEC."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.error import FFmpegError

from avcall.common.errors import ProtocolError
from avcall.common.frames import SAMPLE_RATE
from avcall.receiver.opus_decoder import Samples, packet_samples

_WIDEBAND_20_MS = 9 << 3
"""Table-of-contents byte of a SILK wideband packet of 20 ms; alone, it says "nothing was sent" (RFC 6716 section
3.4), and libopus conceals."""


class PyAvOpusDecoder:
    """An `avcall.receiver.opus_decoder.OpusDecoder`."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.sample_rate = 48_000
        self._codec.layout = "mono"
        self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        self._left = np.zeros(0, np.int16)

    def decode(self, packet: bytes) -> Samples:
        return self._run(packet, packet_samples(packet))

    def decode_fec(self, next_packet: bytes, samples: int) -> Samples:
        packet_samples(next_packet)
        return self.conceal(samples)

    def conceal(self, samples: int) -> Samples:
        step = SAMPLE_RATE // 50
        parts = [self._run(bytes([_WIDEBAND_20_MS]), step) for _ in range(-(-samples // step))]
        return np.concatenate(parts)[:samples]

    def _run(self, data: bytes, samples: int) -> Samples:
        packet = av.Packet(data)
        packet.time_base = Fraction(1, 48_000)
        try:
            frames = [out for frame in self._codec.decode(packet) for out in self._resampler.resample(frame)]
        except FFmpegError as error:
            raise ProtocolError(f"an Opus packet of {len(data)} bytes that PyAV refuses") from error
        pcm = np.concatenate([self._left, *(frame.to_ndarray().reshape(-1) for frame in frames)])
        if len(pcm) < samples:  # the resampler keeps its first samples back: once, at the very start
            pcm = np.concatenate([np.zeros(samples - len(pcm), np.int16), pcm])
        self._left = pcm[samples:][-SAMPLE_RATE // 10 :]
        return np.asarray(pcm[:samples], dtype=np.int16)
