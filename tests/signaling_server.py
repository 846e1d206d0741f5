"""A signaling server on a free port of this machine, for the tests that use sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from avcall.signaling.server import SignalConfig, serve


@asynccontextmanager
async def running_server(config: SignalConfig | None = None) -> AsyncIterator[str]:
    """Yields the server's address, ws://127.0.0.1:PORT."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(config or SignalConfig(host="127.0.0.1", port=0), ready.set_result))
    try:
        done, _ = await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            await task
        yield ready.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
