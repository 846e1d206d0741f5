"""The poses that have arrived, and the pose to show at any media time. Sans-IO.

A frame that was received is shown as it was sent where one lies close to the time asked for; between two frames, or
across a few lost ones, keypoints are interpolated (Catmull-Rom where four neighbours allow, else linear), never from
one crop to another. After the newest, motion runs out within some 40 ms and the pose is held.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from enum import Enum
from math import ceil, exp

import numpy as np

from avcall.common import wire
from avcall.common.frames import Pose
from avcall.common.keypoints import Keypoints
from avcall.common.scene import SceneMotion
from avcall.common.wire import KeypointPacket

SNAP_MS = 24.0
"""A received frame this close to the time asked for is shown as it is: half a frame at 25 a second, and a little more
so that capture jitter does not flip between two frames."""
MAX_GAP_MS = 600.0
"""Frames farther apart are not joined by interpolation: the earlier is held, the later reached within BLEND_MS."""
BLEND_MS = 120.0
FRAME_MS = 40.0
WAIT_MS = 130.0
"""Up to two lost frames at 25 a second are worth a longer play-out delay, so that they can be interpolated."""
COPY_MS = 15.0
"""A copy this close to a frame that was received says nothing new."""
EXTRAPOLATE_MS = 120.0
SAME_CROP = 0.06
"""Mean step of the keypoints, in [-1, 1] units, up to which two frames of different pivots are taken to be of one crop:
in a new crop all of them move or scale at once."""
_COAST_MS = 40.0
_KEEP_MS = 1_000.0
_MAX_POSES = 512


class PoseKind(Enum):
    """Where a pose comes from."""

    NEW = "new"
    INTERPOLATED = "interpolated"
    EXTRAPOLATED = "extrapolated"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Between:
    """Two poses that were received, of one pivot, and how far in time another lies from the first to the second."""

    before: Pose
    after: Pose
    fraction: float


@dataclass(frozen=True, slots=True)
class PoseSample:
    """The pose to show; `pose.capture_ms` is the media time it stands for."""

    pose: Pose
    kind: PoseKind
    between: Between | None = None
    """Of an interpolated pose that does not bridge too long a gap."""


class PoseBuffer:
    """Ordered by capture time, bounded, free of duplicates."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._poses: dict[float, Pose] = {}
        self._copies: set[float] = set()
        """Times of poses that are coarse copies."""
        self._sequences: set[int] = set()
        self._newest_sequence: int | None = None
        self._first_sequence = 0
        self._shown_ms = float("-inf")
        self.received = 0
        self.duplicates = 0
        self.late = 0

    def insert(self, packet: KeypointPacket, media_ms: float, wait_ms: float = WAIT_MS) -> list[float]:
        """Takes one packet; returns the media times of the frames lost or not sent just before it, which can be
        interpolated from now on (none where the gap is longer than `wait_ms`: nobody should have waited for those)."""
        sequence = packet.sequence if self._newest_sequence is None else self._unwrap(packet.sequence)
        if sequence in self._sequences or media_ms in self._poses:
            self.duplicates += 1
            return []
        if self._newest_sequence is None:
            self._newest_sequence = self._first_sequence = sequence
        bridged = self._bridged(media_ms, wait_ms)
        self._newest_sequence = max(self._newest_sequence, sequence)
        self._sequences.add(sequence)
        if len(self._sequences) > 2 * _MAX_POSES:
            self._sequences = {kept for kept in self._sequences if kept > self._newest_sequence - _MAX_POSES}
        self.received += 1
        if media_ms <= self._shown_ms:
            self.late += 1
        self._drop_copies(media_ms)
        insort(self._times, media_ms)
        self._poses[media_ms] = Pose(media_ms, packet.pivot_id, packet.keypoints, packet.face_lost, packet.scene)
        self._forget()
        return bridged

    def insert_copy(self, pose: Pose) -> bool:
        """Takes a coarse copy of a frame that may have been lost: only while there is none of about its time, and only
        until one comes. True where it was taken."""
        media_ms = pose.capture_ms
        near = bisect_left(self._times, media_ms - COPY_MS)
        if (near < len(self._times) and self._times[near] <= media_ms + COPY_MS) or media_ms <= self._shown_ms:
            return False
        insort(self._times, media_ms)
        self._poses[media_ms] = pose
        self._copies.add(media_ms)
        return True

    def _drop_copies(self, media_ms: float) -> None:
        for time_ms in [time_ms for time_ms in self._copies if abs(time_ms - media_ms) <= COPY_MS]:
            self._copies.remove(time_ms)
            self._times.remove(time_ms)
            del self._poses[time_ms]

    def _bridged(self, media_ms: float, wait_ms: float) -> list[float]:
        gap_ms = media_ms - self._times[-1] if self._times else 0.0
        steps = ceil(gap_ms / FRAME_MS - 0.25)
        if steps < 2 or gap_ms > wait_ms:
            return []
        return [media_ms - gap_ms * step / steps for step in range(1, steps)]

    def clear(self) -> None:
        """Forgets every pose: the sender's clock jumped."""
        self._times.clear()
        self._poses.clear()
        self._copies.clear()
        self._shown_ms = float("-inf")

    @property
    def lost(self) -> int:
        """Frames that never came, by their sequence numbers."""
        if self._newest_sequence is None:
            return 0
        return max(0, self._newest_sequence - self._first_sequence + 1 - self.received)

    def at(self, media_ms: float) -> PoseSample | None:
        """The pose for media time `media_ms`; None before the first. What was asked for once is not asked for again
        earlier: a clock that steps back holds the pose."""
        media_ms = max(media_ms, self._shown_ms)
        if not self._times or media_ms < self._times[0] - SNAP_MS:
            return None
        sample = self._sample(media_ms)
        if sample.pose.capture_ms <= self._shown_ms and sample.kind is not PoseKind.EXTRAPOLATED:
            return PoseSample(sample.pose, PoseKind.HELD)
        self._shown_ms = max(self._shown_ms, sample.pose.capture_ms)
        return sample

    def known(self, media_ms: float) -> bool:
        """Whether `at` would give a pose that was received, or lies between two; nothing is asked for by this."""
        if not self._times or not self._times[0] - SNAP_MS <= media_ms or media_ms <= self._shown_ms:
            return False
        sample = self._sample(media_ms)
        return sample.kind in (PoseKind.NEW, PoseKind.INTERPOLATED) and sample.pose.capture_ms > self._shown_ms

    def _sample(self, media_ms: float) -> PoseSample:
        after = bisect_right(self._times, media_ms)
        nearest = min(self._times[max(0, after - 1) : after + 1], key=lambda time: abs(time - media_ms))
        if nearest > self._shown_ms and abs(nearest - media_ms) <= SNAP_MS:
            return PoseSample(self._poses[nearest], PoseKind.NEW)
        if after == len(self._times):
            return self._beyond(media_ms)
        if after == 0:
            return PoseSample(self._poses[self._times[0]], PoseKind.HELD)
        return self._between(after, media_ms)

    def _between(self, after: int, media_ms: float) -> PoseSample:
        """`after` is the index of the first pose later than `media_ms`."""
        first, second = self._pose(after - 1), self._pose(after)
        gap_ms = second.capture_ms - first.capture_ms
        if first.face_lost or second.face_lost or not _same_crop(first, second):
            return PoseSample(first, PoseKind.HELD)
        if gap_ms > MAX_GAP_MS:
            fraction = 1.0 - (second.capture_ms - media_ms) / BLEND_MS
            if fraction <= 0.0:
                return PoseSample(first, PoseKind.HELD)
            points = first.keypoints + fraction * (second.keypoints - first.keypoints)
            scene = _scene_between(first, second, fraction)
            return PoseSample(_moved(first, media_ms, points, scene), PoseKind.INTERPOLATED)
        fraction = (media_ms - first.capture_ms) / gap_ms
        points = self._spline(after, fraction)
        if first.pivot_id != second.pivot_id:
            near = first if fraction < 0.5 else second
            return PoseSample(_moved(near, media_ms, points, near.scene), PoseKind.INTERPOLATED)
        moved = _moved(first, media_ms, points, _scene_between(first, second, fraction))
        return PoseSample(moved, PoseKind.INTERPOLATED, Between(first, second, fraction))

    def _spline(self, after: int, fraction: float) -> Keypoints:
        """Cubic Hermite between two poses. Tangents are the mean slopes over both sides (Catmull-Rom with the real
        times), zero at a turning point, so the curve never overshoots (Fritsch and Carlson, 1980)."""
        first, second = self._pose(after - 1), self._pose(after)
        span_ms = second.capture_ms - first.capture_ms
        slope = (second.keypoints - first.keypoints) / span_ms
        start = self._tangent(after - 2, first, slope)
        end = self._tangent(after + 1, second, slope)
        t = fraction
        return np.asarray(
            (2 * t**3 - 3 * t**2 + 1) * first.keypoints
            + (t**3 - 2 * t**2 + t) * span_ms * start
            + (3 * t**2 - 2 * t**3) * second.keypoints
            + (t**3 - t**2) * span_ms * end,
            dtype=np.float32,
        )

    def _tangent(self, outer: int, inner: Pose, slope: Keypoints) -> Keypoints:
        """At `inner`, from the slope towards its inner neighbour and that from its `outer` one."""
        if not 0 <= outer < len(self._times):
            return slope
        neighbour = self._pose(outer)
        span_ms = abs(inner.capture_ms - neighbour.capture_ms)
        if not _same_crop(neighbour, inner) or neighbour.face_lost or span_ms > MAX_GAP_MS:
            return slope
        direction = 1.0 if neighbour.capture_ms < inner.capture_ms else -1.0
        outside = direction * (inner.keypoints - neighbour.keypoints) / span_ms
        same_way = outside * slope > 0
        bounded = np.sign(slope) * np.minimum(np.abs(outside + slope) / 2, 3 * np.minimum(abs(outside), abs(slope)))
        return np.asarray(np.where(same_way, bounded, 0.0), dtype=np.float32)

    def _beyond(self, media_ms: float) -> PoseSample:
        """After the newest pose: the motion runs out, then stands."""
        newest = self._pose(-1)
        beyond_ms = media_ms - newest.capture_ms
        if len(self._times) < 2 or newest.face_lost:
            return PoseSample(newest, PoseKind.HELD)
        before = self._pose(-2)
        span_ms = newest.capture_ms - before.capture_ms
        if not _same_crop(before, newest) or before.face_lost or span_ms > MAX_GAP_MS:
            return PoseSample(newest, PoseKind.HELD)
        coast = min(_COAST_MS * (1.0 - exp(-beyond_ms / _COAST_MS)) / span_ms, 1.0)
        points = newest.keypoints + np.float32(coast) * (newest.keypoints - before.keypoints)
        scene = _scene_between(newest, before, -coast)
        kind = PoseKind.EXTRAPOLATED if beyond_ms <= EXTRAPOLATE_MS else PoseKind.HELD
        # Nothing new is shown, so its media time stays: a frame that comes later than asked for still replaces it.
        return PoseSample(_moved(newest, newest.capture_ms, points, scene), kind)

    def _pose(self, index: int) -> Pose:
        return self._poses[self._times[index]]

    def _unwrap(self, sequence: int) -> int:
        assert self._newest_sequence is not None
        return int(wire.unwrap(sequence, self._newest_sequence, bits=16))

    def _forget(self) -> None:
        """Drops what will not be asked for again; two poses before the one shown stay for the spline."""
        oldest = bisect_left(self._times, min(self._shown_ms, self._times[-1]) - _KEEP_MS)
        drop = max(oldest, len(self._times) - _MAX_POSES)
        for time in self._times[:drop]:
            del self._poses[time]
            self._copies.discard(time)
        del self._times[:drop]


def _same_crop(first: Pose, second: Pose) -> bool:
    """Whether keypoints may be joined: those of two pivots only where both seem to show the same crop."""
    if first.pivot_id == second.pivot_id:
        return True
    return float(np.linalg.norm(second.keypoints - first.keypoints, axis=1).mean()) <= SAME_CROP


def _scene_between(first: Pose, second: Pose, fraction: float) -> SceneMotion:
    """The first's at 0. It is reckoned from the pivot, so those of two pivots cannot be joined."""
    if first.pivot_id != second.pivot_id or first.scene == second.scene:
        return first.scene
    return first.scene.towards(second.scene, fraction)


def _moved(pose: Pose, media_ms: float, points: Keypoints, scene: SceneMotion) -> Pose:
    limited = np.clip(points, -wire.KEYPOINT_LIMIT, wire.KEYPOINT_LIMIT).astype(np.float32)
    return Pose(media_ms, pose.pivot_id, limited, pose.face_lost, scene)
