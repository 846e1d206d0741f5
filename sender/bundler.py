"""Poses and voice packets of the same span, gathered into bundles. Sans-IO."""

from __future__ import annotations

from itertools import pairwise

from avcall.common import bundle_format, keypoint_coder, wire
from avcall.common.keypoints import Keypoints
from avcall.common.wire import Bundle, KeypointPacket, Packet, VoicePacket


class Bundler:
    """What it returns is to be sent at once; what waits is due at `due_ms` at the latest."""

    def __init__(self, span_ms: float, fps: float) -> None:
        self._span_ms = span_ms
        self._full = min(bundle_format.MAX_BUNDLE_FRAMES, max(1, round(span_ms * fps / 1000)))
        self._poses: list[KeypointPacket] = []
        self._pivot: Keypoints | None = None
        self._voice: list[VoicePacket] = []
        self._poses_since_ms = self._voice_since_ms = self._last_pose_ms = float("-inf")

    @property
    def due_ms(self) -> float | None:
        """When to call `flush`; None while nothing waits."""
        if self._poses:
            return self._poses_since_ms + self._span_ms
        return self._voice_since_ms + self._span_ms if self._voice else None

    def pose(self, packet: KeypointPacket, pivot: Keypoints, now_ms: float) -> list[Packet]:
        """Takes a pose; `pivot` are the keypoints of the pivot it refers to."""
        ready = [] if self._fits(packet) else self.flush()
        if not self._poses:
            self._poses_since_ms, self._pivot = now_ms, pivot
        self._poses.append(packet)
        self._last_pose_ms = now_ms
        if len(self._poses) == self._full or packet.face_lost:
            ready += self.flush()
        return ready

    def voice(self, packet: VoicePacket, now_ms: float) -> list[Packet]:
        """Takes a voice packet. It is not kept waiting where no poses come that it could go with."""
        if not self._voice:
            self._voice_since_ms = now_ms
        self._voice.append(packet)
        alone = not self._poses and now_ms - self._last_pose_ms > self._span_ms
        return self.flush() if alone or len(self._voice) == bundle_format.MAX_BUNDLE_VOICE else []

    def flush(self) -> list[Packet]:
        """All that waits."""
        poses, voice = self._poses, tuple(self._voice)
        self._poses, self._voice = [], []
        if not poses:
            return list(voice)
        assert self._pivot is not None
        times = tuple(pose.capture_ms for pose in poses)
        coded = keypoint_coder.encode([pose.keypoints for pose in poses], self._pivot)
        bundle = Bundle(poses[0].sequence, times, poses[0].pivot_id, coded, voice, poses[-1].face_lost)
        if _may_join(voice, times[0]) and len(wire.pack(bundle)) <= wire.MTU_BYTES:
            return [bundle]
        return [Bundle(poses[0].sequence, times, poses[0].pivot_id, coded, (), poses[-1].face_lost), *voice]

    def _fits(self, packet: KeypointPacket) -> bool:
        if not self._poses:
            return True
        last = self._poses[-1]
        gap_ms = bundle_format.offset_ms(packet.capture_ms, last.capture_ms)
        return packet.pivot_id == last.pivot_id and 1 <= gap_ms <= bundle_format.MAX_FRAME_GAP_MS


def _may_join(voice: tuple[VoicePacket, ...], start_ms: int) -> bool:
    consecutive = all((a.sequence + 1) % 2**16 == b.sequence for a, b in pairwise(voice))
    return consecutive and all(
        abs(bundle_format.offset_ms(part.capture_ms, start_ms)) <= bundle_format.MAX_VOICE_OFFSET_MS for part in voice
    )
