"""Bundles on their way in: their keypoints can be read as soon as their pivot's are known. Sans-IO."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from avcall.common import keypoint_coder
from avcall.common.errors import ProtocolError
from avcall.common.frames import Pose
from avcall.common.keypoints import Keypoints
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket
from avcall.receiver.run_reader import RunReader

PATIENCE_MS = 3_000.0
"""So long a bundle waits for its pivot."""
MAX_WAITING = 32
_SEQUENCES, _LATE = 2**16, 64
"""Frames' numbers, and by how many a bundle's may be behind where it is only late."""


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
    """Reads the bundles of one sender: see `RunReader`."""

    def __init__(self) -> None:
        self._runs = RunReader()
        self._sequence: int | None = None
        """Of the frame that comes next."""

    def read(self, bundle: Bundle, pivot: Keypoints) -> list[KeypointPacket]:
        """The frames of a bundle as if each had come alone.

        Raises:
            ProtocolError: keypoints that no encoder has made.
        """
        count = len(bundle.capture_ms)
        ahead = 0 if self._sequence is None else (bundle.sequence - self._sequence) % _SEQUENCES
        late = ahead >= _SEQUENCES - _LATE
        follows = self._sequence is not None and ahead == 0
        read = self._runs.read(bundle.coded, count, bundle.pivot_id, pivot, follows=follows, late=late)
        sequences = [(bundle.sequence + index) % _SEQUENCES for index in range(count + 1)]
        if not late:
            self._sequence = sequences[-1]
        return [
            KeypointPacket(
                sequences[index],
                bundle.capture_ms[index],
                bundle.pivot_id,
                keypoints,
                face_lost=bundle.face_lost and index == count - 1,
                scene=scene,
            )
            for index, (keypoints, scene) in enumerate(zip(*read, strict=True))
        ]
