"""The binary packets of the media channel, and nothing else. docs/wire.md describes them with test vectors.

Every packet starts with one type byte. All numbers are little endian. Capture times are the sender's monotonic
milliseconds modulo 2**32; sequence numbers count modulo 2**16 and are compared as in RFC 1982 (`newer`).

    keypoints    type=1 flags sequence:u16 capture_ms:u32 pivot_id:u16 keypoints: 10 x 2 float32 (80 bytes)
    pivot slice  type=2 index count _ pivot_id:u16 length:u32 data or parity
    voice        type=3 flags sequence:u16 capture_ms:u32 opus packet
    pivot ack    type=4 _ pivot_id:u16 received: u32 words, one bit a slice
    report       type=9 stamp:u16 arrived_ms:u16 held:u8 received:u16 received_bytes:u16 earlier packets
    bundle       type=0x80+flags counts sequence:u16 capture_ms:u32 pivot_id:u16 times voice copy attached keypoints

`avcall.common.pivot_format` has what slices and acknowledgements are about.
Everything malformed raises ProtocolError; numbers that are not finite, or far out of range, are malformed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from avcall.common import bundle_format, pivot_format, report_format
from avcall.common.bundle_format import Bundle as Bundle
from avcall.common.bundle_format import CoarseCopy as CoarseCopy
from avcall.common.bundle_format import VoicePacket as VoicePacket
from avcall.common.bundle_format import pack_bundle, parse_bundle
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.pivot_format import KEYPOINT_LIMIT as KEYPOINT_LIMIT
from avcall.common.pivot_format import MAX_PIVOT_SIDE as MAX_PIVOT_SIDE
from avcall.common.pivot_format import MAX_SLICES as MAX_SLICES
from avcall.common.pivot_format import SLICE_DATA_BYTES as SLICE_DATA_BYTES
from avcall.common.pivot_format import PivotAck as PivotAck
from avcall.common.pivot_format import PivotBody as PivotBody
from avcall.common.pivot_format import PivotCodec as PivotCodec
from avcall.common.pivot_format import PivotSlice as PivotSlice
from avcall.common.pivot_format import pack_ack, pack_slice, parse_ack, parse_slice
from avcall.common.pivot_format import parse_pivot as parse_pivot
from avcall.common.pivot_format import slice_pivot as slice_pivot
from avcall.common.report_format import Report as Report
from avcall.common.report_format import pack_report, parse_report
from avcall.common.scene import STILL, SceneMotion

VERSION = 6
MTU_BYTES = 1100
"""Largest media packet: with SCTP, DTLS, UDP and IP around it, it stays below 1,200 bytes (RFC 8831 section 5)."""

_KEYPOINTS = struct.Struct("<BBHIH")
_KEYPOINT_BYTES = COUNT * 2 * 4
_VOICE = struct.Struct("<BBHI")


class PacketType(IntEnum):
    KEYPOINTS = 1
    PIVOT_SLICE = pivot_format.SLICE_TYPE
    VOICE = 3
    PIVOT_ACK = pivot_format.ACK_TYPE
    REPORT = report_format.TYPE
    BUNDLE = bundle_format.TYPE


ATTACHABLE = frozenset({PacketType.PIVOT_ACK, PacketType.REPORT, PacketType.PIVOT_SLICE})
"""What a bundle may carry besides frames and voice."""


@dataclass(frozen=True, slots=True)
class KeypointPacket:
    sequence: int
    capture_ms: int
    pivot_id: int
    keypoints: Keypoints
    face_lost: bool = False
    scene: SceneMotion = STILL
    """Travels in bundles only."""


Packet: TypeAlias = KeypointPacket | PivotSlice | VoicePacket | PivotAck | Report | Bundle


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
            return pack_slice(packet)
        case VoicePacket():
            return _VOICE.pack(PacketType.VOICE, packet.talk_start, packet.sequence, packet.capture_ms) + packet.opus
        case PivotAck():
            return pack_ack(packet)
        case Report():
            return pack_report(packet)
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
            return parse_slice(data)
        case PacketType.VOICE:
            return _parse_voice(data)
        case PacketType.PIVOT_ACK:
            return parse_ack(data)
        case PacketType.REPORT:
            return parse_report(data)
        case unknown:
            raise ProtocolError(f"a media packet of unknown type {unknown}")


def stamp(packet: Packet) -> int | None:
    """What a receiver report calls this packet: the capture time of its last frame or of its voice, modulo 2**16. None
    for packets that reports are not about."""
    match packet:
        case Bundle():
            return packet.capture_ms[-1] % report_format.STAMP_MODULUS
        case KeypointPacket() | VoicePacket():
            return packet.capture_ms % report_format.STAMP_MODULUS
        case _:
            return None


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


def _parse_voice(data: bytes) -> VoicePacket:
    if len(data) <= _VOICE.size:
        raise ProtocolError(f"a voice packet of {len(data)} bytes")
    _, flags, sequence, capture_ms = _VOICE.unpack_from(data)
    _check_flags(flags)
    return VoicePacket(sequence, capture_ms, data[_VOICE.size :], bool(flags))


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
