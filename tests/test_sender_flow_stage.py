"""A residual flow is estimated when it is wanted and there is time, and lasts for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest

from avcall.common.residual_flow import NO_FLOW, Flow
from avcall.common.stats import Stats
from avcall.sender.analysis import View
from avcall.sender.crop import Crop
from avcall.sender.flow_stage import LASTS_MS, QUICK_MS, SHARE, SHARE_BETWEEN, FlowStage
from avcall.sender.pivot_check import PivotChecker

T = TypeVar("T")
VIEW = View(Crop(0, 0, 256), np.zeros((8, 8, 3), np.uint8), np.zeros((10, 2), np.float32))
TOOK_MS = 8.0


class Counting(PivotChecker):
    """Its n-th flow is (n,)."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def flow(self, pivot_id: int, view: View) -> Flow:
        self.asked.append(pivot_id)
        return (float(len(self.asked)),)


class Line:
    """A stage whose clock is set by hand."""

    def __init__(self, checker: PivotChecker | None, took_ms: float = TOOK_MS) -> None:
        self.now_ms, self.took_ms, self.stats = 0.0, took_ms, Stats()
        self.stage = FlowStage(checker, compute=self._compute, clock=lambda: self.now_ms, stats=self.stats)

    async def _compute(self, work: Callable[[], T]) -> tuple[T, float]:
        self.now_ms += self.took_ms
        return work(), self.took_ms

    def at(self, now_ms: float, pivot_id: int = 0, *, wanted: bool = True, last: bool = True) -> Flow:
        self.now_ms = now_ms
        return asyncio.run(self.stage.flow(pivot_id, VIEW, wanted=wanted, last=last))


def test_it_is_estimated_when_it_is_wanted_and_repeated_in_between() -> None:
    checker = Counting()
    line = Line(checker)
    assert line.at(0.0, wanted=False) == NO_FLOW
    assert [line.at(40.0), line.at(80.0, wanted=False), line.at(160.0)] == [(1.0,), (1.0,), (2.0,)]
    assert checker.asked == [0, 0]
    assert line.stats.stage_ms()["flow"]["p50"] == pytest.approx(TOOK_MS)


def test_estimates_take_their_share_of_the_time() -> None:
    checker = Counting()
    line = Line(checker)
    for number in range(250):
        line.at(40.0 * number)
    assert len(checker.asked) * TOOK_MS == pytest.approx(SHARE * 10_000.0, rel=0.25)
    assert len(checker.asked) * TOOK_MS <= SHARE * 10_000.0 + TOOK_MS


def test_estimates_between_have_a_share_of_their_own() -> None:
    checker = Counting()
    line = Line(checker)
    lasts = 0
    for number in range(250):
        estimates = len(checker.asked)
        line.at(40.0 * number, last=number % 3 == 2)
        if number % 3 == 2:  # a bundle's last frame has its own, whatever those between have taken
            assert len(checker.asked) == estimates + 1
            lasts += 1
    assert (len(checker.asked) - lasts) * TOOK_MS == pytest.approx(SHARE_BETWEEN * 10_000.0, rel=0.3)


def test_a_frame_between_without_an_estimate_repeats_what_was_told() -> None:
    line = Line(Counting())
    told = line.at(0.0)
    assert line.at(40.0, last=False) == (2.0,)
    assert line.at(80.0, last=False) == told  # not the estimate of another frame


def test_a_busy_machine_estimates_with_last_frames_only() -> None:
    checker = Counting()
    line = Line(checker, took_ms=1.5 * QUICK_MS)
    line.at(0.0)
    for number in range(1, 50):
        line.at(100.0 * number, last=False)
    assert len(checker.asked) == 1
    line.took_ms = 0.5 * QUICK_MS
    line.at(5_000.0)
    line.at(5_040.0, last=False)
    assert len(checker.asked) == 3


def test_another_pivot_and_age_end_it() -> None:
    line = Line(Counting())
    assert line.at(0.0) == (1.0,)
    assert line.at(40.0, pivot_id=1, wanted=False) == NO_FLOW
    assert line.at(200.0, pivot_id=1) == (2.0,)
    assert line.at(200.0 + LASTS_MS, pivot_id=1, wanted=False) == (2.0,)
    assert line.at(210.0 + LASTS_MS, pivot_id=1, wanted=False) == NO_FLOW


def test_without_a_checker_there_is_none() -> None:
    assert Line(None).at(0.0) == NO_FLOW
