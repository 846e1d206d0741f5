"""The last stages of a picture: made, enhanced and enlarged in the executor, then shown, traced and counted.

Enhancement comes before enlargement: a quarter of the pixels, and what is enlarged is repaired already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from avcall.common.clock import Clock
from avcall.common.keypoints import Image
from avcall.common.stats import Stats
from avcall.common.trace import Trace
from avcall.models.interfaces import Enhancer, Guide, SuperResolver
from avcall.receiver.animator import Animator, Drawing, Drawn
from avcall.receiver.budget import FrameBudget
from avcall.receiver.display_stats import TICK_MS, DisplayStats, wrapped
from avcall.receiver.jitter_buffer import PoseKind, PoseSample
from avcall.receiver.overlay import Badges
from avcall.receiver.playout import PlayoutClock
from avcall.receiver.renderers import Renderer, ShownFrame

_FIRST_GUESS_MS = 15.0
_LONGEST_MS = 0.8 * TICK_MS
_RISE, _FALL = 0.2, 0.05
"""Longer computing is followed faster, so that most pictures are ready when they are due."""


@dataclass(frozen=True, slots=True)
class Made:
    """A picture, and the same as large as it is shown."""

    drawn: Drawn
    display: Image


class Display:
    """Shows one picture a display tick. Without renderers nothing is enlarged."""

    def __init__(
        self,
        animator: Animator,
        upscaler: SuperResolver,
        enhancer: Enhancer,
        *,
        side: int,
        renderers: Sequence[Renderer],
        playout: PlayoutClock,
        clock: Clock,
        executor: Executor,
        stats: Stats,
        trace: Trace,
        budget: FrameBudget | None = None,
    ) -> None:
        """`budget` is that of the stages that are ladders; None where none is."""
        self._animator, self._upscaler, self._enhancer, self._side = animator, upscaler, enhancer, side
        self._renderers = renderers
        self._playout, self._clock, self._executor = playout, clock, executor
        self._stats, self._trace = stats, trace
        self._budget = budget
        self._present_ms = 0.0
        self._first_tick = 0
        self._shown: Made | None = None
        self.seen = DisplayStats()
        self.render_ms = _FIRST_GUESS_MS
        """From the start of a tick until its picture can be shown, as it goes at present."""
        self.first_face_ms: float | None = None
        """When the first picture was shown."""

    async def draw(self, drawing: Drawing, next_ms: float) -> Made | None:
        """Makes a picture before the next tick, which begins at `next_ms`; None where the reenactor failed before there
        was any."""
        start_ms = self._clock()
        made = await asyncio.get_running_loop().run_in_executor(self._executor, self._make, drawing)
        took_ms = self._clock() - start_ms
        if self._budget is not None:
            self._budget.frame(took_ms + self._present_ms, next_ms - start_ms)
        if made is not None:
            change_ms = min(took_ms, _LONGEST_MS) - self.render_ms
            self.render_ms += (_RISE if change_ms > 0 else _FALL) * change_ms
        return made

    def present(
        self, tick: int, sample: PoseSample, due_ms: float, badges: Badges, made: Made | None, *, new: bool
    ) -> None:
        """Shows a picture, or the last one again; nothing before the first. `new` says that it was drawn for
        `sample`."""
        self._shown = made or self._shown
        if self._shown is None:
            return
        drawn, display = self._shown.drawn, self._shown.display
        start_ms = self._clock()
        if self.first_face_ms is None:
            self._first_tick, self.first_face_ms = tick, start_ms
        tick -= self._first_tick
        for renderer in self._renderers:
            renderer.show(ShownFrame(drawn.image, display, tick, due_ms, badges))
        shown_ms = self._clock()
        self._present_ms = shown_ms - start_ms
        self._stats.add_stage("render", self._present_ms)
        media_ms = sample.pose.capture_ms
        heard_ms = self._playout.heard_ms(shown_ms)
        skew_ms = None if heard_ms is None else media_ms - heard_ms
        filled = self.seen.tick(tick, shown_ms, media_ms, new=new, excused=badges.video_muted)
        if filled and skew_ms is not None:
            self.seen.add_skew(skew_ms)
        self._trace.picture(
            drawn.image,
            tick=tick,
            capture_ms=media_ms,
            shown_ms=shown_ms,
            pivot_id=sample.pose.pivot_id,
            pose_kind=(sample.kind if new or sample.kind is PoseKind.EXTRAPOLATED else PoseKind.HELD).value,
            filled=filled,
            latency_ms=wrapped(shown_ms - media_ms),
            skew_ms=skew_ms,
        )

    def _make(self, drawing: Drawing) -> Made | None:
        """In the executor."""
        start_ms = self._clock()
        if self._budget is not None:
            self._budget.plan(start_ms)
        drawn = self._animator.draw(drawing)
        if drawn is None:
            return None
        drawn_ms = self._clock()
        self._stats.add_stage("drive", drawn_ms - start_ms)
        enhanced = Drawn(self._enhancer.enhance(drawn.image), drawn.fresh, drawn.reference)
        enhanced_ms = self._clock()
        self._stats.add_stage("enhance", enhanced_ms - drawn_ms)
        if not self._renderers:
            return Made(enhanced, enhanced.image)
        guide = Guide(drawn.reference, drawing.pose.keypoints)
        enlarged = self._upscaler.upscale(enhanced.image, self._side, guide)
        self._stats.add_stage("upscale", self._clock() - enhanced_ms)
        return Made(enhanced, enlarged)
