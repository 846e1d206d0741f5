"""Everything about sending pivots: chosen, coded, checked, sliced, paced. `avcall.sender.pipeline` holds one.

Coding and checking take as long as several frames; they run in an executor of their own, one after the other, while
the frames go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from avcall.common import wire
from avcall.common.clock import Clock
from avcall.common.config import SendConfig
from avcall.common.link import Channel, Link
from avcall.common.pivot_format import SLICE_DATA_BYTES, SLICE_HEAD_BYTES, PivotAck, PivotBody, PivotSlice, rounded
from avcall.common.stats import Stats
from avcall.common.trace import Trace
from avcall.common.wire import Packet
from avcall.models.pivot_video import SETTLED_LINKS, CodedPivot, IntraPivotEncoder, PivotEncoder, PivotVideoEncoder
from avcall.sender.adaptive_selector import AdaptiveSelector
from avcall.sender.analysis import Analysis, View
from avcall.sender.pivot_budget import PivotBudget
from avcall.sender.pivot_check import PivotChecker
from avcall.sender.pivot_sender import OVERHEAD_BYTES, PivotSender
from avcall.sender.rate_control_allowance import MESSAGE_BYTES, Wants, allow
from avcall.sender.selector import PivotSelector, Reason, SentPivot, Sight, SimpleSelector

T = TypeVar("T", covariant=True)

LARGE_FROM_KBPS = 12.0
"""Budget from which pivots are larger than the views, if `--pivot-size` says so: the next chain's, for a call begins
with small ones, and a change of size costs a key frame."""
CHECK_SHARE = 0.1
"""Of the time: checks take no more, however slow the machine is."""
PACE_FACTOR = 1.5
"""Slices leave this much faster than the budget has it, which is an average."""
KEY_S = 6.0
"""Seconds of the budget that a key frame may take."""
PURSE_S = 30.0
"""Seconds of the budget that can be saved up for a better chain."""
SAVING = 0.3
"""Of the budget, while a better chain would be worth its key frame."""
OWN_FRACTION = 0.97
"""Of pivot_kbytes for the picture; the rest is keypoints and headers."""


class Compute(Protocol):
    """Runs work in the executor and says how long it took in ms."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[tuple[T, float]]: ...


def make_selector(config: SendConfig, checker: PivotChecker | None) -> PivotSelector:
    """With checks and chains, the one that spends a budget; otherwise the one that goes by keypoints and age."""
    max_age_ms = config.pivot_max_age_s * 1000.0
    if checker is None or config.pivots != "inter":
        return SimpleSelector(max_age_ms)
    return AdaptiveSelector(config.pivot_kbps, max_age_ms)


def make_encoder(config: SendConfig) -> PivotEncoder:
    """As `--pivots` has it."""
    if config.pivots == "inter":
        # what pivots get once rate control has found nothing in its way
        most = allow(config.max_kbps, Wants(voice_kbps=config.voice_kbps, pivot_kbps=config.pivot_kbps))
        return PivotVideoEncoder(most.pivot_kbps, quick_start=True, key_s=KEY_S)
    return IntraPivotEncoder(round(config.pivot_kbytes * 1000 * OWN_FRACTION))


class PivotStage:
    """`run` and `run_jobs` are tasks: one sends slices, the other codes and checks; the rest is called from the event
    loop. `compute` does its work in the order in which it is given."""

    def __init__(
        self,
        config: SendConfig,
        *,
        selector: PivotSelector | None,
        checker: PivotChecker | None,
        compute: Compute,
        link: Link,
        clock: Clock,
        stats: Stats,
        trace: Trace,
        note_sent: Callable[[Packet, int], None],
    ) -> None:
        self.selector = selector or make_selector(config, checker)
        self._checker = checker
        self._compute = compute
        self._link = link
        self._clock = clock
        self._stats = stats
        self._trace = trace
        self._note_sent = note_sent
        self._encoder = make_encoder(config)
        self._slice_bytes = SLICE_DATA_BYTES
        self._kbps = config.pivot_kbps
        self._purse = PivotBudget(config.pivot_kbps, PURSE_S)
        self._large_side = max(config.pivot_size, config.size)
        self._side = config.size
        self._small_side = config.size
        self._links = 0
        self._next_check_ms = float("-inf")
        self._sender = PivotSender()
        self._changed = asyncio.Event()
        self._next_id = 0
        self._wanted: tuple[Analysis, Reason] | None = None
        self._to_check: tuple[list[int], View] | None = None
        self._asked = asyncio.Event()

    def set_budget(self, kbps: float, slice_bytes: int, pace_kbps: float | None) -> None:
        """See `avcall.sender.pipeline.Sender.set_pivot_budget`."""
        self._kbps = kbps
        self._encoder.set_budget(kbps)
        self._purse.set(kbps, self._clock())
        self._share_budget()
        self._sender.pace_kbps = PACE_FACTOR * kbps if pace_kbps is None else pace_kbps
        self._slice_bytes = slice_bytes
        self._changed.set()

    @property
    def slice_ms(self) -> float:
        """How soon a whole slice may follow another."""
        return (self._slice_bytes + OVERHEAD_BYTES) * 8.0 / self._sender.pace_kbps

    def set_bundle_wait(self, wait_ms: float) -> None:
        """How long a slice that is due waits for a bundle to leave with."""
        if wait_ms != self._sender.bundle_wait_ms:
            self._sender.bundle_wait_ms = wait_ms
            self._changed.set()

    def await_hurry(self) -> None:
        """Something is to leave ahead of the first slice of all, which waits for `hurry`, but not for long."""
        self._sender.awaits_hurry = True

    def hurry(self) -> None:
        """The next slice leaves at once."""
        self._sender.hurry()
        self._changed.set()

    def set_loss(self, share: float) -> None:
        """The share of packets lost, as rate control sees it."""
        self._sender.reported_loss = share

    @property
    def in_first_round(self) -> bool:
        """Whether a pivot is on its way of which nothing has been sent twice."""
        return self._sender.in_first_round

    @property
    def slices_there(self) -> bool:
        """Whether all slices sent so far have been acknowledged."""
        return self._sender.slices_there

    def acknowledge(self, ack: PivotAck, now_ms: float) -> bool:
        """True where the receiver has the whole pivot."""
        whole = self._sender.acknowledge(ack, now_ms)
        if whole:
            self.selector.acknowledged(ack.pivot_id)
            self._trace.event("pivot_acknowledged", now_ms=now_ms, pivot_id=ack.pivot_id)
        self._changed.set()
        return whole

    def check(self, sight: Sight, view: View) -> None:
        """Lets the selector see what the other end would show, where it is time for that and nothing else is done."""
        if self._checker is None or self.busy or self._clock() < self._next_check_ms:
            return
        chosen = [pivot.pivot_id for pivot in self.selector.to_check(sight, self._clock())]
        if chosen:
            self._to_check = chosen, view
            self._asked.set()

    @property
    def busy(self) -> bool:
        """Whether something is being coded or checked, or waits for it."""
        return self._wanted is not None or self._to_check is not None

    @property
    def coding(self) -> bool:
        """Whether a pivot is being coded, or waits for it."""
        return self._wanted is not None

    def want(self, analysis: Analysis, reason: Reason) -> None:
        """Makes a frame a pivot as soon as the worker is free; not while `coding`."""
        assert self._wanted is None
        self._wanted = analysis, reason
        self._asked.set()

    async def run_jobs(self) -> None:
        """Checks and codes what is asked for, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            if self._to_check is not None:
                await self._check(*self._to_check)
                self._to_check = None
            if self._wanted is not None:
                await self.send(*self._wanted)
                self._wanted = None

    async def _check(self, chosen: list[int], view: View) -> None:
        assert self._checker is not None
        flaws, took_ms = await self._compute(partial(self._checker.flaws, chosen, view))
        self._stats.add_stage("pivot_check", took_ms)
        self._next_check_ms = self._clock() + took_ms / CHECK_SHARE
        self.selector.checked(flaws, self._clock())

    async def send(self, analysis: Analysis, reason: Reason) -> None:
        """Makes a frame a pivot, and returns when its slices are on their way."""
        view = analysis.current
        missing = reason is Reason.REQUEST or self._sender.busy  # the link before, there
        if missing or self._affords_better():
            self._encoder.restart()
        pivot_id = self._next_id
        self._next_id = (pivot_id + 1) % 2**16
        keypoints = rounded(view.keypoints)
        if self._links >= SETTLED_LINKS:
            self._side = self._large_side if self._kbps >= LARGE_FROM_KBPS else self._small_side
        picture = analysis.picture(self._side)

        def code() -> tuple[CodedPivot, float]:
            coded = self._encoder.encode(picture)
            if self._checker is None:
                return coded, 0.0
            return coded, self._checker.add(pivot_id, coded.shown, keypoints, view)

        (coded, flaw), took_ms = await self._compute(code)
        self._stats.add_stage("pivot_encode", took_ms)
        now_ms = self._clock()
        self._links = coded.link + 1
        height, width = picture.shape[:2]
        capture_ms = round(analysis.capture_ms) % 2**32
        body = PivotBody(coded.codec, width, height, capture_ms, keypoints, coded.data, coded.chain, coded.link)
        slices = wire.slice_pivot(pivot_id, body, self._slice_bytes)
        size_bytes = self._sender.offer(pivot_id, slices, now_ms)
        key = coded.link == 0
        sent = SentPivot(
            pivot_id, view.crop, keypoints, now_ms, size_bytes=size_bytes, key=key, flaw=flaw, scene=view.scene
        )
        self.selector.sent(sent)
        self._share_budget()
        self._stats.count("pivots_sent")
        self._trace.event(
            "pivot",
            now_ms=now_ms,
            capture_ms=analysis.capture_ms,
            pivot_id=pivot_id,
            size_bytes=slices[0].length,
            codec=coded.codec.name.lower(),
            chain=coded.chain,
            link=coded.link,
            reason=reason.value,
            crop=[view.crop.x, view.crop.y, view.crop.side],
        )
        self._changed.set()

    def _affords_better(self) -> bool:
        """Whether what was saved since the call began pays for a chain of better quality."""
        size_bytes = self._encoder.successor_bytes
        return size_bytes is not None and self._purse.affords(size_bytes, self._clock())

    def _share_budget(self) -> None:
        saves = self._encoder.successor_bytes is not None
        self.selector.set_budget(self._kbps * (1.0 - SAVING if saves else 1.0), self._clock())

    def ride(self, most_bytes: int) -> bytes | None:
        """The packet of a slice that is due, of at most so many bytes, to leave with a bundle; None where there is
        none. It counts as sent."""
        first_time = self._sender.in_first_round
        part = self._sender.ride(most_bytes - SLICE_HEAD_BYTES, self._clock())
        if part is None:
            return None
        self._changed.set()
        return self._leaving(part, first_time=first_time)

    def _leaving(self, part: PivotSlice, *, first_time: bool) -> bytes:
        data = wire.pack(part)
        self._purse.spend(len(data) + MESSAGE_BYTES, self._clock())
        if first_time:
            self.selector.sending(part.pivot_id, self._clock())
        self._stats.add_payload("pivots", len(data))
        return data

    async def run(self) -> None:
        """Sends slices when they are due, for ever."""
        while True:
            self._changed.clear()
            first_time = self._sender.in_first_round
            for part in self._sender.take(self._clock()):
                data = self._leaving(part, first_time=first_time)
                self._link.send(Channel.MEDIA, data)
                self._note_sent(part, len(data))
            due_ms = self._sender.due_ms
            # half a millisecond more, or rounding could wake this just too early, again and again
            delay_s = None if due_ms is None else max(0.0, due_ms - self._clock() + 0.5) / 1000.0
            try:
                async with asyncio.timeout(delay_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
