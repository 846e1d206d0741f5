"""Ctrl-C, SIGTERM, a closed terminal: the command tells its peer and finishes its files before the process ends."""

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
    """SIGTERM or SIGHUP, where Python would otherwise end the process without cleaning up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def _deadly() -> list[int]:
    """SIGTERM, and SIGHUP where there is one and nobody (nohup) wants it ignored."""
    wanted = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within it these signals raise Terminated in the main thread, as SIGINT raises KeyboardInterrupt."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in _deadly()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_signal(work: Coroutine[Any, Any, None]) -> int:
    """Runs `work` on an event loop of its own. Returns 0, or 128 + N where signal N cancelled it.

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

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, *_deadly())}
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + received if received else 0
