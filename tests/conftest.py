"""Fixtures that many tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# before torch is imported: on a busy machine two threads wait for each other ten times as long as one takes
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a background job of a shell ignores Ctrl-C, one under nohup hang-ups, and what they start inherits it: tests send both
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """The folder of real talking-head clips (train/, val/, test/ inside)."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data" / "talking_heads"
    folder = Path(os.environ.get("AVCALL_CLIPS", default)).resolve()
    if not (folder / "test").is_dir():
        pytest.skip("the real talking-head clips are not here; point AVCALL_CLIPS at them to run this test")
    return folder
