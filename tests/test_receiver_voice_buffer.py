"""Speech out of packets: order, loss, lateness, gaps."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.errors import ProtocolError
from avcall.common.wire import VoicePacket
from avcall.receiver.opus_decoder import Samples, make_opus_decoder
from avcall.receiver.voice_buffer import MAX_PACKETS, VoiceBuffer
from tests.test_receiver_opus_decoder import encode, speechlike

FRAME_MS = 60
PACKETS = encode(speechlike(3.0))
START_MS = 10_000.0


def packet(index: int, *, first: bool = False, sequence: int | None = None) -> VoicePacket:
    return VoicePacket((index if sequence is None else sequence) % 2**16, 0, PACKETS[index % len(PACKETS)], first)


def ready_buffer(*indices: int) -> VoiceBuffer:
    buffer = VoiceBuffer(make_opus_decoder())
    for index in indices:
        buffer.insert(packet(index, first=index == 0), START_MS + FRAME_MS * index)
    buffer.seek(START_MS)
    return buffer


def pull_ms(buffer: VoiceBuffer, duration_ms: float) -> Samples:
    return np.concatenate([buffer.pull(320) for _ in range(round(duration_ms / 20))])


def clean(count: int) -> Samples:
    decoder = make_opus_decoder()
    return np.concatenate([decoder.decode(data) for data in PACKETS[:count]])


def level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


def test_all_packets_in_any_order_give_the_whole_sound() -> None:
    buffer = ready_buffer(2, 0, 1, 4, 3)
    heard = pull_ms(buffer, 300)
    assert np.array_equal(heard[200:], clean(5)[200:])
    assert buffer.position_ms == pytest.approx(START_MS + 300)
    assert not buffer.silent


def test_a_lost_packet_is_recovered_from_the_next() -> None:
    lost = 12
    buffer = ready_buffer(*(i for i in range(20) if i != lost))
    heard = pull_ms(buffer, 60 * 20)
    assert buffer.recovered == 1
    where = slice(lost * 960, (lost + 1) * 960)
    error = level(heard[where].astype(float) - clean(20)[where])
    assert error < 0.5 * level(clean(20)[where])
    assert buffer.concealed_ms == 0


def test_what_cannot_be_recovered_is_concealed_and_fades_out() -> None:
    buffer = ready_buffer(*range(9))
    speech = pull_ms(buffer, 540)
    after = pull_ms(buffer, 400)
    assert level(after[:320]) > 0.3 * level(speech)
    assert level(after[320 * 9 :]) == 0
    assert buffer.silent
    assert buffer.position_ms == pytest.approx(START_MS + 940)


def test_a_gap_that_was_not_sent_is_silence_and_ends_on_time() -> None:
    buffer = ready_buffer(*range(5))
    buffer.insert(packet(5, first=True), START_MS + 1000.0)
    heard = pull_ms(buffer, 1100)
    assert level(heard[16 * 600 : 16 * 1000]) == 0
    assert level(heard[16 * 1010 : 16 * 1060]) > 500
    assert buffer.lost == 0


def test_held_concealment_waits_for_the_packets() -> None:
    buffer = ready_buffer(*range(5))
    pull_ms(buffer, 300)
    buffer.pull(320, hold=True)
    assert buffer.position_ms == pytest.approx(START_MS + 300)
    buffer.insert(packet(5), START_MS + 300.0)
    assert level(pull_ms(buffer, 60)) > 500
    assert buffer.late == 0


def test_a_packet_that_comes_in_its_midst_is_heard_from_there() -> None:
    buffer = ready_buffer(*range(5))
    pull_ms(buffer, 320)
    buffer.insert(packet(5), START_MS + 300.0)
    buffer.insert(packet(6), START_MS + 360.0)
    pull_ms(buffer, 100)
    assert buffer.position_ms == pytest.approx(START_MS + 420, abs=1)
    assert (buffer.late, buffer.concealed_ms) == (0, 20)


def test_a_packet_after_its_time_is_counted_late() -> None:
    buffer = ready_buffer(*range(5))
    pull_ms(buffer, 400)
    buffer.insert(packet(5), START_MS + 300.0)
    buffer.pull(320)
    assert buffer.late == 1
    buffer.insert(packet(4), START_MS + 240.0)
    assert buffer.late == 2


def test_capture_jitter_makes_no_seams() -> None:
    buffer = VoiceBuffer(make_opus_decoder())
    for i in range(20):
        buffer.insert(packet(i, first=i == 0), START_MS + FRAME_MS * i + (5.0 if i % 2 else -5.0))
    buffer.seek(START_MS - 5.0)
    assert np.array_equal(pull_ms(buffer, 1200)[200:], clean(20)[200:])
    assert buffer.position_ms == pytest.approx(START_MS + 1200, abs=6)


def test_what_fec_brings_is_told() -> None:
    buffer = ready_buffer(10)
    assert buffer.insert(packet(11), START_MS + 660) is None
    assert buffer.insert(packet(13), START_MS + 780) == pytest.approx(START_MS + 720)


def test_sequences_wrap_and_memory_is_bounded() -> None:
    buffer = VoiceBuffer(make_opus_decoder())
    for i in range(500):
        buffer.insert(packet(i, sequence=65_500 + i), START_MS + FRAME_MS * i)
    assert len(buffer._waiting) == MAX_PACKETS
    assert (buffer.received, buffer.lost) == (500, 0)


def test_duplicates_and_hostile_packets() -> None:
    buffer = ready_buffer(0)
    buffer.insert(packet(0), START_MS)
    assert buffer.duplicates == 1
    with pytest.raises(ProtocolError):
        buffer.insert(VoicePacket(1, 0, b"\xff\xff"), START_MS + 60)
    buffer.insert(VoicePacket(1, 0, bytes([11 << 3 | 3, 0x41, 0xFF])), START_MS + 60)  # padding beyond its end
    assert len(pull_ms(buffer, 200)) == 3200
    assert buffer.refused == 1
