"""The voice coder: rate, numbering, times, silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avcall.common.frames import AudioChunk
from avcall.common.wire import VoicePacket
from avcall.sender.microphone import Resampler, cut
from avcall.sender.voice import LOOKAHEAD_MS, VoiceEncoder, frame_for

Samples = np.ndarray[Any, np.dtype[np.int16]]


def tone(ms: int) -> Samples:
    """Loud, and not the same twice: a warbling vowel."""
    t = np.arange(16 * ms) / 16_000
    wave = np.sin(2 * np.pi * 150 * t + 3 * np.sin(2 * np.pi * 3 * t)) + 0.5 * np.sin(2 * np.pi * 900 * t)
    return (6000 * wave).astype(np.int16)


def feed(encoder: VoiceEncoder, samples: Samples, begin_ms: float) -> list[VoicePacket]:
    packets = []
    for number, piece in enumerate(cut(iter([samples]))):
        packets += encoder.encode(AudioChunk(piece, begin_ms + 20.0 * number))
    return packets


@pytest.mark.parametrize("frame_ms", [20, 40, 60, 80, 120])
def test_numbers_and_times(frame_ms: int) -> None:
    packets = feed(VoiceEncoder(8.0, frame_ms), tone(480), 2**32 + 1000.0)
    assert [packet.sequence for packet in packets] == list(range(480 // frame_ms))
    assert packets[0].capture_ms == round(1000 - LOOKAHEAD_MS)
    assert set(np.diff([packet.capture_ms for packet in packets])) == {frame_ms}
    assert [packet.talk_start for packet in packets] == [True] + [False] * (len(packets) - 1)


def test_the_longest_frame_that_fits_a_span() -> None:
    spans = [40, 60, 80, 100, 120, 160, 200]
    assert [frame_for(span_ms) for span_ms in spans] == [40, 60, 80, 100, 120, 80, 100]


def test_rate_and_length_change_at_the_next_frame_without_a_gap() -> None:
    encoder = VoiceEncoder(6.0, 60)
    low = feed(encoder, tone(1200), 0.0)
    encoder.set(kbps=16.0)
    high = feed(encoder, tone(1200), 1200.0)
    encoder.set(frame_ms=120)
    long = feed(encoder, tone(1200), 2400.0)
    assert [len(low), len(high), len(long)] == [20, 20, 10]
    sizes = [sum(len(packet.opus) for packet in packets) for packets in (low, high, long)]
    assert 1.8 < sizes[1] / sizes[0] < 3.2
    assert 0.8 < sizes[2] / sizes[1] < 1.2
    packets = low + high + long
    assert [packet.sequence for packet in packets] == list(range(50))
    assert [packet.talk_start for packet in packets] == [True] + [False] * 49
    steps = np.diff([packet.capture_ms for packet in packets[1:]])
    assert list(steps) == [60] * 39 + [120] * 9


def test_silence_is_not_sent_and_the_next_word_is_marked() -> None:
    encoder = VoiceEncoder(8.0, 60)
    silence = np.zeros(16 * 1800, dtype=np.int16)
    first = feed(encoder, tone(600), 0.0)
    pause = feed(encoder, silence, 600.0)
    second = feed(encoder, tone(600), 2400.0)
    assert len(pause) <= 7  # the hang-over of 400 ms
    assert len(second) == 10
    assert [packet.talk_start for packet in second] == [True] + [False] * 9
    assert second[0].sequence == len(first) + len(pause)


def test_a_muted_stretch_begins_anew() -> None:
    encoder = VoiceEncoder(8.0, 60)
    feed(encoder, tone(100), 0.0)  # 40 ms wait for the rest of their frame, and are given up
    packets = feed(encoder, tone(120), 5000.0)
    assert packets[0].capture_ms == round(5000 - LOOKAHEAD_MS)
    assert packets[0].talk_start


def test_jitter_of_the_device_does_not_reach_the_times_but_its_clock_does() -> None:
    rng = np.random.default_rng(0)
    encoder = VoiceEncoder(8.0, 60)
    sound = tone(20)
    true_ms = [20.02 * number for number in range(1500)]  # a device that runs a thousandth slow
    packets = [p for t in true_ms for p in encoder.encode(AudioChunk(sound, t + rng.uniform(0, 12)))]
    steps = np.diff([packet.capture_ms for packet in packets[5:]])
    assert set(steps) <= {59, 60, 61, 62}
    assert packets[-1].capture_ms == pytest.approx(true_ms[-3] + 6 - LOOKAHEAD_MS, abs=4)


def test_what_comes_out_is_what_went_in_and_when() -> None:
    """Decoded sound lies at the packet's capture time: a click's place is right within 2 ms."""
    sound = np.zeros(16 * 480, dtype=np.int16)
    sound[16 * 200 : 16 * 210] = tone(10)
    sound += np.random.default_rng(0).normal(0, 300, len(sound)).astype(np.int16)  # above the gate
    packets = feed(VoiceEncoder(16.0, 60), sound, 1000.0)
    decoder: Any = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 16_000, "mono"
    heard = [frame.to_ndarray()[0] for packet in packets for frame in decoder.decode(av.Packet(packet.opus))]
    decoded = np.concatenate(heard).astype(np.float64)
    rate = 48_000 if len(decoded) > 16 * 700 else 16_000
    loud = float(
        np.average(
            np.arange(len(decoded)), weights=np.square(decoded) * (np.abs(decoded) > 0.4 * np.abs(decoded).max())
        )
    )
    assert packets[0].capture_ms + loud * 1000 / rate == pytest.approx(1205.0, abs=2.0)


@pytest.mark.clips
@pytest.mark.parametrize("kbps", [8.0, 12.0])
def test_the_rate_of_real_speech(clips_dir: Path, kbps: float) -> None:
    resampler = Resampler()
    with av.open(str(clips_dir / "test" / "p008_01.mp4")) as container:
        samples = np.concatenate([resampler.convert(frame) for frame in container.decode(audio=0)])
    packets = feed(VoiceEncoder(kbps, 60), samples, 0.0)
    assert np.mean([len(packet.opus) for packet in packets]) * 8 / 60 == pytest.approx(kbps, rel=0.1)
