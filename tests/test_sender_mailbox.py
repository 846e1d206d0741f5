"""The slot between a device's thread and the loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest

from avcall.common.errors import DeviceError
from avcall.sender.mailbox import Mailbox, Outlet, from_thread

pytestmark = pytest.mark.real_time


async def test_newest_wins_and_drops_are_counted() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for item in (1, 2, 3):
        mailbox.put(item)
    mailbox.close()
    assert [item async for item in mailbox] == [3]
    assert mailbox.dropped == 2


async def test_a_wider_mailbox_keeps_order_and_drops_the_oldest() -> None:
    mailbox: Mailbox[int] = Mailbox(capacity=2)
    for item in (1, 2, 3):
        mailbox.put(item)
    mailbox.close()
    assert [item async for item in mailbox] == [2, 3]
    assert mailbox.dropped == 1


async def test_an_error_comes_after_the_last_item() -> None:
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put("last")
    mailbox.close(DeviceError("gone"))
    items = aiter(mailbox)
    assert await anext(items) == "last"
    with pytest.raises(DeviceError, match="gone"):
        await anext(items)


async def test_a_threads_items_and_its_error_arrive_in_the_loop() -> None:
    def body(outlet: Outlet[int]) -> None:
        for item in range(3):
            outlet.put(item)
        raise DeviceError("unplugged")

    drops: list[int] = []
    seen: list[int] = []

    async def read() -> None:
        async with aclosing(from_thread(body, "test-body", drops.append, capacity=10)) as items:
            async for item in items:
                seen[len(seen) :] = [item]

    with pytest.raises(DeviceError, match="unplugged"):
        await read()
    assert seen == [0, 1, 2]
    assert drops == [0, 0, 0]


async def test_leaving_the_iterator_stops_the_thread() -> None:
    stopped = threading.Event()

    def body(outlet: Outlet[int]) -> None:
        while not outlet.wait(1.0):
            outlet.put(1)
        stopped.set()

    async with aclosing(from_thread(body, "test-endless", lambda dropped: None)) as items:
        async for item in items:
            assert item == 1
            break
    assert stopped.is_set()


async def test_cancelling_the_reader_stops_the_thread() -> None:
    stopped = threading.Event()

    def body(outlet: Outlet[int]) -> None:
        outlet.wait(60_000.0)
        stopped.set()

    async def read() -> None:
        async with aclosing(from_thread(body, "test-silent", lambda dropped: None)) as items:
            async for _ in items:
                pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()
