"""The bundle of `avcall.common.wire`: frames of one pivot, the voice of about their time, and small packets with them.

docs/wire.md describes it, with a test vector. The coded keypoints inside are `avcall.common.keypoint_coder`'s.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from itertools import accumulate, pairwise

from avcall.common.errors import ProtocolError

TYPE = 0x80
"""A first byte from here on is a bundle; its other bits are flags."""
MAX_BUNDLE_FRAMES = 10
MAX_BUNDLE_VOICE = 8
MAX_ATTACHED = 4
MAX_ATTACHED_BYTES = 1000
"""Of each attached packet."""
MAX_FRAME_GAP_MS = 255
"""Between two frames of a bundle, and between its first frame and the coarse copy of an earlier one."""
MAX_VOICE_GAP_MS = 255
MAX_VOICE_OFFSET_MS = 32_000
"""Between a bundle's first frame and its first voice packet."""
_TWO_BYTES = 252
"""Lengths from here on take two bytes, as in RFC 6716 section 3.2.1."""

_HEAD = struct.Struct("<BBHIH")
_VOICE = struct.Struct("<Hh")


class _Flag(IntFlag):
    FACE_LOST = 1
    TALK_START = 2
    UNEVEN = 4
    COPY = 8
    ATTACHED = 16


@dataclass(frozen=True, slots=True)
class VoicePacket:
    sequence: int
    capture_ms: int
    opus: bytes
    talk_start: bool = False
    """First packet after silence that was not sent (DTX): the gap before it is no loss."""


@dataclass(frozen=True, slots=True)
class CoarseCopy:
    """An earlier frame of the same pivot once more, in case it was lost."""

    back_ms: int
    """Before the bundle's first frame, 1 to MAX_FRAME_GAP_MS."""
    coded: bytes
    """See `keypoint_coder.encode_copy`."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Consecutive frames that refer to one pivot, and the voice of about the same time."""

    sequence: int
    """Of the first frame."""
    capture_ms: tuple[int, ...]
    """Of each frame, 1 to MAX_BUNDLE_FRAMES of them."""
    pivot_id: int
    coded: bytes
    """See `avcall.common.keypoint_coder`; possibly empty: nothing moves."""
    voice: tuple[VoicePacket, ...] = ()
    """Consecutive, evenly spaced, at most MAX_BUNDLE_VOICE; only the first may begin a stretch of speech."""
    face_lost: bool = False
    """The last frame is a held pose: the sender sees no face."""
    copy: CoarseCopy | None = None
    attached: tuple[bytes, ...] = ()
    """Packed media packets that ride along, at most MAX_ATTACHED; `wire.parse` holds them to its own rules."""

    @property
    def voice_bytes(self) -> int:
        """What the voice takes of the packed bundle."""
        if not self.voice:
            return 0
        return (
            _VOICE.size + (len(self.voice) > 1) + sum(_length_bytes(part.opus) + len(part.opus) for part in self.voice)
        )

    @property
    def attached_bytes(self) -> int:
        """What the attached packets take of the packed bundle."""
        return bool(self.attached) + sum(_length_bytes(part) + len(part) for part in self.attached)


def offset_ms(capture_ms: int, since_ms: int) -> int:
    """The time between two capture times modulo 2**32, negative where the first is the earlier one."""
    return (capture_ms - since_ms + 2**31) % 2**32 - 2**31


def continues(packet: VoicePacket, voice: tuple[VoicePacket, ...]) -> bool:
    """Whether a bundle with this voice can take this packet after it."""
    if not voice:
        return True
    gap_ms = offset_ms(packet.capture_ms, voice[-1].capture_ms)
    even = len(voice) == 1 or gap_ms == offset_ms(voice[1].capture_ms, voice[0].capture_ms)
    consecutive = packet.sequence == (voice[-1].sequence + 1) % 2**16 and not packet.talk_start
    return even and consecutive and 1 <= gap_ms <= MAX_VOICE_GAP_MS and len(voice) < MAX_BUNDLE_VOICE


def pack_bundle(bundle: Bundle) -> bytes:
    """Bytes of a bundle."""
    times, voice, copy = bundle.capture_ms, bundle.voice, bundle.copy
    gaps = bytes(offset_ms(after, before) for before, after in pairwise(times))
    uneven = len(set(gaps)) > 1
    flags = (
        _Flag.FACE_LOST * bundle.face_lost
        | _Flag.TALK_START * (bool(voice) and voice[0].talk_start)
        | _Flag.UNEVEN * uneven
        | _Flag.COPY * (copy is not None)
        | _Flag.ATTACHED * bool(bundle.attached)
    )
    head = _HEAD.pack(TYPE | flags, len(times) | len(voice) << 4, bundle.sequence, times[0], bundle.pivot_id)
    parts = [head, gaps if uneven else gaps[:1]]
    if voice:
        parts.append(_VOICE.pack(voice[0].sequence, offset_ms(voice[0].capture_ms, times[0])))
        if len(voice) > 1:
            parts.append(bytes([offset_ms(voice[1].capture_ms, voice[0].capture_ms)]))
        for part in voice:
            parts += [_pack_length(len(part.opus)), part.opus]
    if copy is not None:
        parts += [bytes([copy.back_ms, len(copy.coded)]), copy.coded]
    if bundle.attached:
        parts.append(bytes([len(bundle.attached)]))
        for packet in bundle.attached:
            parts += [_pack_length(len(packet)), packet]
    return b"".join([*parts, bundle.coded])


def parse_bundle(data: bytes) -> Bundle:
    """One bundle, its type included.

    Raises:
        ProtocolError: truncated, or numbers that make no sense.
    """
    if len(data) < _HEAD.size:
        raise ProtocolError(f"a bundle of {len(data)} bytes")
    first, counts, sequence, start_ms, pivot_id = _HEAD.unpack_from(data)
    bits, frames, voices = first & ~TYPE, counts & 15, counts >> 4
    if bits >= 2 * _Flag.ATTACHED:
        raise ProtocolError(f"a bundle with unknown flags {bits:#x}")
    flags = _Flag(bits)
    if not 1 <= frames <= MAX_BUNDLE_FRAMES or voices > MAX_BUNDLE_VOICE:
        raise ProtocolError(f"a bundle of {frames} frames and {voices} voice packets")
    rest = _Reader(data, _HEAD.size)
    uneven = _Flag.UNEVEN in flags
    gaps = rest.take(frames - 1 if uneven else min(1, frames - 1))
    gaps *= 1 if uneven else frames - 1
    if 0 in gaps:
        raise ProtocolError("a bundle whose frames are of one time")
    voice = _parse_voice(rest, voices, start_ms, _Flag.TALK_START in flags)
    copy = _parse_copy(rest) if _Flag.COPY in flags else None
    attached = _parse_attached(rest) if _Flag.ATTACHED in flags else ()
    times = tuple((start_ms + past_ms) % 2**32 for past_ms in accumulate(gaps, initial=0))
    return Bundle(sequence, times, pivot_id, rest.all(), voice, _Flag.FACE_LOST in flags, copy, attached)


def _parse_voice(rest: _Reader, count: int, start_ms: int, talk_start: bool) -> tuple[VoicePacket, ...]:
    if count == 0:
        if talk_start:
            raise ProtocolError("a bundle whose speech begins without voice")
        return ()
    sequence, past_ms = _VOICE.unpack(rest.take(_VOICE.size))
    gap_ms = rest.byte() if count > 1 else 1
    if gap_ms == 0 or abs(past_ms) > MAX_VOICE_OFFSET_MS:
        raise ProtocolError(f"a bundle with voice {past_ms} ms from its frames, every {gap_ms} ms")
    voice = []
    for number in range(count):
        length = rest.length()
        if length == 0:
            raise ProtocolError("a bundle with an empty voice packet")
        times = (sequence + number) % 2**16, (start_ms + past_ms + number * gap_ms) % 2**32
        voice.append(VoicePacket(*times, rest.take(length), talk_start and number == 0))
    return tuple(voice)


def _parse_copy(rest: _Reader) -> CoarseCopy:
    back_ms, length = rest.byte(), rest.byte()
    if back_ms == 0:
        raise ProtocolError("a bundle with a copy of its own first frame")
    return CoarseCopy(back_ms, rest.take(length))


def _parse_attached(rest: _Reader) -> tuple[bytes, ...]:
    count = rest.byte()
    if not 1 <= count <= MAX_ATTACHED:
        raise ProtocolError(f"a bundle with {count} attached packets")
    attached = tuple(rest.take(rest.length()) for _ in range(count))
    if not all(attached):
        raise ProtocolError("a bundle with an empty packet attached")
    return attached


class _Reader:
    """Bytes taken from the front."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise ProtocolError(f"a bundle of {len(self._data)} bytes that ends early")
        self._at += count
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def length(self) -> int:
        low = self.byte()
        return low if low < _TWO_BYTES else low + 4 * self.byte()

    def all(self) -> bytes:
        return self.take(len(self._data) - self._at)


def _pack_length(length: int) -> bytes:
    if length < _TWO_BYTES:
        return bytes([length])
    low = _TWO_BYTES + length % 4
    return bytes([low, (length - low) // 4])


def _length_bytes(data: bytes) -> int:
    return 1 if len(data) < _TWO_BYTES else 2
