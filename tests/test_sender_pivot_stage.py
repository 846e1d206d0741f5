"""Sizes of pivots by the budget; what is told to the selector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from avcall.common.config import SendConfig
from avcall.common.pivot_format import PivotAck
from avcall.common.stats import Stats
from avcall.common.trace import NullTrace
from avcall.sender.analysis import Analysis, View
from avcall.sender.crop import Crop
from avcall.sender.pivot_stage import PivotStage, make_selector
from avcall.sender.selector import Reason, SimpleSelector
from tests.memory_link import pair

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


def test_without_checks_the_selector_goes_by_keypoints() -> None:
    assert type(make_selector(SendConfig(room="r"), None)) is SimpleSelector
