"""The clock offset between two machines."""

from __future__ import annotations

import pytest

from avcall.common.clock import ClockOffset, monotonic_ms


def test_the_quickest_echo_decides() -> None:
    offset = ClockOffset()
    assert offset.rtt_ms is None
    assert offset.offset_ms is None
    offset.add_echo(sent_ms=1000, peer_ms=51_090, received_ms=1200)  # slow on the way back: error 10
    offset.add_echo(sent_ms=2000, peer_ms=52_020, received_ms=2040)  # symmetric
    offset.add_echo(sent_ms=3000, peer_ms=53_150, received_ms=3160)  # slow on the way there
    assert offset.rtt_ms == 40
    assert offset.offset_ms == pytest.approx(50_000)


def test_old_echoes_are_forgotten_and_impossible_ones_ignored() -> None:
    offset = ClockOffset(window=2)
    offset.add_echo(0, 100, 10)
    offset.add_echo(100, 250, 90)  # received before it was sent
    assert offset.rtt_ms == 10
    offset.add_echo(200, 320, 220)
    offset.add_echo(300, 430, 330)
    assert offset.rtt_ms == 20


def test_the_clock_does_not_run_backwards() -> None:
    first = monotonic_ms()
    assert monotonic_ms() >= first
