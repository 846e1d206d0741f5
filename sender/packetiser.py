"""Poses as numbered packets. Sans-IO."""

from __future__ import annotations

from avcall.common.frames import Pose
from avcall.common.wire import KeypointPacket


class KeypointPacketiser:
    """Numbers the poses."""

    def __init__(self) -> None:
        self._sequence = 0

    def packet(self, pose: Pose) -> KeypointPacket:
        packet = KeypointPacket(
            self._sequence, round(pose.capture_ms) % 2**32, pose.pivot_id, pose.keypoints, pose.face_lost, pose.scene
        )
        self._sequence = (self._sequence + 1) % 2**16
        return packet
