"""A call in simulated time as rate control sees it: the real reporter, history, controller and allowance at both ends
of a `simulated_network.Way`, and messages of the sizes that a call has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from avcall.bench.simulated_network import Simulation, Way
from avcall.common.report_format import Report, pack_report, parse_report
from avcall.receiver.reporter import Reporter
from avcall.sender.rate_control import RateController
from avcall.sender.rate_control_allowance import KEYPOINTS_KBPS, MESSAGE_BYTES, Allowance, Wants, allow
from avcall.sender.rate_control_feedback import SentHistory

GREEDY = Wants(voice_kbps=8.0, span_ms=120, pivot_kbps=1e6)
"""Pivots of any quality: uses all that it is allowed."""
TICK_MS = 40.0
ACK_EVERY = 2
"""Messages for each acknowledgement of the transport."""
FRAME_MS = 10.0
"""One frame, which is the least of a bundle, takes as much as the frames and the voice of so many ms."""
FIRST_PIVOT_BYTES = 2800
"""Of the picture that a call begins with."""


@dataclass
class Log:
    """What happened, for figures: (ms, value) pairs."""

    target_kbps: list[tuple[float, float]] = field(default_factory=list)
    arrived_bytes: list[tuple[float, int]] = field(default_factory=list)
    span_ms: list[tuple[float, int]] = field(default_factory=list)
    queue_ms: list[tuple[float, float]] = field(default_factory=list)
    """What a bundle found before it at the bottleneck."""
    lost: int = 0
    first_pivot_ms: float | None = None
    """From the flow's beginning until the first pivot was there; None where its last slice was lost."""


class Flow:
    """One direction of a call. Its receiver reports over `back`, or in the messages of `peer`."""

    def __init__(
        self,
        simulation: Simulation,
        way: Way,
        back: Way,
        *,
        wants: Wants = GREEDY,
        start_ms: float = 0.0,
        pauses_ms: tuple[tuple[float, float], ...] = (),
        max_kbps: float = 500.0,
    ) -> None:
        self.controller = RateController(max_kbps=max_kbps)
        self.log = Log()
        self.peer: Flow | None = None
        self.history, self.reporter = SentHistory(), Reporter()
        self.reports = self.report_bytes = 0
        self._simulation, self._way, self._back = simulation, way, back
        self._wants, self._start_ms, self._pauses_ms = wants, start_ms, pauses_ms
        self._first_slices: list[int] | None = None
        self._next_slice_ms = start_ms
        self._allowance: Allowance | None = None
        self._down_bytes = self._arrivals = self._acks_bytes = 0
        self._other_kbps = 0.0
        self._next_bundle_ms = self._bundle_ms = start_ms
        self._budget_bytes = 0.0
        self._riding: list[bytes] = []
        simulation.at(start_ms, self._tick)

    def _tick(self) -> None:
        now_ms = self._simulation.now_ms
        self._simulation.at(now_ms + TICK_MS, self._tick)
        self._other_kbps += 0.04 * (8.0 * self._acks_bytes / TICK_MS - self._other_kbps)
        self._acks_bytes = 0
        report = self.reporter.report(now_ms)
        if report is not None:
            self._tell(report)
        target = self.controller.target_kbps(now_ms)
        self.log.target_kbps.append((now_ms, target))
        first_pivot = self._first_slices is None or bool(self._first_slices)
        if first_pivot:
            target = self.controller.start_kbps(now_ms)
        if any(begin <= now_ms < end for begin, end in self._pauses_ms):
            self._next_bundle_ms = now_ms
            return
        self._allowance = allow(
            target,
            self._wants,
            loss=self.controller.loss,
            other_kbps=self._other_kbps,
            first_pivot=first_pivot,
            before=self._allowance,
        )
        if now_ms >= self._next_bundle_ms or now_ms == self._start_ms + TICK_MS:  # before and after the first slice
            self._send_bundle(self._allowance, now_ms)
        if first_pivot:
            self._send_first_pivot(self._allowance, now_ms)
        else:
            self._send_pivots(self._allowance)

    def _send_bundle(self, allowance: Allowance, now_ms: float) -> None:
        self.log.span_ms.append((now_ms, allowance.span_ms))
        if self._way.bottleneck is not None:
            self.log.queue_ms.append((now_ms, self._way.bottleneck.waiting_ms()))
        gathered_ms = min(max(now_ms - self._bundle_ms, FRAME_MS), allowance.span_ms)
        payload = (allowance.voice_kbps + KEYPOINTS_KBPS[allowance.span_ms]) * gathered_ms / 8.0
        self._bundle_ms = now_ms
        riding, self._riding = self._riding, []
        size = round(payload) + MESSAGE_BYTES + sum(1 + len(part) for part in riding)
        stamp = round(now_ms)
        self._next_bundle_ms = now_ms + allowance.span_ms
        self.history.sent(stamp, size, now_ms)
        self.controller.on_sent(now_ms)

        def arrived() -> None:
            for part in riding:
                assert self.peer is not None
                self.peer.on_report(part)
            self._arrived(size)
            self.reporter.arrived(stamp, self._down_bytes, self._simulation.now_ms)

        self._way.send(size, arrived)

    def _send_pivots(self, allowance: Allowance) -> None:
        """As the pacer does: slices from a budget that fills at the allowed rate."""
        size = allowance.slice_bytes + MESSAGE_BYTES
        self._budget_bytes = min(self._budget_bytes + allowance.pivot_kbps * TICK_MS / 8.0, 4.0 * size)
        while self._budget_bytes >= size:
            self._way.send(size, lambda size=size: self._arrived(size))  # type: ignore[misc]
            self.history.sent_unstamped(size)
            self._budget_bytes -= size

    def _send_first_pivot(self, allowance: Allowance, now_ms: float) -> None:
        if self._first_slices is None:
            whole, rest = divmod(FIRST_PIVOT_BYTES, allowance.slice_bytes)
            self._first_slices = [*[allowance.slice_bytes] * whole, rest]
        while self._first_slices and now_ms + TICK_MS / 2 >= self._next_slice_ms:
            size = self._first_slices.pop() + MESSAGE_BYTES
            last = not self._first_slices
            self._way.send(size, lambda size=size, last=last: self._slice_arrived(size, last))  # type: ignore[misc]
            self.history.sent_unstamped(size)
            self._next_slice_ms = max(self._next_slice_ms, now_ms - TICK_MS) + 8.0 * size / allowance.pace_kbps

    def _slice_arrived(self, size: int, last: bool) -> None:
        self._arrived(size)
        if last:
            self.log.first_pivot_ms = self._simulation.now_ms - self._start_ms

    def _arrived(self, size: int) -> None:
        self._down_bytes += size
        self.log.arrived_bytes.append((self._simulation.now_ms, size))
        self._arrivals += 1
        if self.peer is not None and self._arrivals % ACK_EVERY == 0:
            self.peer.send_ack()

    def send_ack(self) -> None:
        """The transport's acknowledgement of what the peer has sent takes this flow's way."""
        self._acks_bytes += MESSAGE_BYTES

        def arrived() -> None:
            self._down_bytes += MESSAGE_BYTES

        self._way.send(MESSAGE_BYTES, arrived)

    def _tell(self, report: Report) -> None:
        data = pack_report(report)
        self.reports += 1
        self.report_bytes += 1 + len(data)
        if self.peer is not None:
            self.peer.attach(data)
        else:
            self._back.send(MESSAGE_BYTES + len(data), lambda: self.on_report(data))

    def attach(self, data: bytes) -> None:
        """Rides in the next message."""
        self._riding.append(data)

    def on_report(self, data: bytes) -> None:
        """A report has come back to this flow's sender."""
        now_ms = self._simulation.now_ms
        feedback = self.history.feedback(parse_report(data), now_ms)
        if feedback is not None:
            self.log.lost += feedback.lost
            self.controller.on_feedback(feedback, now_ms)


def pair(first: Flow, second: Flow) -> None:
    """Two flows become the two directions of one call."""
    first.peer, second.peer = second, first


def mean(series: list[tuple[float, float]], since_ms: float, until_ms: float) -> float:
    """The mean of a logged value in a span of time."""
    values = [value for at_ms, value in series if since_ms <= at_ms < until_ms]
    return sum(values) / len(values)


def throughput_kbps(flow: Flow, since_ms: float, until_ms: float) -> float:
    """What arrived of a flow, on the wire."""
    arrived = sum(size for at_ms, size in flow.log.arrived_bytes if since_ms <= at_ms < until_ms)
    return 8.0 * arrived / (until_ms - since_ms)


Build = Callable[[Simulation], list[Flow]]
