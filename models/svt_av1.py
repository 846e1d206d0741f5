"""Opens SVT-AV1 encoders without what that library does to its surroundings."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

os.environ.setdefault("SVT_LOG", "0")  # it writes to stderr itself, also where a stream is just dropped: fatal only


def open_svt_av1(width: int, height: int, options: dict[str, str]) -> Any:
    """An open `av.CodecContext` of libsvtav1, 25 fps yuv420p; `options` are FFmpeg's (preset, crf, svtav1-params)."""
    encoder: Any = av.CodecContext.create("libsvtav1", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = options
    with ordinary_priority():
        encoder.open()
    return encoder


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Takes back real-time priorities that were taken inside.

    Where it runs as root (in a container, say) SVT-AV1 makes the thread that opens an encoder, and all threads of its
    own, SCHED_FIFO at priority 99, and leaves them so: one core then belongs to the encoding thread alone, and the
    call starves beside it.
    """
    if sys.platform != "linux":
        yield
        return
    realtime = {thread for thread in _threads() if _is_realtime(thread)}
    try:
        yield
    finally:
        for thread in _threads() - realtime:
            with contextlib.suppress(ProcessLookupError):  # it may just have ended
                if _is_realtime(thread):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _threads() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/task").iterdir()}


def _is_realtime(thread: int) -> bool:
    try:
        return os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR)
    except ProcessLookupError:
        return False
