"""Rate control in a call: reports in, and out of them what span, voice and pivots may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from avcall.common import wire
from avcall.common.clock import Clock
from avcall.common.config import AUTO, SendConfig
from avcall.common.link import Link
from avcall.common.report_format import Report
from avcall.common.trace import Trace
from avcall.common.wire import Packet
from avcall.sender.rate_control import START_KBPS, RateController
from avcall.sender.rate_control_allowance import MESSAGE_BYTES, SPANS_MS, Allowance, Wants, allow
from avcall.sender.rate_control_feedback import SentHistory

EVERY_S = 0.2
SHORTEST_MS = ((200.0, 120), (400.0, 80), (float("inf"), 40))
"""With `--span-ms auto`, the shortest span by round trip: a long way leaves less time for gathering."""
BETTER_EVERY_MS, BETTER_FIRST_MS = 5_000.0, 1_500.0
"""Voice and span become worse at once but better only so often: a change of either can be heard. In the beginning they
wait for what the path is found to carry."""
OTHER_WINDOW_MS = 3_000.0
OTHER_FIRST_KBPS = 1.0


class RateStage:
    """Says to `spend` what may be spent, whenever that has changed."""

    def __init__(
        self,
        config: SendConfig,
        *,
        voice: bool,
        link: Link,
        clock: Clock,
        trace: Trace,
        spend: Callable[[Allowance], None],
    ) -> None:
        self._config, self._voice = config, voice
        self._link, self._clock, self._trace, self._spend = link, clock, trace, spend
        self._controller = RateController(max_kbps=config.max_kbps, start_kbps=min(START_KBPS, config.max_kbps))
        self._history = SentHistory()
        self._allowance: Allowance | None = None
        self._media_bytes = 0
        self._counted: tuple[float, int, int] | None = None
        self._changed_ms: float | None = None
        self._other_kbps = OTHER_FIRST_KBPS
        self.first_pivot = True
        """Nothing can be shown at the other end yet."""
        self.thin = False
        """The path is known to carry not even the least of everything."""

    def sent(self, packet: Packet, size_bytes: int) -> None:
        """A media packet of so many bytes has been handed to the link."""
        self._media_bytes += size_bytes + MESSAGE_BYTES
        stamp = wire.stamp(packet)
        if stamp is not None:
            now_ms = self._clock()
            self._history.sent(stamp, size_bytes + MESSAGE_BYTES, now_ms)
            self._controller.on_sent(now_ms)
        else:
            self._history.sent_unstamped(size_bytes + MESSAGE_BYTES)

    def take(self, report: Report, now_ms: float, *, slices_there: bool = False) -> None:
        """A report from the peer, who also has all slices sent so far, or not.

        Raises:
            ProtocolError: it is not about this call.
        """
        feedback = self._history.feedback(report, now_ms, slices_there=slices_there)
        if feedback is not None:
            self._controller.on_feedback(feedback, now_ms)
            self._update(now_ms)

    async def run(self) -> None:
        """Spends less too when reports fail to come; for ever."""
        round_ = 0
        while True:
            now_ms = self._clock()
            self._count(now_ms)
            self._update(now_ms)
            if round_ % 5 == 0:
                self._trace.event("rate_control", at_ms=now_ms, **self.figures(now_ms))
            round_ += 1
            await asyncio.sleep(EVERY_S)

    def unprobed(self, since_ms: float) -> bool:
        """Nothing can be shown yet at the other end, and nothing is known about the path although packets sent from
        `since_ms` on were reported."""
        return self.first_pivot and self._controller.unprobed(since_ms)

    @property
    def loss(self) -> float:
        """The part of the packets that is lost, of late."""
        return self._controller.loss

    def figures(self, now_ms: float) -> dict[str, object]:
        """For trace and report: what is aimed at, why, and what it is spent on."""
        controller, allowance = self._controller, self._allowance
        figures: dict[str, object] = {
            "target_kbps": controller.target_kbps(now_ms),
            "path_kbps": controller.rate_kbps,
            "delivered_kbps": controller.delivered_kbps,
            "other_kbps": self._other_kbps,
            "queue_ms": controller.queue_ms,
            "rtt_ms": controller.rtt_ms,
            "loss": controller.loss,
            "state": controller.state.value,
            "app_limited": controller.app_limited,
        }
        if allowance is not None:
            figures |= {
                "voice_kbps": allowance.voice_kbps,
                "span_ms": allowance.span_ms,
                "copies": allowance.repeat,
                "pivot_kbps": allowance.pivot_kbps,
            }
        return figures

    def _update(self, now_ms: float) -> None:
        controller = self._controller
        if self._changed_ms is None:
            self._changed_ms = now_ms - BETTER_EVERY_MS + BETTER_FIRST_MS
        allowance = allow(
            controller.start_kbps(now_ms) if self.first_pivot else controller.target_kbps(now_ms),
            self._wants(now_ms),
            loss=controller.loss,
            other_kbps=self._other_kbps,
            first_pivot=self.first_pivot,
            before=self._allowance,
        )
        before, thin = self._allowance, controller.limited and allowance.thin
        if allowance == before and thin == self.thin:
            return
        self.thin = thin
        if before is not None and (allowance.voice_kbps, allowance.span_ms) != (before.voice_kbps, before.span_ms):
            self._changed_ms = now_ms
        self._allowance = allowance
        self._spend(allowance)

    def _wants(self, now_ms: float) -> Wants:
        config, before = self._config, self._allowance
        voice_kbps = config.voice_kbps if self._voice else 0.0
        if config.span_ms == AUTO:
            rtt_ms = self._controller.rtt_ms or 0.0
            shortest, longest = next(span for below_ms, span in SHORTEST_MS if rtt_ms < below_ms), SPANS_MS[-1]
        else:
            shortest = longest = min(SPANS_MS, key=lambda span: abs(span - float(config.span_ms)))
        if before is not None and self._changed_ms is not None and now_ms - self._changed_ms < BETTER_EVERY_MS:
            voice_kbps, shortest = min(voice_kbps, before.voice_kbps), max(shortest, before.span_ms)
        return Wants(
            voice_kbps=voice_kbps,
            span_ms=min(shortest, longest),
            longest_ms=longest,
            pivot_kbps=config.pivot_kbps,
            side=config.size,
        )

    def _count(self, now_ms: float) -> None:
        """What crosses the socket besides media: acknowledgements, control, keep-alives."""
        up = self._link.wire_bytes().up
        if self._counted is not None:
            then_ms, then_up, then_media = self._counted
            took_ms = max(1.0, now_ms - then_ms)
            kbps = 8.0 * (up - then_up - (self._media_bytes - then_media)) / took_ms
            share = min(1.0, took_ms / OTHER_WINDOW_MS)
            self._other_kbps = max(0.0, self._other_kbps + share * (kbps - self._other_kbps))
        self._counted = now_ms, up, self._media_bytes
