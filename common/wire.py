"""The binary packets of the media channel, and nothing else. docs/wire.md describes them with test vectors.

Every packet starts with one type byte. All numbers are little endian. Capture times are the sender's monotonic
milliseconds modulo 2**32; sequence numbers count modulo 2**16 and are compared as in RFC 1982 (`newer`).

    keypoints    type=1 flags sequence:u16 capture_ms:u32 pivot_id:u16 keypoints: 10 x 2 float32 (80 bytes)
    pivot slice  type=2 index count _ pivot_id:u16 length:u32 data
    voice        type=3 flags sequence:u16 capture_ms:u32 opus packet
    pivot ack    type=4 _ pivot_id:u16 received: u32 words, one bit a slice
    bundle       type=0x80+flags counts sequence:u16 capture_ms:u32 pivot_id:u16 times voice copy attached keypoints

The sliced body of a pivot is: codec:u8 _ width:u16 height:u16 capture_ms:u32 keypoints (80 bytes) picture.
Everything malformed raises ProtocolError; numbers that are not finite, or far out of range, are malformed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from avcall.common import bundle_format
from avcall.common.bundle_format import Bundle as Bundle
from avcall.common.bundle_format import CoarseCopy as CoarseCopy
from avcall.common.bundle_format import VoicePacket as VoicePacket
from avcall.common.bundle_format import pack_bundle, parse_bundle
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT, Keypoints

VERSION = 2
MTU_BYTES = 1100
"""Largest media packet: with SCTP, DTLS, UDP and IP around it, it stays below 1,200 bytes (RFC 8831 section 5)."""

_KEYPOINTS = struct.Struct("<BBHIH")
_KEYPOINT_BYTES = COUNT * 2 * 4
_SLICE = struct.Struct("<BBBxHI")
_VOICE = struct.Struct("<BBHI")
_ACK = struct.Struct("<BxH")
_PIVOT = struct.Struct("<BxHHI")
SLICE_DATA_BYTES = MTU_BYTES - _SLICE.size
MAX_SLICES = 255
MAX_PIVOT_BYTES = MAX_SLICES * SLICE_DATA_BYTES
MAX_PIVOT_SIDE = 1024
KEYPOINT_LIMIT = 4.0
"""Keypoints may leave the picture, but not by more than this."""


class PacketType(IntEnum):
    KEYPOINTS = 1
    PIVOT_SLICE = 2
    VOICE = 3
    PIVOT_ACK = 4
    BUNDLE = bundle_format.TYPE


ATTACHABLE = frozenset({PacketType.PIVOT_ACK})
"""What a bundle may carry besides frames and voice."""


class PivotCodec(IntEnum):
    """How a pivot's picture is coded."""

    AVIF = 1
    WEBP = 2


@dataclass(frozen=True, slots=True)
class KeypointPacket:
    sequence: int
    capture_ms: int
    pivot_id: int
    keypoints: Keypoints
    face_lost: bool = False


@dataclass(frozen=True, slots=True)
class PivotSlice:
    pivot_id: int
    index: int
    count: int
    length: int
    """Bytes of the whole body; every slice but the last holds SLICE_DATA_BYTES of it."""
    data: bytes


@dataclass(frozen=True, slots=True)
class PivotAck:
    pivot_id: int
    received: frozenset[int]
    """Indices of the slices that have arrived."""


@dataclass(frozen=True, slots=True)
class PivotBody:
    codec: PivotCodec
    width: int
    height: int
    capture_ms: int
    keypoints: Keypoints
    picture: bytes


Packet: TypeAlias = KeypointPacket | PivotSlice | VoicePacket | PivotAck | Bundle


def newer(a: int, b: int, bits: int = 16) -> bool:
    """True where serial number a comes after b (RFC 1982)."""
    half = 1 << (bits - 1)
    return a != b and ((a - b) % (1 << bits)) < half


def unwrap(value: int, near: float, bits: int = 32) -> float:
    """The number congruent to `value` modulo 2**bits that lies closest to `near`."""
    modulus = 1 << bits
    return value + modulus * round((near - value) / modulus)


def pack(packet: Packet) -> bytes:
    """Bytes of one media packet, at most MTU_BYTES."""
    match packet:
        case KeypointPacket():
            head = _KEYPOINTS.pack(
                PacketType.KEYPOINTS, packet.face_lost, packet.sequence, packet.capture_ms, packet.pivot_id
            )
            return head + _pack_keypoints(packet.keypoints)
        case PivotSlice():
            head = _SLICE.pack(PacketType.PIVOT_SLICE, packet.index, packet.count, packet.pivot_id, packet.length)
            return head + packet.data
        case VoicePacket():
            return _VOICE.pack(PacketType.VOICE, packet.talk_start, packet.sequence, packet.capture_ms) + packet.opus
        case PivotAck():
            bits = sum(1 << index for index in packet.received)
            words = max(1, math.ceil(bits.bit_length() / 32))
            return _ACK.pack(PacketType.PIVOT_ACK, packet.pivot_id) + bits.to_bytes(4 * words, "little")
        case Bundle():
            return pack_bundle(packet)


def parse(data: bytes) -> Packet:
    """One media packet.

    Raises:
        ProtocolError: unknown type, wrong length, or numbers that make no sense.
    """
    if not data or len(data) > MTU_BYTES:
        raise ProtocolError(f"a media packet of {len(data)} bytes")
    if data[0] >= PacketType.BUNDLE:
        bundle = parse_bundle(data)
        attached(bundle)
        return bundle
    match data[0]:
        case PacketType.KEYPOINTS:
            return _parse_keypoint_packet(data)
        case PacketType.PIVOT_SLICE:
            return _parse_slice(data)
        case PacketType.VOICE:
            return _parse_voice(data)
        case PacketType.PIVOT_ACK:
            return _parse_ack(data)
        case unknown:
            raise ProtocolError(f"a media packet of unknown type {unknown}")


def attached(bundle: Bundle) -> list[Packet]:
    """The packets that ride in a bundle.

    Raises:
        ProtocolError: one of them is malformed, or of a kind that does not ride.
    """
    if any(part[0] not in ATTACHABLE for part in bundle.attached):
        raise ProtocolError("a bundle with a packet attached that must not be")
    return [parse(part) for part in bundle.attached]


def _parse_keypoint_packet(data: bytes) -> KeypointPacket:
    if len(data) != _KEYPOINTS.size + _KEYPOINT_BYTES:
        raise ProtocolError(f"a keypoint packet of {len(data)} bytes")
    _, flags, sequence, capture_ms, pivot_id = _KEYPOINTS.unpack_from(data)
    _check_flags(flags)
    return KeypointPacket(sequence, capture_ms, pivot_id, _parse_keypoints(data[_KEYPOINTS.size :]), bool(flags))


def _parse_slice(data: bytes) -> PivotSlice:
    if len(data) <= _SLICE.size:
        raise ProtocolError(f"a pivot slice of {len(data)} bytes")
    _, index, count, pivot_id, length = _SLICE.unpack_from(data)
    body = data[_SLICE.size :]
    if not 1 <= length <= MAX_PIVOT_BYTES or count != math.ceil(length / SLICE_DATA_BYTES) or index >= count:
        raise ProtocolError(f"pivot slice {index} of {count} for {length} bytes")
    if len(body) != min(SLICE_DATA_BYTES, length - index * SLICE_DATA_BYTES):
        raise ProtocolError(f"a pivot slice with {len(body)} bytes of data")
    return PivotSlice(pivot_id, index, count, length, body)


def _parse_voice(data: bytes) -> VoicePacket:
    if len(data) <= _VOICE.size:
        raise ProtocolError(f"a voice packet of {len(data)} bytes")
    _, flags, sequence, capture_ms = _VOICE.unpack_from(data)
    _check_flags(flags)
    return VoicePacket(sequence, capture_ms, data[_VOICE.size :], bool(flags))


def _parse_ack(data: bytes) -> PivotAck:
    words, rest = divmod(len(data) - _ACK.size, 4)
    if rest or not 1 <= words <= 8:
        raise ProtocolError(f"a pivot acknowledgement of {len(data)} bytes")
    _, pivot_id = _ACK.unpack_from(data)
    bits = int.from_bytes(data[_ACK.size :], "little")
    return PivotAck(pivot_id, frozenset(index for index in range(MAX_SLICES) if bits >> index & 1))


def slice_pivot(pivot_id: int, body: PivotBody) -> list[PivotSlice]:
    """Cuts a pivot into slices below the MTU.

    Raises:
        ValueError: a picture too large to be sent at all.
    """
    head = _PIVOT.pack(body.codec, body.width, body.height, body.capture_ms)
    data = head + _pack_keypoints(body.keypoints) + body.picture
    count = math.ceil(len(data) / SLICE_DATA_BYTES)
    if count > MAX_SLICES:
        raise ValueError(f"a pivot of {len(data)} bytes exceeds {MAX_PIVOT_BYTES}")
    parts = (data[i * SLICE_DATA_BYTES : (i + 1) * SLICE_DATA_BYTES] for i in range(count))
    return [PivotSlice(pivot_id, index, count, len(data), part) for index, part in enumerate(parts)]


def missing(slices: Collection[PivotSlice], ack: PivotAck) -> list[PivotSlice]:
    """The slices of a pivot that an acknowledgement does not list."""
    return [part for part in slices if part.index not in ack.received]


def parse_pivot(body: bytes) -> PivotBody:
    """The reassembled body of a pivot.

    Raises:
        ProtocolError: truncated, unknown codec, absurd size.
    """
    if len(body) <= _PIVOT.size + _KEYPOINT_BYTES:
        raise ProtocolError(f"a pivot of {len(body)} bytes")
    codec, width, height, capture_ms = _PIVOT.unpack_from(body)
    if codec not in tuple(PivotCodec):
        raise ProtocolError(f"a pivot with unknown codec {codec}")
    if not (16 <= width <= MAX_PIVOT_SIDE and 16 <= height <= MAX_PIVOT_SIDE):
        raise ProtocolError(f"a pivot of {width}x{height}")
    points = _parse_keypoints(body[_PIVOT.size : _PIVOT.size + _KEYPOINT_BYTES])
    return PivotBody(PivotCodec(codec), width, height, capture_ms, points, body[_PIVOT.size + _KEYPOINT_BYTES :])


def _check_flags(flags: int) -> None:
    if flags > 1:
        raise ProtocolError(f"unknown flags {flags:#x}")


def _pack_keypoints(keypoints: Keypoints) -> bytes:
    if keypoints.shape != (COUNT, 2):
        raise ValueError(f"keypoints of shape {keypoints.shape}, not ({COUNT}, 2)")
    return keypoints.astype("<f4").tobytes()


def _parse_keypoints(data: bytes) -> Keypoints:
    points = np.frombuffer(data, dtype="<f4").reshape(COUNT, 2).astype(np.float32)
    if not np.all(np.abs(points) <= KEYPOINT_LIMIT):  # false for NaN too
        raise ProtocolError("keypoints that are not finite or far outside the picture")
    return points
