"""From a device's thread into the event loop: a small slot in which the newest wins, and an iterator over it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds at most `capacity` items; a new one pushes the oldest out, which is counted in `dropped`.

    `put` and `close` may be called from any thread; iterated in the event loop that made the mailbox only.
    """

    def __init__(self, capacity: int = 1) -> None:
        self.dropped = 0
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        with self._lock:
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
        self._wake()

    def close(self, error: BaseException | None = None) -> None:
        """No more items will come; `error` is raised after the last of them."""
        with self._lock:
            self._closed = True
            self._error = error
        self._wake()

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    def __aiter__(self) -> Mailbox[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            self._changed.clear()
            with self._lock:
                if self._items:
                    return self._items.popleft()
                if self._closed:
                    raise StopAsyncIteration if self._error is None else self._error
            await self._changed.wait()


class Outlet(Generic[T]):
    """What a thread's body sees: where to put items, and when to stop."""

    def __init__(self, mailbox: Mailbox[T]) -> None:
        self._mailbox = mailbox
        self._stop = threading.Event()
        self.put = mailbox.put

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def wait(self, delay_ms: float) -> bool:
        """Sleeps, unless told to stop: then returns True at once."""
        return self._stop.wait(max(0.0, delay_ms) / 1000.0)

    def stop(self) -> None:
        self._stop.set()


async def from_thread(
    body: Callable[[Outlet[T]], None], name: str, on_drop: Callable[[int], None], capacity: int = 1
) -> AsyncGenerator[T, None]:
    """Runs `body(outlet)` in its own thread and yields what it puts; ends when it returns, raises what it raises.

    `on_drop` hears the number of items dropped so far. Leaving the iterator stops the thread and waits for it.
    """
    mailbox: Mailbox[T] = Mailbox(capacity)
    outlet = Outlet(mailbox)

    def guarded() -> None:
        try:
            body(outlet)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody else to tell; the iterator raises it
            mailbox.close(error)
        else:
            mailbox.close()

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    try:
        async for item in mailbox:
            on_drop(mailbox.dropped)
            yield item
    finally:
        outlet.stop()
        await asyncio.to_thread(thread.join, 2.0)
