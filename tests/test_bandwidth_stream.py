"""What a stream costs, on streams written by hand."""

from __future__ import annotations

import struct

import pytest

from avcall.bench.codecs_stream import (
    PACKET_BYTES,
    Container,
    held,
    ivf_frames,
    nal_units,
    spans,
    stream_cost,
    wire_bytes,
)
from avcall.common.errors import AvcallError


def ivf(*frames: bytes) -> bytes:
    head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"AV01", 64, 64, 25, 1, len(frames), 0)
    return head + b"".join(struct.pack("<IQ", len(frame), i) + frame for i, frame in enumerate(frames))


def test_start_codes_of_three_and_four_bytes_are_not_counted() -> None:
    data = b"\0\0\0\1\x67abc" + b"\0\0\1\x68d" + b"\0\0\0\1\x65\0\0\3efgh"
    assert nal_units(data) == [b"\x67abc", b"\x68d", b"\x65\0\0\3efgh"]
    assert stream_cost(data, Container.H264).payload_bytes == 4 + 2 + 8


def test_frame_headers_and_temporal_delimiters_are_not_counted() -> None:
    data = ivf(b"\x12\x00abcd", b"\x12\x00ef", b"gh")
    assert ivf_frames(data)[0] == b"\x12\x00abcd"
    stream = stream_cost(data, Container.IVF)
    assert (stream.payload_bytes, stream.packets) == (8, 3)


@pytest.mark.parametrize("data", [b"", b"DKIF", ivf(b"abc")[:-1], b"\0" * 40])
def test_what_is_no_ivf_file_is_refused(data: bytes) -> None:
    with pytest.raises(AvcallError):
        stream_cost(data, Container.IVF)


def test_what_is_no_annex_b_stream_is_refused() -> None:
    with pytest.raises(AvcallError):
        stream_cost(b"no start code", Container.HEVC)


def test_fifty_bytes_go_around_every_packet() -> None:
    assert PACKET_BYTES == 50
    assert wire_bytes(1000, 25) == 2250


def test_frames_are_held_from_the_first_tick_at_or_after_their_time() -> None:
    assert held(8, 25.0, 25.0) == list(range(8))
    assert held(8, 12.5, 25.0) == [0, 2, 4, 6]
    assert held(50, 2.0, 25.0) == [0, 13, 25, 38]
    assert spans([0, 13, 25, 38], 50) == [13, 12, 13, 12]
