"""Which poses travel when not every one does: the receiver interpolates the others. Sans-IO."""

from __future__ import annotations

from avcall.common.frames import Pose
from avcall.common.keypoints import Keypoints

PivotPose = tuple[Pose, Keypoints]
"""A pose and the keypoints of the pivot that it refers to."""


class Thinner:
    """Lets every n-th pose through, and always those on both sides of a change: nothing is interpolated across a change
    of pivot, or of a face that is lost or returns, so the poses next to it must be the real ones."""

    def __init__(self, every: int) -> None:
        """`every` is 1 (all poses) or more, and may be changed at any time."""
        self.every = every
        self._before: Pose | None = None
        self._skipped: PivotPose | None = None
        self._since = 0

    def take(self, pose: Pose, pivot: Keypoints) -> list[PivotPose]:
        """What to send now: nothing, this pose, or the one skipped last and this one."""
        before, self._before = self._before, pose
        changed = before is None or (before.pivot_id, before.face_lost) != (pose.pivot_id, pose.face_lost)
        self._since += 1
        if not changed and self._since < self.every:
            self._skipped = pose, pivot
            return []
        sent = [self._skipped] if changed and self._skipped is not None else []
        self._skipped, self._since = None, 0
        return [*sent, (pose, pivot)]
