"""The packets that carry pivots in `avcall.common.wire`: slices, parity slices, acknowledgements; and their body.

docs/wire.md describes them, with test vectors.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from avcall.common import erasure_code
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT, Keypoints

SLICE_TYPE, ACK_TYPE = 2, 4
SLICE_DATA_BYTES = 1090
MAX_SLICES = 239
MAX_PARITY = 16
"""Parity slices of one pivot; with them indices still fit a byte."""
MAX_PIVOT_BYTES = MAX_SLICES * SLICE_DATA_BYTES
MIN_PIVOT_SIDE, MAX_PIVOT_SIDE = 16, 1024
CHAINS = 256
"""Chain ids count modulo this."""
KEYPOINT_LIMIT = 4.0
"""A pivot's keypoints may leave the picture, but not by more than this."""
_STEPS = 8192
"""A pivot's keypoints travel in steps of 1/8192: 0.016 pixels at 256."""

_SLICE = struct.Struct("<BBBxHI")
SLICE_HEAD_BYTES = _SLICE.size
_ACK = struct.Struct("<BxH")
_PIVOT = struct.Struct("<BBHHHI")
_KEYPOINT_BYTES = COUNT * 2 * 2


class PivotCodec(IntEnum):
    """How a pivot's picture is coded."""

    AVIF = 1
    WEBP = 2
    AV1_CHAIN = 3
    """Against the link before it: see `avcall.models.pivot_video`."""


@dataclass(frozen=True, slots=True)
class PivotSlice:
    pivot_id: int
    index: int
    """From `count` on: parity (`avcall.common.erasure_code`), as long as slice 0."""
    count: int
    """Of the slices that hold the body itself."""
    length: int
    """Bytes of the whole body, which is cut evenly: each slice but the last holds `part_bytes` of it."""
    data: bytes


@dataclass(frozen=True, slots=True)
class PivotAck:
    pivot_id: int
    received: frozenset[int]
    """Indices of the slices that have arrived, parity too: as many as hold the body are enough."""


@dataclass(frozen=True, slots=True)
class PivotBody:
    codec: PivotCodec
    width: int
    height: int
    capture_ms: int
    keypoints: Keypoints
    """In steps that `rounded` leaves as they are."""
    picture: bytes
    chain: int = 0
    link: int = 0
    """Place in the chain: 0 stands alone, n needs link n - 1. Only AV1_CHAIN has other than 0."""


def rounded(keypoints: Keypoints) -> Keypoints:
    """A pivot's keypoints as they travel: both ends reckon from these."""
    steps = np.rint(np.clip(keypoints.astype(np.float64), -KEYPOINT_LIMIT, KEYPOINT_LIMIT - 1 / _STEPS) * _STEPS)
    return np.asarray(steps / _STEPS, dtype=np.float32)


def part_bytes(length: int, count: int) -> int:
    """Bytes in each slice of a body but the last, and in its parity slices."""
    return math.ceil(length / count)


def slice_pivot(pivot_id: int, body: PivotBody, most: int = SLICE_DATA_BYTES) -> list[PivotSlice]:
    """Cuts a pivot evenly into slices of at most `most` bytes (of more, where these would be too many), without parity.

    Raises:
        ValueError: a picture too large to be sent at all.
    """
    data = pack_body(body)
    size = max(min(most, SLICE_DATA_BYTES), math.ceil(len(data) / MAX_SLICES))
    count = math.ceil(len(data) / size)
    size = part_bytes(len(data), count)
    count = math.ceil(len(data) / size)
    if size > SLICE_DATA_BYTES:
        raise ValueError(f"a pivot of {len(data)} bytes exceeds {MAX_PIVOT_BYTES}")
    parts = (data[i * size : (i + 1) * size] for i in range(count))
    return [PivotSlice(pivot_id, index, count, len(data), part) for index, part in enumerate(parts)]


def parity_slices(slices: list[PivotSlice], number: int) -> list[PivotSlice]:
    """The first `number` parity slices of a pivot, at most MAX_PARITY: any `count` of all slices give the body."""
    head = slices[0]
    parts = [part.data.ljust(len(head.data), b"\0") for part in slices]
    return [
        PivotSlice(head.pivot_id, head.count + row, head.count, head.length, erasure_code.parity(parts, row))
        for row in range(min(number, MAX_PARITY))
    ]


def join_slices(parts: dict[int, bytes], length: int, count: int) -> bytes | None:
    """The body from the data of its slices by index; None where there are too few of them."""
    size = part_bytes(length, count)
    if len(parts) < count:
        return None
    padded = {index: data.ljust(size, b"\0") for index, data in parts.items()}
    return b"".join(erasure_code.recover(padded, count))[:length]


def pack_slice(part: PivotSlice) -> bytes:
    """Bytes of a slice."""
    return _SLICE.pack(SLICE_TYPE, part.index, part.count, part.pivot_id, part.length) + part.data


def parse_slice(data: bytes) -> PivotSlice:
    """One slice, its type included.

    Raises:
        ProtocolError: see `avcall.common.wire.parse`.
    """
    if len(data) <= _SLICE.size:
        raise ProtocolError(f"a pivot slice of {len(data)} bytes")
    _, index, count, pivot_id, length = _SLICE.unpack_from(data)
    body = data[_SLICE.size :]
    if not 1 <= count <= MAX_SLICES or not 1 <= length <= MAX_PIVOT_BYTES or index >= count + MAX_PARITY:
        raise ProtocolError(f"pivot slice {index} of {count} for {length} bytes")
    size = part_bytes(length, count)
    if size > SLICE_DATA_BYTES or (count - 1) * size >= length:
        raise ProtocolError(f"{count} pivot slices for {length} bytes")
    if len(body) != (length - index * size if index == count - 1 else size):
        raise ProtocolError(f"a pivot slice with {len(body)} bytes of data")
    return PivotSlice(pivot_id, index, count, length, body)


def pack_ack(ack: PivotAck) -> bytes:
    """Bytes of an acknowledgement."""
    bits = sum(1 << index for index in ack.received)
    words = max(1, math.ceil(bits.bit_length() / 32))
    return _ACK.pack(ACK_TYPE, ack.pivot_id) + bits.to_bytes(4 * words, "little")


def parse_ack(data: bytes) -> PivotAck:
    """One acknowledgement, its type included.

    Raises:
        ProtocolError: see `avcall.common.wire.parse`.
    """
    words, rest = divmod(len(data) - _ACK.size, 4)
    if rest or not 1 <= words <= 8:
        raise ProtocolError(f"a pivot acknowledgement of {len(data)} bytes")
    _, pivot_id = _ACK.unpack_from(data)
    bits = int.from_bytes(data[_ACK.size :], "little")
    received = frozenset(index for index in range(MAX_SLICES + MAX_PARITY) if bits >> index & 1)
    return PivotAck(pivot_id, received)


def pack_body(body: PivotBody) -> bytes:
    """Bytes of a pivot's body, before slicing."""
    if body.keypoints.shape != (COUNT, 2):
        raise ValueError(f"keypoints of shape {body.keypoints.shape}, not ({COUNT}, 2)")
    head = _PIVOT.pack(body.codec, body.chain, body.link, body.width, body.height, body.capture_ms)
    steps: bytes = np.rint(rounded(body.keypoints).astype(np.float64) * _STEPS).astype("<i2").tobytes()
    return head + steps + body.picture


def parse_pivot(body: bytes) -> PivotBody:
    """The reassembled body of a pivot.

    Raises:
        ProtocolError: truncated, unknown codec, absurd size, a place in a chain where there is none.
    """
    start = _PIVOT.size + _KEYPOINT_BYTES
    if len(body) <= start:
        raise ProtocolError(f"a pivot of {len(body)} bytes")
    codec, chain, link, width, height, capture_ms = _PIVOT.unpack_from(body)
    if codec not in tuple(PivotCodec):
        raise ProtocolError(f"a pivot with unknown codec {codec}")
    if codec != PivotCodec.AV1_CHAIN and (chain or link):
        raise ProtocolError(f"a pivot of codec {codec} in a chain")
    if not all(MIN_PIVOT_SIDE <= side <= MAX_PIVOT_SIDE for side in (width, height)):
        raise ProtocolError(f"a pivot of {width}x{height}")
    steps = np.frombuffer(body[_PIVOT.size : start], dtype="<i2").reshape(COUNT, 2)
    keypoints = (steps / _STEPS).astype(np.float32)
    return PivotBody(PivotCodec(codec), width, height, capture_ms, keypoints, body[start:], chain, link)
