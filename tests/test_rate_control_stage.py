"""Rate control in a call, without the call: what is spent after which reports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from avcall.bench.virtual_time import VirtualTimeLoop, run
from avcall.cli.checks import check_send
from avcall.common import wire
from avcall.common.config import SendConfig
from avcall.common.errors import ConfigError, ProtocolError
from avcall.common.link import Channel, WireBytes
from avcall.common.trace import NullTrace
from avcall.common.wire import KeypointPacket, PivotAck, Report
from avcall.sender.rate_control_allowance import MESSAGE_BYTES, Allowance
from avcall.sender.rate_control_stage import RateStage


@dataclass
class Wire:
    """A link that only counts."""

    up: int = 0

    def send(self, channel: Channel, data: bytes) -> None: ...

    async def receive(self) -> tuple[Channel, bytes]:
        raise NotImplementedError

    def arrived_ms(self) -> float:
        return 0.0

    def wire_bytes(self) -> WireBytes:
        return WireBytes(self.up, 0)

    async def close(self) -> None: ...


@dataclass
class Call:
    """A stage whose packets arrive `delay_ms` later, and are reported one by one."""

    loop: VirtualTimeLoop
    config: SendConfig = field(default_factory=lambda: SendConfig(room="r"))
    spent: list[tuple[float, Allowance]] = field(default_factory=list)
    arrived: int = 0

    def __post_init__(self) -> None:
        self.link = Wire()
        self.begin_ms = self.loop.now_ms()
        self.stage = RateStage(
            self.config,
            voice=True,
            link=self.link,
            clock=self.loop.now_ms,
            trace=NullTrace(),
            spend=lambda allowance: self.spent.append((self.loop.now_ms() - self.begin_ms, allowance)),
        )

    async def talk(self, seconds: float, delay_ms: float = 50.0, loss_every: int = 0) -> None:
        running = asyncio.create_task(self.stage.run())
        for number in range(round(seconds * 1000 / 120)):
            capture_ms = round(self.loop.now_ms()) % 2**32
            packet = KeypointPacket(number % 2**16, capture_ms, 0, None)  # type: ignore[arg-type]
            self.stage.sent(packet, 165)
            self.stage.sent(PivotAck(0, frozenset()), 55)
            self.link.up += 165 + 55 + 2 * MESSAGE_BYTES + 15
            await asyncio.sleep(0.12)
            if loss_every and number % loss_every == 0:
                continue
            self.arrived += 1
            arrived_ms = round(capture_ms + delay_ms) % 2**16
            down = self.link.up // 16 % 2**16
            self.stage.take(Report(capture_ms % 2**16, arrived_ms, 0, self.arrived, down), self.loop.now_ms())
        running.cancel()


def test_it_begins_with_the_least_and_gives_what_is_wanted_once_the_path_is_found() -> None:
    async def main(loop: VirtualTimeLoop) -> Call:
        call = Call(loop)
        call.stage.first_pivot = False
        await call.talk(6.0)
        return call

    call = run(main)
    first, last = call.spent[0][1], call.spent[-1][1]
    assert (first.voice_kbps, first.span_ms, first.repeat) == (6.0, 200, False)
    assert (last.voice_kbps, last.span_ms) == (8.0, 120)
    better = [at_ms for at_ms, allowance in call.spent if allowance.span_ms < 200]
    assert better[0] >= 1_500.0
    figures = call.stage.figures(loop_ms(call))
    assert figures["other_kbps"] == pytest.approx(15 * 8 / 120, abs=0.2)
    assert figures["span_ms"] == 120


def loop_ms(call: Call) -> float:
    return call.begin_ms + 6_000.0


def test_a_queue_is_answered_at_once_and_forgiven_slowly() -> None:
    async def main(loop: VirtualTimeLoop) -> list[tuple[float, Allowance]]:
        call = Call(loop)
        call.stage.first_pivot = False
        await call.talk(6.0)
        await call.talk(1.5, delay_ms=400.0)
        worse_ms = loop.now_ms() - call.begin_ms
        await call.talk(8.0)
        changed = [(at, each) for at, each in call.spent if at > 6_000.0]
        assert changed[0][0] < 6_800.0
        assert max(each.span_ms for _, each in changed) == 200
        better = [at for at, each in changed if each.span_ms < 200 and at > worse_ms]
        assert not better or better[0] > worse_ms + 3_000.0
        return call.spent

    assert run(main)


def test_losses_bring_copies() -> None:
    async def main(loop: VirtualTimeLoop) -> Call:
        call = Call(loop)
        await call.talk(8.0, loss_every=8)
        return call

    call = run(main)
    assert call.spent[-1][1].repeat
    assert call.stage.loss == pytest.approx(0.125, abs=0.08)


def test_a_span_and_a_rate_that_were_asked_for_are_kept() -> None:
    async def main(loop: VirtualTimeLoop) -> Call:
        call = Call(loop, SendConfig(room="r", span_ms="80", max_kbps=25.0))
        await call.talk(6.0)
        return call

    call = run(main)
    assert {allowance.span_ms for _, allowance in call.spent} == {80}
    assert all(allowance.pace_kbps <= 25.0 for _, allowance in call.spent)


def test_a_report_about_another_call_is_refused() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        call = Call(loop)
        with pytest.raises(ProtocolError):
            call.stage.take(Report(1, 2, 3, 4, 5), 0.0)

    run(main)


def test_only_what_is_captured_has_a_stamp() -> None:
    points: Any = None
    assert wire.stamp(KeypointPacket(1, 70_000, 0, points)) == 70_000 - 2**16
    assert wire.stamp(wire.VoicePacket(1, 5, b"x")) == 5
    assert wire.stamp(wire.Bundle(1, (10, 50, 90), 0, b"")) == 90
    assert wire.stamp(PivotAck(0, frozenset())) is None


@pytest.mark.parametrize("kbps", [5.0, 501.0])
def test_a_limit_that_no_call_can_keep_is_refused(kbps: float) -> None:
    with pytest.raises(ConfigError, match="--max-kbps"):
        check_send(SendConfig(room="r", max_kbps=kbps))
