"""Instruments of tests and benches: virtual time and the in-memory link."""

from __future__ import annotations

import asyncio

import pytest

from avcall.bench.memory_link import Path, pair
from avcall.bench.virtual_time import VirtualTimeLoop, run
from avcall.common.link import Channel, LinkClosed


def test_an_hour_passes_at_once() -> None:
    async def main(loop: VirtualTimeLoop) -> float:
        start_ms = loop.now_ms()
        await asyncio.sleep(3600)
        return loop.now_ms() - start_ms

    assert run(main, limit_s=4000) == pytest.approx(3_600_000)


def test_a_deadlock_is_an_error() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        await loop.create_future()

    loop = VirtualTimeLoop()
    with pytest.raises(RuntimeError, match="deadlock"):
        loop.run_until_complete(main(loop))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_link_delays_and_loses() -> None:
    async def main(loop: VirtualTimeLoop) -> list[tuple[bytes, float]]:
        a, b = pair(Path(delay_ms=50, losses=[False, True]))
        start_ms = loop.now_ms()
        for name in (b"1", b"2", b"3"):
            a.send(Channel.MEDIA, name)
        got = [(await b.receive())[1] for _ in range(2)]
        at_ms = loop.now_ms() - start_ms
        await a.close()
        with pytest.raises(LinkClosed):
            await b.receive()
        return [(name, at_ms) for name in got]

    assert run(main) == [(b"1", pytest.approx(50)), (b"3", pytest.approx(50))]


def test_a_bottleneck_queues() -> None:
    async def main(loop: VirtualTimeLoop) -> float:
        a, b = pair(Path(delay_ms=0, rate_kbps=8))  # 1 byte a millisecond
        start_ms = loop.now_ms()
        a.send(Channel.MEDIA, bytes(15))
        a.send(Channel.MEDIA, bytes(15))
        await b.receive()
        await b.receive()
        took_ms = loop.now_ms() - start_ms
        await a.close()
        return took_ms

    assert run(main) == pytest.approx(200)
