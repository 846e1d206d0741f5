"""Poses and voice packets of the same span, gathered into bundles, and small packets that ride along. Sans-IO."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from avcall.common import bundle_format, keypoint_coder, wire
from avcall.common.bundle_format import CoarseCopy, offset_ms
from avcall.common.keypoints import Keypoints
from avcall.common.scene_coder import SceneTeller
from avcall.common.wire import Bundle, KeypointPacket, Packet, VoicePacket

SPANS_MS = (40.0, 200.0)
UNEVEN_MS = 2
"""Capture times this close to even ones are sent as even ones: one byte for all of them."""
_LATE_VOICE_MS = 25.0
"""A bundle that is due, or full, waits so much longer for voice that is being coded."""


class Bundler:
    """What it returns is to be sent at once; what waits is due at `due_ms` at the latest.

    While somebody speaks the voice sets the pace: a bundle leaves when its span of voice is complete, so that neither
    the voice nor the poses wait for longer than a span; else it leaves when it has its number of frames. Voice that
    was late, and missed its bundle, leaves with the next pose: one wait of a span too many in thirty, and the play-out
    delay is a span longer for all.
    """

    def __init__(self, span_ms: float, fps: float) -> None:
        self.fps = fps
        """Poses a second; may be changed at any time."""
        self._span_ms = span_ms
        self._poses: list[KeypointPacket] = []
        self._pivot: Keypoints | None = None
        self._teller = SceneTeller()
        self._voice: tuple[VoicePacket, ...] = ()
        self._voice_complete = False
        """What waits of it is a span."""
        self._attached: list[bytes] = []
        self._hurry = False
        self._poses_since_ms = self._voice_since_ms = self._attached_since_ms = float("-inf")
        self._last_pose_ms = self._last_voice_ms = float("-inf")
        self._before: tuple[Sequence[KeypointPacket], int] | None = None
        self.keypoint_bits = 0.0
        """What keypoints have taken of the bundles so far: without the scene's motion, heads and copies."""
        self.copies = False
        """Whether each bundle carries a coarse copy of a frame of the one before."""

    @property
    def span_ms(self) -> float:
        """What one bundle covers, within SPANS_MS."""
        return self._span_ms

    @span_ms.setter
    def span_ms(self, value: float) -> None:
        self._span_ms = min(max(value, SPANS_MS[0]), SPANS_MS[1])

    @property
    def has_poses(self) -> bool:
        """Some poses wait."""
        return bool(self._poses)

    @property
    def closing(self) -> bool:
        """The next pose is the last of its bundle, or may be."""
        return len(self._poses) + 1 >= self._span_poses or self._voice_complete

    @property
    def _span_poses(self) -> int:
        return max(1, math.floor(self._span_ms * self.fps / 1000 + 0.5))

    @property
    def due_ms(self) -> float | None:
        """When to call `flush`; None while nothing waits."""
        waiting = (
            (self._poses, self._poses_since_ms),
            (self._voice, self._voice_since_ms),
            (self._attached, self._attached_since_ms),
        )
        since = [since_ms for what, since_ms in waiting if what]
        if not since:
            return None
        spoken = self._last_voice_ms >= min(since) - self._span_ms
        return min(since) + self._span_ms + _LATE_VOICE_MS * spoken

    def pose(self, packet: KeypointPacket, pivot: Keypoints, now_ms: float) -> list[Packet]:
        """Takes a pose; `pivot` are the keypoints of the pivot it refers to."""
        ready = [] if self._fits(packet) else self.flush()
        if not self._poses:
            self._poses_since_ms, self._pivot = now_ms, pivot
        self._poses.append(packet)
        self._last_pose_ms = now_ms
        spoken = now_ms - self._last_voice_ms <= self._span_ms + _LATE_VOICE_MS
        full = min(bundle_format.MAX_BUNDLE_FRAMES, self._span_poses + spoken)
        if len(self._poses) >= full or packet.face_lost or self._hurry or self._voice_complete:
            ready += self.flush()
        return ready

    def voice(self, packet: VoicePacket, duration_ms: float, now_ms: float) -> list[Packet]:
        """Takes a voice packet. It is not kept waiting where no poses come that it could go with."""
        ready = [] if bundle_format.continues(packet, self._voice) else self.flush()
        if not self._voice:
            self._voice_since_ms = now_ms
        self._voice += (packet,)
        self._last_voice_ms = now_ms
        spoken_ms = offset_ms(packet.capture_ms, self._voice[0].capture_ms) + duration_ms
        self._voice_complete = spoken_ms >= self._span_ms - duration_ms / 2
        alone = not self._poses and now_ms - self._last_pose_ms > self._span_ms
        return ready + (self.flush() if alone or (self._voice_complete and self._poses) else [])

    def attach(self, data: bytes, now_ms: float, *, hurry: bool = False) -> list[Packet]:
        """Takes a packed packet that rides in the next bundle; at once, alone, where no bundle is expected. In a hurry
        the next bundle leaves as soon as it has a pose."""
        if not self._attached:
            self._attached_since_ms = now_ms
        self._attached.append(data)
        expected = self._poses or now_ms - self._last_pose_ms <= self._span_ms
        self._hurry = self._hurry or hurry
        full = len(self._attached) >= bundle_format.MAX_ATTACHED or (self._hurry and bool(self._poses))
        return [] if expected and not full else self.flush()

    def flush(self) -> list[Packet]:
        """All that waits."""
        poses, voice, attached = self._poses, self._voice, self._attached
        self._poses, self._voice, self._attached = [], (), []
        self._voice_complete = self._hurry = False
        if not poses:
            return [*voice, *map(wire.parse, attached)]
        assert self._pivot is not None
        scenes = self._teller.code(poses[0].pivot_id, [pose.scene for pose in poses])
        coded, bits = keypoint_coder.encode_run([pose.keypoints for pose in poses], self._pivot, scenes)
        self.keypoint_bits += bits
        times = even([pose.capture_ms for pose in poses])
        bundle = Bundle(poses[0].sequence, times, poses[0].pivot_id, coded, (), poses[-1].face_lost)
        if self.copies:
            bundle = replace(bundle, copy=self._copy(poses[0]))
        self._before = poses, poses[0].pivot_id
        alone: list[Packet] = []
        if voice and abs(offset_ms(voice[0].capture_ms, times[0])) <= bundle_format.MAX_VOICE_OFFSET_MS:
            bundle = replace(bundle, voice=voice)
        else:
            alone += voice
        for data in attached:
            fuller = replace(bundle, attached=(*bundle.attached, data))
            if len(data) <= bundle_format.MAX_ATTACHED_BYTES and len(wire.pack(fuller)) <= wire.MTU_BYTES:
                bundle = fuller
            else:
                alone.append(wire.parse(data))
        if len(wire.pack(bundle)) > wire.MTU_BYTES:
            alone = [*bundle.voice, *alone]
            bundle = replace(bundle, voice=())
        return [bundle, *alone]

    def _copy(self, first: KeypointPacket) -> CoarseCopy | None:
        """Of the frame in the middle of the gap that the loss of the bundle before would leave."""
        if self._before is None or self._before[1] != first.pivot_id:
            return None
        poses = self._before[0]
        middle = poses[len(poses) // 2]
        back_ms = offset_ms(first.capture_ms, middle.capture_ms)
        if not 1 <= back_ms <= bundle_format.MAX_FRAME_GAP_MS:
            return None
        return CoarseCopy(back_ms, keypoint_coder.encode_copy(middle.keypoints, first.keypoints))

    def _fits(self, packet: KeypointPacket) -> bool:
        if not self._poses:
            return True
        last = self._poses[-1]
        gap_ms = offset_ms(packet.capture_ms, last.capture_ms)
        return packet.pivot_id == last.pivot_id and 1 <= gap_ms <= bundle_format.MAX_FRAME_GAP_MS


def even(times: Sequence[int]) -> tuple[int, ...]:
    """Capture times (modulo 2**32) with one gap between all, where that moves none by more than UNEVEN_MS."""
    if len(times) < 3:
        return tuple(times)
    gap_ms = round(offset_ms(times[-1], times[0]) / (len(times) - 1))
    moved = tuple((times[0] + number * gap_ms) % 2**32 for number in range(len(times)))
    close = all(abs(offset_ms(a, b)) <= UNEVEN_MS for a, b in zip(moved, times, strict=True))
    return moved if close else tuple(times)
