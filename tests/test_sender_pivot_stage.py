"""Sizes of pivots by the budget; what is told to the selector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avcall.bench.memory_link import pair
from avcall.common.config import SendConfig
from avcall.common.keypoints import Image, Keypoints
from avcall.common.pivot_format import PivotAck
from avcall.common.stats import Stats
from avcall.common.trace import NullTrace
from avcall.models.interfaces import Encoded, ModelId
from avcall.sender.analysis import Analysis, View
from avcall.sender.crop import Crop
from avcall.sender.pivot_check import PivotChecker
from avcall.sender.pivot_stage import PivotStage, make_selector
from avcall.sender.selector import Reason, Sight, SimpleSelector


class StandStill:
    """Drives nothing."""

    model = ModelId("fake", "00000000")
    device = "cpu"

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        return pivot

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        assert isinstance(encoded, np.ndarray)
        return encoded


CROP = Crop(40, 40, 160)
FRAME = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
POINTS = np.zeros((10, 2), np.float32)
ANALYSIS = Analysis(0.0, View(CROP, CROP.cut(FRAME, 64), POINTS), {}, False, 0.0, 0.0, FRAME)


async def compute(work: Callable[[], Any]) -> tuple[Any, float]:
    return work(), 0.0


def sides(pivot_size: int, kbps: float, count: int = 11) -> list[int]:
    """Of the pivots sent one after another, each acknowledged at once."""

    async def main() -> list[int]:
        found: list[int] = []
        stage = PivotStage(
            SendConfig(room="r", size=64, pivot_size=pivot_size),
            selector=None,
            checker=None,
            compute=compute,
            link=pair()[0],
            clock=lambda: 0.0,
            stats=Stats(),
            trace=NullTrace(),
            note_sent=lambda packet, size: None,
        )
        stage.set_budget(kbps, 1000, None)
        encode = stage._encoder.encode

        def noted(image: Any) -> Any:
            found.append(image.shape[0])
            return encode(image)

        stage._encoder.encode = noted  # type: ignore[method-assign]
        for number in range(count):
            await stage.send(ANALYSIS, Reason.AGE)
            assert stage.acknowledge(PivotAck(number, frozenset(range(50))), 0.0)
        return found

    return asyncio.run(main())


def test_large_pivots_follow_where_the_budget_allows() -> None:
    assert sides(128, 20.0) == [64] * 8 + [128] * 3
    assert sides(128, 6.0) == [64] * 11
    assert sides(0, 20.0) == [64] * 11


def test_a_crop_that_holds_no_more_is_not_enlarged() -> None:
    assert sides(256, 20.0) == [64] * 11


@pytest.mark.parametrize(("took_ms", "checks"), [(5.0, 50), (60.0, 16)])
def test_checks_take_a_tenth_of_the_time_at_most(took_ms: float, checks: int) -> None:
    async def main() -> int:
        now_ms = 0.0
        checker = PivotChecker(StandStill())

        async def slow(work: Callable[[], Any]) -> tuple[Any, float]:
            nonlocal now_ms
            now_ms += took_ms
            return work(), took_ms

        stats = Stats()
        stage = PivotStage(
            SendConfig(room="r", size=64),
            selector=None,
            checker=checker,
            compute=slow,
            link=pair()[0],
            clock=lambda: now_ms,
            stats=stats,
            trace=NullTrace(),
            note_sent=lambda packet, size: None,
        )
        sight = Sight(POINTS, CROP, calm=True)
        await stage.send(ANALYSIS, Reason.START)
        stage.acknowledge(PivotAck(0, frozenset(range(50))), now_ms)
        jobs = asyncio.create_task(stage.run_jobs())
        done = 0
        for frame in range(250):
            now_ms = max(now_ms, 40.0 * frame)
            before = now_ms
            stage.check(sight, ANALYSIS.current)
            assert now_ms == before  # the frame does not wait for it
            await _worked(stage)
            done += now_ms > before
        jobs.cancel()
        return done

    assert asyncio.run(main()) == pytest.approx(checks, abs=2)


async def _worked(stage: PivotStage) -> None:
    """Lets the worker finish what it was given."""
    for _ in range(8):
        await asyncio.sleep(0)
    assert not stage.busy


def test_a_check_waits_while_a_pivot_is_coded() -> None:
    async def main() -> list[str]:
        done: list[str] = []

        async def noted(work: Callable[[], Any]) -> tuple[Any, float]:
            made = work()
            done.append("coded" if isinstance(made, tuple) else "checked")
            return made, 0.0

        stage = PivotStage(
            SendConfig(room="r", size=64),
            selector=None,
            checker=PivotChecker(StandStill()),
            compute=noted,
            link=pair()[0],
            clock=lambda: 10_000.0,
            stats=Stats(),
            trace=NullTrace(),
            note_sent=lambda packet, size: None,
        )
        await stage.send(ANALYSIS, Reason.START)
        stage.acknowledge(PivotAck(0, frozenset(range(50))), 10_000.0)
        jobs = asyncio.create_task(stage.run_jobs())
        stage.want(ANALYSIS, Reason.AGE)
        assert stage.coding
        stage.check(Sight(POINTS, CROP, calm=True), ANALYSIS.current)  # no: the worker is taken
        await _worked(stage)
        stage.check(Sight(POINTS, CROP, calm=True), ANALYSIS.current)
        assert stage.busy
        assert not stage.coding
        await _worked(stage)
        jobs.cancel()
        return done

    assert asyncio.run(main()) == ["coded", "coded", "checked"]


def test_without_checks_the_selector_goes_by_keypoints() -> None:
    assert type(make_selector(SendConfig(room="r"), None)) is SimpleSelector
