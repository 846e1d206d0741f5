"""Undoes what SVT-AV1 does to the thread that opens it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Gives the calling thread its scheduling back at the end.

    Where it may (as root, or with CAP_SYS_NICE), SVT-AV1 puts the thread that opens an encoder into real-time
    scheduling at the highest priority and leaves it there: Python, networks and all then run before everything else on
    that core. Wrap the first `encode` of an encoder, for that is where FFmpeg opens it.
    """
    if not hasattr(os, "sched_getscheduler"):  # not on macOS and Windows, where SVT-AV1 does not do this either
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)
