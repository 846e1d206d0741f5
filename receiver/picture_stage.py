"""One picture a display tick: made before it is due where its pose has come, shown when it is.

A picture that takes long then makes none late, and nothing is shown earlier for it (docs/frame-budget.md).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from avcall.common.clock import Clock
from avcall.receiver.animator import Animator
from avcall.receiver.display import Display, Made
from avcall.receiver.display_stats import TICK_MS
from avcall.receiver.jitter_buffer import PoseBuffer, PoseKind, PoseSample
from avcall.receiver.overlay import Badges
from avcall.receiver.pivot_intake import PivotIntake
from avcall.receiver.playout import PlayoutClock

_LATE_TICK_MS = 30.0
"""A tick that starts later than this is missed."""
_AHEAD_MS = 2 * TICK_MS
"""A picture may be begun so long before its tick, where its pose has come: then one that takes long makes none late."""
_FIRST_LOOK_MS = 320.0
"""No picture is shown before the first whole bundle of the longest span can have come: those before it, which are short
and fast, say nothing about the play-out delay."""
_LOCK = 0.05
"""Ticks are moved by this share of their distance from the frame shown, so that they come to lie on the frames: then
pictures are neither early nor late against the sound."""


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be shown at one tick."""

    tick: int
    due_ms: float
    sample: PoseSample
    made: Made | None
    """None: the last picture stands."""
    new: bool
    """It was made for `sample`."""


class PictureStage:
    """`make` and `show` run beside each other until they are cancelled."""

    def __init__(
        self,
        poses: PoseBuffer,
        playout: PlayoutClock,
        animator: Animator,
        display: Display,
        pivots: PivotIntake,
        clock: Clock,
        *,
        tick: Callable[[float], None],
        badges: Callable[[PoseSample, float], Badges],
    ) -> None:
        """`tick` is called with the time before each picture is made; `badges` says what stands in one that is shown
        now."""
        self._poses, self._playout, self._animator = poses, playout, animator
        self._display, self._pivots, self._clock = display, pivots, clock
        self._on_tick, self._badges = tick, badges
        self._ticks_from_ms = 0.0
        self._came = asyncio.Event()
        """Poses have come since the last look."""
        self._waiting: asyncio.Queue[_Due] = asyncio.Queue()
        self._begun = False
        """The first picture was made."""
        self.first_bundle_ms: float | None = None
        """When the first bundle came."""

    def arrived(self) -> None:
        """Poses have come."""
        self._came.set()

    async def make(self) -> None:
        """Makes a picture for each tick, and before the tick where its pose has come."""
        self._ticks_from_ms, tick = self._clock(), 0
        while True:
            start_ms = self._ticks_from_ms + tick * TICK_MS
            await self._wait_for(start_ms)
            due = await self._tick(tick, start_ms)
            if due is not None:
                self._waiting.put_nowait(due)
            since_ms = self._clock() - self._ticks_from_ms
            tick = max(tick + 1, math.floor((since_ms + TICK_MS - _LATE_TICK_MS) / TICK_MS))

    async def _wait_for(self, start_ms: float) -> None:
        """Until a tick begins, or its pose is there early."""
        early_ms = start_ms - _AHEAD_MS if self._playout.settled else start_ms
        await asyncio.sleep(max(0.0, early_ms - self._clock()) / 1000)
        while (left_ms := start_ms - self._clock()) > 0.0:
            if self._poses.known(self._playout.media_ms(start_ms + self._display.render_ms)):
                return
            self._came.clear()
            try:
                async with asyncio.timeout(left_ms / 1000):
                    await self._came.wait()
            except TimeoutError:
                return

    async def _tick(self, tick: int, start_ms: float) -> _Due | None:
        """What is to be shown at a tick that begins now, or begins at `start_ms`; None while there is nothing."""
        now_ms = self._clock()
        self._on_tick(now_ms)
        if not self._playout.running:
            return None
        if not self._begun:
            self._playout.settle(now_ms)
            if self.first_bundle_ms is not None and now_ms - self.first_bundle_ms < _FIRST_LOOK_MS:
                return None
        due_ms = max(now_ms, start_ms) + self._display.render_ms
        media_ms = self._playout.media_ms(due_ms)
        sample = self._poses.at(media_ms)
        if sample is None:
            return None
        if sample.kind is PoseKind.NEW:
            self._ticks_from_ms += _LOCK * (sample.pose.capture_ms - media_ms)
        if sample.kind is PoseKind.EXTRAPOLATED:
            self._playout.missed(media_ms, due_ms)
        new, made = sample.kind in (PoseKind.NEW, PoseKind.INTERPOLATED), None
        if not self._animator.stands(sample.pose):
            drawing = self._animator.plan(sample.pose, sample.between)
            if drawing is None:
                self._pivots.want(sample.pose.pivot_id, now_ms)
                new = False
            else:
                self._pivots.found()
                made = await self._display.draw(drawing, max(now_ms, start_ms) + TICK_MS)
                self._begun = self._begun or made is not None
                new = new and made is not None and made.drawn.fresh
        return _Due(tick, due_ms, sample, made, new)

    async def show(self) -> None:
        """Shows each picture when it is due: made early, it is still shown on time."""
        while True:
            due = await self._waiting.get()
            await asyncio.sleep(max(0.0, due.due_ms - self._clock()) / 1000)
            badges = self._badges(due.sample, self._clock())
            self._display.present(due.tick, due.sample, due.due_ms, badges, due.made, new=due.new)
