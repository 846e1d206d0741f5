"""An event loop whose clock jumps to the next timer: a minute of a call passes in the time its code takes to run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Instead of sleeping until the next timer, moves the loop's clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("virtual time: every task waits for something that no timer will bring (a deadlock)")
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop on virtual time. Threads and sockets do not mix with it: use `InlineExecutor`."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def now_ms(self) -> float:
        """The loop's clock as an `avcall.common.clock.Clock`."""
        return self.time() * 1000.0


class InlineExecutor(concurrent.futures.Executor):
    """Runs each job at once, in the caller's thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an executor hands every exception to its future
            future.set_exception(error)
        return future


class LateExecutor(InlineExecutor):
    """Runs each job at once, and gives its result later: `took_ms` of virtual time, of several each in turn."""

    def __init__(self, loop: VirtualTimeLoop, *took_ms: float) -> None:
        self._loop, self._took_ms = loop, itertools.cycle(took_ms)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        done, late = super().submit(fn, *args, **kwargs), concurrent.futures.Future[T]()

        def give() -> None:
            error = done.exception()
            late.set_result(done.result()) if error is None else late.set_exception(error)

        self._loop.call_later(next(self._took_ms) / 1000, give)
        return late


def run(main: Callable[[VirtualTimeLoop], Coroutine[Any, Any, T]], limit_s: float = 600.0) -> T:
    """Runs `main(loop)` on virtual time; a task left behind, or `limit_s` virtual seconds, fails the test."""
    loop = VirtualTimeLoop()
    try:
        result = loop.run_until_complete(asyncio.wait_for(main(loop), limit_s))
        left = [task.get_name() for task in asyncio.all_tasks(loop)]
        assert not left, f"tasks left behind: {left}"
        return result
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
