"""What `avcall send` and `avcall receive` share: one worker, one session, and who may end the call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any, Protocol

from avcall.bench.trace_file import TraceWriter
from avcall.common.clock import monotonic_ms
from avcall.common.config import CallConfig
from avcall.common.link import Endpoint
from avcall.common.stats import Stats
from avcall.common.threads import yield_to_others
from avcall.common.trace import NullTrace, Trace
from avcall.models.interfaces import ModelId
from avcall.signaling.session import Session


class Pipeline(Endpoint, Protocol):
    """A Sender or a Receiver."""

    async def run(self) -> None: ...


def say(text: str) -> None:
    """One line for the one who called, at once even into a pipe."""
    print(text, flush=True)


def announce(model: ModelId, device: str) -> None:
    """The device and the model of this end."""
    say(f"computing on {device}, model {model.name} ({model.weights})")


def open_trace(config: CallConfig, stack: ExitStack, **start: object) -> Trace:
    """The trace of --trace, closed with `stack`; its first line has `start`."""
    if config.trace is None:
        return NullTrace()
    trace = stack.enter_context(TraceWriter(config.trace))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    trace.event("start", at_ms=monotonic_ms(), version=version("avcall"), command=sys.argv, load=load, **start)
    return trace


@contextlib.contextmanager
def one_worker(name: str, *, yields: bool = False) -> Iterator[Executor]:
    """A single thread in which an end computes. On leaving, what has not begun is not begun. One that `yields` lets the
    others go first."""
    executor = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=yield_to_others if yields else None)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


async def talk(
    session: Session,
    pipeline: Pipeline,
    *,
    seconds: float,
    finished: str,
    trace: Trace,
    stats: Stats,
    tail_ms: Callable[[], float] = lambda: 0.0,
) -> str:
    """Runs a pipeline over a session until it finishes (the peer is told `finished`), the peer says bye, or `seconds`
    are over; returns how the call ended.

    `tail_ms` says how long the pipeline runs on after the peer's bye: what was sent before is still on its way to the
    eye and the ear.

    Raises:
        ExceptionGroup: of AvcallErrors of the session or the pipeline.
    """
    async with asyncio.TaskGroup() as group:
        working = group.create_task(pipeline.run(), name="pipeline")
        pumping = group.create_task(session.pump([pipeline]), name="pump")
        counting = group.create_task(_count_bytes(session, stats, trace), name="count-bytes")
        try:
            await asyncio.wait({working, pumping}, timeout=seconds or None, return_when=asyncio.FIRST_COMPLETED)
            if pumping.done() and not working.done() and tail_ms():
                await asyncio.wait({working}, timeout=tail_ms() / 1000)
        except asyncio.CancelledError:
            await session.bye("the other end hung up")
            raise
        for task in (working, pumping, counting):
            task.cancel()
        if pumping.done():
            how = "" if pumping.cancelled() or pumping.exception() else pumping.result()
        else:
            how = finished if working.done() else f"{seconds:g} s are over"
            await session.bye(how)
    return how


async def _count_bytes(session: Session, stats: Stats, trace: Trace) -> None:
    """One line a second in the trace: all bytes so far, at the socket and by kind of payload."""
    while True:
        trace_bytes(session, stats, trace)
        await asyncio.sleep(1.0)


def trace_bytes(session: Session, stats: Stats, trace: Trace) -> None:
    wired = session.wire_bytes()
    trace.event("bytes", at_ms=monotonic_ms(), up=wired.up, down=wired.down, payload=dict(stats.payload_bytes))


def trace_summary(session: Session, stats: Stats, trace: Trace, start_ms: float, **values: Any) -> None:
    """The last lines of a trace."""
    trace_bytes(session, stats, trace)
    trace.event(
        "summary",
        start_ms=start_ms,
        end_ms=monotonic_ms(),
        clock_offset_ms=session.offset.offset_ms,
        rtt_ms=session.offset.rtt_ms,
        **values,
    )
