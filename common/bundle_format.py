"""The bundle of `avcall.common.wire`: frames of one pivot and the voice of about the same time in one packet.

docs/wire.md describes it, with a test vector. The coded keypoints inside are `avcall.common.keypoint_coder`'s.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate, pairwise

from avcall.common.errors import ProtocolError

TYPE = 5
MAX_BUNDLE_FRAMES = 10
MAX_BUNDLE_VOICE = 8
MAX_FRAME_GAP_MS = 255
"""Between two frames of a bundle."""
MAX_VOICE_OFFSET_MS = 32_000
"""Between a bundle's first frame and each of its voice packets."""
_TALK_START = 0x8000

_BUNDLE = struct.Struct("<BBHIHB")
_BUNDLE_VOICE = struct.Struct("<Hh")
_SEQUENCE = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class VoicePacket:
    sequence: int
    capture_ms: int
    opus: bytes
    talk_start: bool = False
    """First packet after silence that was not sent (DTX): the gap before it is no loss."""


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
    """Consecutive, at most MAX_BUNDLE_VOICE."""
    face_lost: bool = False
    """The last frame is a held pose: the sender sees no face."""

    @property
    def voice_bytes(self) -> int:
        """What the voice takes of the packed bundle."""
        return sum(_BUNDLE_VOICE.size + len(part.opus) for part in self.voice) + _SEQUENCE.size * bool(self.voice)


def offset_ms(capture_ms: int, since_ms: int) -> int:
    """The time between two capture times modulo 2**32, negative where the first is the earlier one."""
    return (capture_ms - since_ms + 2**31) % 2**32 - 2**31


def pack_bundle(bundle: Bundle) -> bytes:
    """Bytes of a bundle."""
    times, voice = bundle.capture_ms, bundle.voice
    counts = len(times) | len(voice) << 4
    parts = [
        _BUNDLE.pack(TYPE, bundle.face_lost, bundle.sequence, times[0], bundle.pivot_id, counts),
        bytes(offset_ms(after, before) for before, after in pairwise(times)),
    ]
    if voice:
        parts.append(_SEQUENCE.pack(voice[0].sequence))
        for part in voice:
            size = len(part.opus) | _TALK_START * part.talk_start
            parts.append(_BUNDLE_VOICE.pack(size, offset_ms(part.capture_ms, times[0])))
    return b"".join([*parts, *(part.opus for part in voice), bundle.coded])


def parse_bundle(data: bytes) -> Bundle:
    """One bundle, its type included.

    Raises:
        ProtocolError: truncated, or numbers that make no sense.
    """
    if len(data) < _BUNDLE.size:
        raise ProtocolError(f"a bundle of {len(data)} bytes")
    _, flags, sequence, start_ms, pivot_id, counts = _BUNDLE.unpack_from(data)
    frames, voices = counts & 15, counts >> 4
    if flags > 1:
        raise ProtocolError(f"unknown flags {flags:#x}")
    if not 1 <= frames <= MAX_BUNDLE_FRAMES or voices > MAX_BUNDLE_VOICE:
        raise ProtocolError(f"a bundle of {frames} frames and {voices} voice packets")
    body = memoryview(data)[_BUNDLE.size :]
    gaps, body = body[: frames - 1], body[frames - 1 :]
    if len(gaps) < frames - 1 or 0 in gaps:
        raise ProtocolError("a bundle without the times of its frames")
    voice, coded = _parse_bundle_voice(body, voices, start_ms)
    times = tuple((start_ms + past_ms) % 2**32 for past_ms in accumulate(gaps, initial=0))
    return Bundle(sequence, times, pivot_id, coded, voice, bool(flags))


def _parse_bundle_voice(body: memoryview, count: int, start_ms: int) -> tuple[tuple[VoicePacket, ...], bytes]:
    if count == 0:
        return (), bytes(body)
    head = _SEQUENCE.size + count * _BUNDLE_VOICE.size
    if len(body) < head:
        raise ProtocolError("a bundle without the table of its voice packets")
    (sequence,) = _SEQUENCE.unpack_from(body)
    table, body = body[_SEQUENCE.size : head], body[head:]
    voice: list[VoicePacket] = []
    for size, past_ms in _BUNDLE_VOICE.iter_unpack(table):
        length = size & ~_TALK_START
        if not 1 <= length <= len(body) or abs(past_ms) > MAX_VOICE_OFFSET_MS:
            raise ProtocolError(f"a bundle with {length} bytes of voice")
        times = (sequence + len(voice)) % 2**16, (start_ms + past_ms) % 2**32
        voice.append(VoicePacket(*times, bytes(body[:length]), bool(size & _TALK_START)))
        body = body[length:]
    return tuple(voice), bytes(body)
