"""Opus decoding: loss is recovered or concealed, and hostile bytes are refused."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from avcall.common.errors import ProtocolError
from avcall.common.frames import SAMPLE_RATE
from avcall.receiver.opus_decoder import LibOpusDecoder, OpusDecoder, has_fec, make_opus_decoder, packet_samples
from avcall.receiver.opus_fallback import PyAvOpusDecoder

FRAME = SAMPLE_RATE * 60 // 1000


def speechlike(seconds: float) -> NDArray[np.int16]:
    """A gliding, syllabic buzz: enough like a voice for a speech coder."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    return np.asarray(7000 * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * t)), dtype=np.int16)


def encode(samples: NDArray[np.int16], loss_percent: int = 20, bit_rate: int = 20_000) -> list[bytes]:
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE, "mono", "s16"
    codec.bit_rate = bit_rate
    codec.options = {
        "frame_duration": "60",
        "application": "voip",
        "fec": "1",
        "packet_loss": str(loss_percent),
    }
    packets = []
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + FRAME], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    return encode(speechlike(6.0))


def lossy(decoder: OpusDecoder, packets: list[bytes], lost: set[int], fec: bool) -> NDArray[np.int16]:
    parts = []
    for i, packet in enumerate(packets):
        if i not in lost:
            parts.append(decoder.decode(packet))
        elif fec and i + 1 < len(packets) and i + 1 not in lost:
            parts.append(decoder.decode_fec(packets[i + 1], FRAME))
        else:
            parts.append(decoder.conceal(FRAME))
    return np.concatenate(parts)


def test_the_library_is_found() -> None:
    assert isinstance(make_opus_decoder(), LibOpusDecoder)


def test_fec_and_concealment_beat_silence(packets: list[bytes]) -> None:
    clean = np.concatenate([d.decode(p) for d in [make_opus_decoder()] for p in packets]).astype(float)
    lost = set(map(int, np.flatnonzero(np.random.default_rng(1).random(len(packets)) < 0.2))) - {0}
    where = np.concatenate([np.full(FRAME, i in lost) for i in range(len(packets))])

    def error(decoded: NDArray[np.int16]) -> float:
        return float(np.sqrt(np.mean((decoded.astype(float) - clean)[where] ** 2)))

    recovered = error(lossy(make_opus_decoder(), packets, lost, fec=True))
    silent = float(np.sqrt(np.mean(clean[where] ** 2)))
    assert recovered < 0.75 * silent


def test_concealment_continues_the_sound(packets: list[bytes]) -> None:
    decoder = make_opus_decoder()
    for packet in packets[:20]:
        heard = decoder.decode(packet)
    more = decoder.conceal(320)
    assert len(more) == 320
    assert np.abs(more).max() > 0.2 * np.abs(heard).max()


def test_durations() -> None:
    assert packet_samples(bytes([11 << 3])) == 960  # SILK wideband, 60 ms
    assert packet_samples(bytes([31 << 3])) == 320  # CELT fullband, 20 ms
    assert packet_samples(bytes([(9 << 3) | 3, 3])) == 960  # three frames of 20 ms


def test_the_encoder_repeats_nothing_at_low_rates(packets: list[bytes]) -> None:
    assert sum(map(has_fec, packets)) > 0.8 * len(packets)
    assert not any(has_fec(packet) for packet in encode(speechlike(1.0), bit_rate=8_000))


@pytest.mark.parametrize("packet", [b"", bytes(1276), bytes([(11 << 3) | 3, 3]), bytes([(9 << 3) | 3]), bytes([3, 0])])
def test_packets_that_cannot_be(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        packet_samples(packet)


@pytest.mark.parametrize("make", [make_opus_decoder, PyAvOpusDecoder])
def test_random_bytes_never_crash(make: type[PyAvOpusDecoder]) -> None:
    decoder = make()
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(300):
        packet = rng.integers(0, 256, int(rng.integers(0, 200)), dtype=np.uint8).tobytes()
        try:
            assert len(decoder.decode(packet)) == packet_samples(packet)
            decoder.decode_fec(packet, FRAME)
        except ProtocolError:
            refused += 1
    assert 0 < refused < 300


def test_the_fallback_conceals(packets: list[bytes]) -> None:
    decoder = PyAvOpusDecoder()
    decoded = lossy(decoder, packets, {30}, fec=True)
    assert len(decoded) == FRAME * len(packets)
    assert np.abs(decoded[30 * FRAME : 30 * FRAME + 320]).max() > 500
    assert np.abs(decoded[31 * FRAME : 32 * FRAME]).max() > 1000
