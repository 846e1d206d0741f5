"""Ladders: the version that the budget chose, blended, timed, and replaced where it fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import STILL, SceneMotion
from avcall.common.stats import Stats
from avcall.models.interfaces import Detailed, Encoded, ModelId, followed
from avcall.receiver.budget import FADE_FRAMES, FrameBudget, Version
from avcall.receiver.ladders import EnhancerLadder, ReenactorLadder

PICTURE = np.full((8, 8, 3), 60, np.uint8)


class Clock:
    now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


class Brighter:
    """An enhancer that takes a while and adds to the picture, or fails."""

    def __init__(self, clock: Clock, added: int, took_ms: float) -> None:
        self.clock, self.added, self.took_ms = clock, added, took_ms
        self.broken: Exception | None = None
        self.black = False

    def enhance(self, image: Image) -> Image:
        self.clock.now_ms += self.took_ms
        if self.broken is not None:
            raise self.broken
        return np.asarray(image * 0 if self.black else image + np.uint8(self.added), dtype=np.uint8)


class Bench:
    def __init__(self) -> None:
        self.clock, self.stats = Clock(), Stats()
        self.twin, self.network = Brighter(self.clock, 0, 0.0), Brighter(self.clock, 60, 5.0)
        self.ladder = EnhancerLadder([("off", self.twin), ("sharp", self.network)], self.clock, self.stats)

    def start(self) -> FrameBudget:
        prices = self.ladder.calibrate(lambda part, _: part.enhance(PICTURE))
        self.ladder.budget = FrameBudget({"enhance": prices}, ("enhance",))
        return self.ladder.budget

    def frame(self) -> int:
        assert self.ladder.budget is not None
        self.ladder.budget.plan(self.clock.now_ms)
        value = int(self.ladder.enhance(PICTURE)[0, 0, 0])
        self.ladder.budget.frame(6.0)
        self.clock.now_ms += 40.0
        return value


def test_without_a_budget_the_cheapest_runs() -> None:
    assert int(Bench().ladder.enhance(PICTURE)[0, 0, 0]) == 60


def test_prices_are_measured_and_a_broken_version_costs_too_much() -> None:
    bench = Bench()
    assert bench.ladder.calibrate(lambda part, _: part.enhance(PICTURE)) == (Version("off", 0.0), Version("sharp", 5.0))
    bench.network.broken = RuntimeError("no kernel")
    assert bench.ladder.calibrate(lambda part, _: part.enhance(PICTURE))[1].reference_ms == float("inf")
    bench.start()
    assert [bench.frame() for _ in range(100)] == [60] * 100
    assert bench.stats.counters["enhance_failed"] == 0


def test_a_step_up_is_blended_in() -> None:
    bench = Bench()
    bench.start()
    assert [bench.frame() for _ in range(FADE_FRAMES + 2)] == [70, 80, 90, 100, 110, 120, 120]
    assert bench.stats.stage_ms()["enhance_sharp"]["p50"] == 5.0


@pytest.mark.parametrize("how", ["raises", "black"])
def test_a_failing_network_is_counted_and_its_twin_stands_in(how: str) -> None:
    bench = Bench()
    budget = bench.start()
    for _ in range(10):
        bench.frame()
    bench.network.broken, bench.network.black = (FloatingPointError("NaN"), False) if how == "raises" else (None, True)
    assert [bench.frame() for _ in range(20)] == [60] * 20
    assert bench.stats.counters["enhance_failed"] == 1
    assert budget.running() == ()
    bench.network.broken, bench.network.black = None, False
    assert max(bench.frame() for _ in range(150)) == 120  # tried again later


class Large:
    """A reenactor with a large pivot, whose network comes late or with the picture."""

    model, device = ModelId("large", "0" * 8), "cpu"

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        return "encoded"

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        return self.finish(encoded, 100, 60)

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints) -> Detailed | None:
        return self.finish_detailed(encoded, 100, 60) if self.details(encoded) else None

    def warp(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Any:
        return 100

    def residual(self, encoded: Encoded, warped: Any, keypoints: Keypoints) -> Any:
        return 60

    def carry(self, encoded: Encoded, warped: Any, late: Any, shown: Any) -> Any:
        return late

    def finish(self, encoded: Encoded, warped: Any, here: Any) -> Image:
        assert encoded == "encoded"
        return np.full((8, 8, 3), warped + (here or 0), np.uint8)

    def details(self, encoded: Encoded) -> bool:
        return True

    def finish_detailed(self, encoded: Encoded, warped: Any, here: Any) -> Detailed:
        return Detailed(self.finish(encoded, warped, here), np.full((16, 16, 3), warped + (here or 0) + 1, np.uint8))


def test_a_network_that_may_be_late_gives_two_rungs_for_one_encoding() -> None:
    ladder = ReenactorLadder(Large(), Clock(), Stats())
    assert ladder.names == ("warp", "large")
    points = np.zeros((10, 2), np.float32)
    encoded = ladder.encode(PICTURE, points)
    assert ladder.drive(encoded, points)[0, 0, 0] == 100
    ladder.budget = FrameBudget({"drive": [Version("warp", 5.0), Version("large", 9.0)]}, ("drive",))
    ladder.budget.plan(0.0)
    for _ in range(2):
        ladder.budget.plan(0.0)  # share 1/2
    detailed = ladder.drive_detailed(encoded, points)
    assert detailed is not None
    assert (detailed.image[0, 0, 0], detailed.reference[0, 0, 0]) == (130, 131)


def test_each_pivot_follows_the_one_before() -> None:
    class Following(Large):
        def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
            return f"{keypoints[0, 0]:.0f}"

        def follow(self, encoded: Encoded, other: Encoded) -> Encoded:
            return f"{encoded} after {other}"

    ladder = ReenactorLadder(Following(), Clock(), Stats())
    made = [ladder.encode(PICTURE, np.full((10, 2), number, np.float32)) for number in range(3)]
    assert made == ["0", "1 after 0", "2 after 1 after 0"]
    assert followed(ladder, made[0], made[1]) == "0 after 1 after 0", "and one that is shown again follows the new one"


def test_what_draws_no_details_teaches_no_price() -> None:
    class Small(Large):
        def details(self, encoded: Encoded) -> bool:
            return False

    stats = Stats()
    ladder = ReenactorLadder(Small(), Clock(), stats)
    points = np.zeros((10, 2), np.float32)
    assert ladder.drive_detailed(ladder.encode(PICTURE, points), points) is None
    assert not stats.stage_ms()
    ladder.drive(ladder.encode(PICTURE, points), points)
    assert list(stats.stage_ms()) == ["drive_warp"]


class Repairing:
    """A reenactor whose repair of pivots, or all of whose encoding, may fail."""

    model, device = ModelId("repairing", "0" * 8), "cpu"

    def __init__(self, *, repairs: bool = True, encodes: bool = True) -> None:
        self._repairs, self._encodes = repairs, encodes

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        if not self._repairs:
            raise FloatingPointError("NaN")
        return self.encode_uncoded(pivot + np.uint8(1), keypoints)

    def encode_uncoded(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        if not self._encodes:
            raise ValueError("no squares")
        return pivot

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        assert isinstance(encoded, np.ndarray)
        return encoded


def test_a_repair_that_fails_leaves_the_pivot_as_it_came() -> None:
    points, clock = np.zeros((10, 2), np.float32), Clock()
    for repairs, expected in ((True, 61), (False, 60)):
        stats = Stats()
        ladder = ReenactorLadder(Repairing(repairs=repairs), clock, stats)
        assert int(ladder.drive(ladder.encode(PICTURE, points), points)[0, 0, 0]) == expected
        assert stats.counters["repair_failed"] == (not repairs)
    with pytest.raises(ValueError, match="no squares"):
        ReenactorLadder(Repairing(encodes=False), clock, Stats()).encode(PICTURE, points)
