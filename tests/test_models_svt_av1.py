"""SVT-AV1 leaves the process as it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from avcall.models.svt_av1 import open_svt_av1


@pytest.mark.skipif(sys.platform != "linux", reason="thread priorities are Linux's here")
def test_no_thread_keeps_a_real_time_priority() -> None:
    encoder = open_svt_av1(64, 64, {"preset": "8", "crf": "45", "svtav1-params": "lookahead=0:lp=1"})
    threads = [int(entry.name) for entry in Path("/proc/self/task").iterdir()]
    assert len(threads) > 1
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}
    frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24").reformat(format="yuv420p")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    assert sum(packet.size for packet in packets) > 0
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
