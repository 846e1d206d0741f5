"""Ctrl-C and SIGTERM: the command is asked to end, tells its peer, finishes its files, and then the process ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM, where Python would otherwise end the process without cleaning up."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises Terminated in the main thread, as SIGINT raises KeyboardInterrupt."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_until_signal(work: Coroutine[Any, Any, None]) -> int:
    """Runs `work` on an event loop of its own. Returns 0, or 130 or 143 where SIGINT or SIGTERM cancelled it.

    A second signal ends the process at once, for whoever does not want to wait for the clean end.
    """
    return asyncio.run(_guard(work))


async def _guard(work: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work, name="command")
    received = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if received:
            os._exit(128 + number)
        received = number
        loop.call_soon_threadsafe(task.cancel)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + received if received else 0
