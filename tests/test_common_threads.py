"""Threads that let others go first."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from avcall.cli.call import one_worker
from avcall.common.threads import NICENESS, yield_to_others


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
def test_a_worker_that_yields_is_the_only_one_that_does() -> None:
    before = niceness()
    with one_worker("first") as first, one_worker("second", yields=True) as second:
        assert second.submit(niceness).result() == min(before + NICENESS, 19)
        assert first.submit(niceness).result() == before
    assert niceness() == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
def test_threads_started_by_one_that_yields_yield_too() -> None:
    found: list[int] = []

    def parent() -> None:
        yield_to_others()
        child = threading.Thread(target=lambda: found.append(niceness()))
        child.start()
        child.join()

    thread = threading.Thread(target=parent)
    thread.start()
    thread.join()
    assert found == [min(niceness() + NICENESS, 19)]
