"""Numbering."""

from __future__ import annotations

import numpy as np

from avcall.common.frames import Pose
from avcall.sender.packetiser import KeypointPacketiser


def test_poses_are_numbered_and_times_wrap() -> None:
    packetiser = KeypointPacketiser()
    points = np.zeros((10, 2), dtype=np.float32)
    packets = [packetiser.packet(Pose(2**32 + 5.4, 3, points, face_lost=n == 1)) for n in range(65_537)]
    assert [packets[n].sequence for n in (0, 1, 65_535, 65_536)] == [0, 1, 65_535, 0]
    assert packets[0].capture_ms == 5
    assert [packets[n].face_lost for n in (0, 1)] == [False, True]
    assert packets[0].pivot_id == 3
