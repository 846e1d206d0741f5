"""When a residual flow is estimated, and what travels in between. `avcall.sender.pipeline` holds one."""

from __future__ import annotations

from functools import partial

from avcall.common.clock import Clock
from avcall.common.residual_flow import NO_FLOW, Flow
from avcall.common.stats import Stats
from avcall.sender.analysis import View
from avcall.sender.pivot_check import PivotChecker
from avcall.sender.pivot_stage import Compute

SHARE, SHARE_BETWEEN = 0.08, 0.06
"""Of the time: estimates with a bundle's last frame, and with the others, take no more, however slow the machine is and
however short the bundles are."""
QUICK_MS = 10.0
"""Where an estimate took longer, the machine has no time for any but the last frames'."""
LASTS_MS = 500.0
"""A flow that is older belongs to another pose."""


class FlowStage:
    """Called from the event loop, a frame at a time; `compute` does the work."""

    def __init__(self, checker: PivotChecker | None, *, compute: Compute, clock: Clock, stats: Stats) -> None:
        """Without `checker` there is never a flow."""
        self._checker = checker
        self._compute = compute
        self._clock = clock
        self._stats = stats
        self._pivot_id: int | None = None
        self._flow = NO_FLOW
        """Of the last view of a bundle, by this pivot."""
        self._estimated_ms = self._next_ms = self._next_between_ms = float("-inf")
        self._quick = True

    async def flow(self, pivot_id: int, view: View, *, wanted: bool, last: bool = True) -> Flow:
        """What is to travel with a view that refers to this pivot: an estimate of its own where that is `wanted` and
        there is time for it, else that of a bundle's last view while it lasts: what was told already, so it tells
        nothing anew. `last`: the view is the last of its bundle, which tells more of its flow than of the others'."""
        if self._pivot_id != pivot_id or self._clock() - self._estimated_ms > LASTS_MS:
            self._pivot_id, self._flow = pivot_id, NO_FLOW
        if self._checker is None or not wanted or not self._due(last):
            return self._flow
        flow, took_ms = await self._compute(partial(self._checker.flow, pivot_id, view))
        now_ms = self._clock()
        self._quick = took_ms <= QUICK_MS
        self._stats.add_stage("flow", took_ms)
        if last:
            self._flow, self._estimated_ms, self._next_ms = flow, now_ms, now_ms + took_ms / SHARE
        else:
            self._next_between_ms = now_ms + took_ms / SHARE_BETWEEN
        return flow

    def _due(self, last: bool) -> bool:
        return self._clock() >= self._next_ms if last else self._quick and self._clock() >= self._next_between_ms
