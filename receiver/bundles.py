"""Bundles on their way in: their keypoints can be read as soon as their pivot's are known. Sans-IO."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from avcall.common import keypoint_coder
from avcall.common.errors import ProtocolError
from avcall.common.frames import Pose
from avcall.common.keypoints import Keypoints
from avcall.common.scene import STILL
from avcall.common.scene_coder import eased
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket

PATIENCE_MS = 3_000.0
"""So long a bundle waits for its pivot."""
MAX_WAITING = 32


@dataclass(frozen=True, slots=True)
class _Waiting:
    bundle: Bundle
    media_ms: Sequence[float]
    arrived_ms: float


class BundleIntake:
    """`keypoints_of` gives the keypoints of a pivot, None where it has not arrived."""

    def __init__(self, keypoints_of: Callable[[int], Keypoints | None], stats: Stats) -> None:
        self._keypoints_of = keypoints_of
        self._stats = stats
        self._reader = BundleReader()
        self._waiting: deque[_Waiting] = deque()

    def take(
        self, bundle: Bundle, media_ms: Sequence[float], now_ms: float
    ) -> tuple[list[tuple[KeypointPacket, float]], Pose | None]:
        """The bundle's frames, each with its media time, and the copy of an earlier one; none yet where its pivot is
        missing.

        Raises:
            ProtocolError: keypoints that no encoder has made.
        """
        pivot = self._keypoints_of(bundle.pivot_id)
        if pivot is not None:
            packets = self._reader.read(bundle, pivot)
            return list(zip(packets, media_ms, strict=True)), _copy(bundle, packets[0], media_ms[0])
        if len(self._waiting) == MAX_WAITING:
            self._drop()
        self._waiting.append(_Waiting(bundle, media_ms, now_ms))
        return [], None

    def release(self, now_ms: float) -> list[tuple[KeypointPacket, float]]:
        """The frames of bundles whose pivot has come since; those that waited for too long are dropped."""
        while self._waiting and now_ms - self._waiting[0].arrived_ms > PATIENCE_MS:
            self._drop()
        released: list[tuple[KeypointPacket, float]] = []
        still: deque[_Waiting] = deque()
        for entry in self._waiting:
            pivot = self._keypoints_of(entry.bundle.pivot_id)
            if pivot is None:
                still.append(entry)
                continue
            try:
                released += zip(self._reader.read(entry.bundle, pivot), entry.media_ms, strict=True)
            except ProtocolError:
                self._stats.count("packets_malformed")
        self._waiting = still
        return released

    @property
    def missing(self) -> int | None:
        """The pivot that the newest of the waiting bundles needs."""
        return self._waiting[-1].bundle.pivot_id if self._waiting else None

    def clear(self) -> None:
        """Forgets what waits: the sender's clock jumped."""
        self._waiting.clear()

    def _drop(self) -> None:
        self._waiting.popleft()
        self._stats.count("bundles_dropped")


def _copy(bundle: Bundle, first: KeypointPacket, first_ms: float) -> Pose | None:
    copy = bundle.copy
    if copy is None:
        return None
    points = keypoint_coder.decode_copy(copy.coded, first.keypoints)
    return Pose(first_ms - copy.back_ms, bundle.pivot_id, points, scene=first.scene)


class BundleReader:
    """Reads the bundles of one sender. Each can be read by itself; after the one before, its flow comes gradually."""

    def __init__(self) -> None:
        self._last: KeypointPacket | None = None

    def read(self, bundle: Bundle, pivot: Keypoints) -> list[KeypointPacket]:
        """The frames of a bundle as if each had come alone.

        Raises:
            ProtocolError: keypoints that no encoder has made.
        """
        points, scenes = keypoint_coder.decode(bundle.coded, len(bundle.capture_ms), pivot)
        before = self._last
        if before is not None and before.pivot_id == bundle.pivot_id and _next(before.sequence) == bundle.sequence:
            scenes = eased(scenes, before.scene)
        elif np.array_equal(points[0], keypoint_coder.quantise(pivot)):  # the pivot's own frame
            scenes = eased(scenes, STILL)
        last = len(points) - 1
        packets = [
            KeypointPacket(
                (bundle.sequence + index) % 2**16,
                bundle.capture_ms[index],
                bundle.pivot_id,
                keypoints,
                face_lost=bundle.face_lost and index == last,
                scene=scene,
            )
            for index, (keypoints, scene) in enumerate(zip(points, scenes, strict=True))
        ]
        self._last = packets[-1]
        return packets


def _next(sequence: int) -> int:
    return (sequence + 1) % 2**16
