"""What a coded stream costs: its bytes without the container around them.

An Annex B stream (H.264, H.265, H.266) is its NAL units without start codes, as in RTP (RFC 6184, 7798, 9328); an IVF
file is its frames without file and frame headers, AV1's without temporal delimiters (RTP Payload Format for AV1, 5).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from avcall.common.errors import AvcallError

RTP_BYTES, SRTP_BYTES, UDP_IP_BYTES = 12, 10, 28
"""Header of a packet (RFC 3550), its authentication tag (RFC 3711), UDP and IPv4."""
PACKET_BYTES = RTP_BYTES + SRTP_BYTES + UDP_IP_BYTES
_START = re.compile(rb"\x00*\x00\x00\x01")
_IVF_HEADER = struct.Struct("<4sHH4sHHIII4x")
_IVF_FRAME = struct.Struct("<IQ")
_TEMPORAL_DELIMITER = b"\x12\x00"


class Container(Enum):
    """FFmpeg's names of the formats streams are kept in."""

    H264 = "h264"
    HEVC = "hevc"
    VVC = "vvc"
    IVF = "ivf"


@dataclass(frozen=True, slots=True)
class Stream:
    """A coded stream as FFmpeg wrote it, and what of it travels."""

    data: bytes
    container: Container
    payload_bytes: int
    packets: int | None
    """Frames in it, each sent in one packet; None where the container does not say: one a frame then."""


def stream_cost(data: bytes, container: Container) -> Stream:
    """
    Raises:
        AvcallError: not a stream of that container.
    """
    if container is Container.IVF:
        frames = ivf_frames(data)
        size = sum(len(frame) - len(_TEMPORAL_DELIMITER) * frame.startswith(_TEMPORAL_DELIMITER) for frame in frames)
        return Stream(data, container, size, len(frames))
    units = nal_units(data)
    if not units:
        raise AvcallError(f"the encoder wrote no {container.value} stream")
    return Stream(data, container, sum(map(len, units)), None)


def nal_units(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, without start codes. None of them ends with a zero byte."""
    starts = [match.span() for match in _START.finditer(data)]
    ends = [*(start for start, _ in starts[1:]), len(data)][: len(starts)]
    return [data[begin:end] for (_, begin), end in zip(starts, ends, strict=True)]


def ivf_frames(data: bytes) -> list[bytes]:
    """The frames of an IVF file.

    Raises:
        AvcallError: not a whole IVF file.
    """
    if len(data) < _IVF_HEADER.size or data[:4] != b"DKIF":
        raise AvcallError("the encoder wrote no IVF stream")
    offset, frames = _IVF_HEADER.size, []
    while offset + _IVF_FRAME.size <= len(data):
        size, _ = _IVF_FRAME.unpack_from(data, offset)
        offset += _IVF_FRAME.size
        frames.append(data[offset : offset + size])
        offset += size
    if offset != len(data):
        raise AvcallError("the encoder wrote a truncated IVF stream")
    return frames


def wire_bytes(payload_bytes: int, packets: int, packet_bytes: int = PACKET_BYTES) -> int:
    """Payload and what each of its packets adds."""
    return payload_bytes + packets * packet_bytes


def held(count: int, fps: float, display_fps: float) -> list[int]:
    """Which of `count` display ticks are captured at `fps`: the first tick at or after every instant k / fps."""
    starts = [-int(-index * display_fps // fps) for index in range(count)]
    return [start for start in starts if start < count]


def spans(starts: list[int], count: int) -> list[int]:
    """For how many ticks each of the frames that begin at `starts` is shown."""
    return [end - start for start, end in pairwise([*starts, count])]
