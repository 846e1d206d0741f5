"""The network beside the pictures: what is drawn while it works, when it looks, and what happens where it fails."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest

from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import STILL, SceneMotion
from avcall.common.stats import Stats
from avcall.models.interfaces import Detailed, DetailedReenactor, Encoded, ModelId
from avcall.receiver.budget import FrameBudget, Version
from avcall.receiver.ladders import ReenactorLadder
from avcall.receiver.late_drive import LEAST_SHARE, LateDrive, SparePace, WarpDrive

PICTURE = np.full((8, 8, 3), 60, np.uint8)


class Clock:
    now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


class Reenactor:
    """Its warp is as bright as the pose; its network adds 100, or fails."""

    model, device = ModelId("net", "0" * 8), "cpu"

    def __init__(self, clock: Clock, large: bool = False) -> None:
        self.clock, self.large = clock, large
        self.broken = False
        self.warps = 0
        self.shown: list[Any] = []

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        return pivot

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        return np.full((8, 8, 3), 250, np.uint8)

    def warp(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Any:
        self.warps += 1
        self.clock.now_ms += 5.0
        return int(keypoints[0, 0])

    def residual(self, encoded: Encoded, warped: Any, keypoints: Keypoints) -> Any:
        self.clock.now_ms += 30.0
        if self.broken:
            raise FloatingPointError("NaN")
        return 100

    def carry(self, encoded: Encoded, warped: Any, late: Any, shown: Any) -> Any:
        self.shown.append(shown)
        return late

    def finish(self, encoded: Encoded, warped: Any, here: Any) -> Image:
        return np.full((8, 8, 3), warped + (here or 0), np.uint8)

    def details(self, encoded: Encoded) -> bool:
        return self.large

    def finish_detailed(self, encoded: Encoded, warped: Any, here: Any) -> Detailed:
        return Detailed(self.finish(encoded, warped, here), PICTURE)


class Held(Executor):
    """Runs a job when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - as every executor does
                future.set_exception(error)

        self.jobs.append(run)
        return future

    def run(self) -> None:
        self.jobs.pop()()


class Always:
    def __init__(self) -> None:
        self.is_due = True
        self.looks: list[tuple[float, float]] = []

    def due(self) -> bool:
        return self.is_due

    def took(self, start_ms: float, end_ms: float) -> None:
        self.looks.append((start_ms, end_ms))


class Bench:
    def __init__(self, *, large: bool = False) -> None:
        self.clock, self.stats = Clock(), Stats()
        self.reenactor, self.worker, self.pace = Reenactor(self.clock, large), Held(), Always()
        self.late = LateDrive(self.reenactor, self.worker, self.pace, self.clock, self.stats)
        self.pivot: Encoded = "pivot"

    def draw(self, pose: int) -> int:
        return int(self.late.drive(self.pivot, np.full((10, 2), pose, np.float32))[0, 0, 0])


def test_pictures_do_not_wait_for_the_network() -> None:
    bench = Bench()
    assert [bench.draw(pose) for pose in (1, 2, 3)] == [1, 2, 3]
    assert len(bench.worker.jobs) == 1, "it looks at one picture at a time"
    bench.worker.run()
    assert [bench.draw(pose) for pose in (4, 5)] == [104, 105]
    assert bench.reenactor.shown == [None, 100], "what the picture before had is passed on"
    assert bench.stats.counters == {"residuals": 1, "pictures_carried": 2}, "three pictures had none yet"
    assert bench.stats.stage_ms()["residual"]["p50"] == 30.0
    assert bench.pace.looks == [(15.0, 45.0)]


def test_the_network_rests_as_the_pace_says_but_never_when_a_pivot_is_new() -> None:
    bench = Bench()
    bench.draw(1)
    bench.worker.run()
    bench.pace.is_due = False
    assert bench.draw(2) == 102
    assert not bench.worker.jobs
    bench.pivot = "another"
    assert bench.draw(3) == 3, "a residual is of one pivot"
    assert len(bench.worker.jobs) == 1
    bench.worker.run()
    assert bench.draw(4) == 104
    assert bench.reenactor.shown[-1] is None, "but not from pivot to pivot"
    bench.pivot = "pivot"
    assert bench.draw(5) == 105, "a pivot that returns has its residual still"
    for number in range(5):
        bench.pivot = f"{number}"
        bench.draw(6)
        bench.worker.run()
    bench.pivot = "pivot"
    assert bench.draw(7) == 7, "but not for ever"


def test_a_pivot_can_have_a_residual_before_it_is_shown() -> None:
    bench = Bench()
    bench.late.prepare("another")
    assert bench.reenactor.warps == 0, "no pose is known yet"
    bench.draw(1)
    bench.worker.run()
    bench.late.prepare("another")
    bench.pivot = "another"
    assert bench.draw(2) == 102
    bench.pivot = "pivot"
    assert bench.draw(3) == 103
    assert bench.stats.counters["residuals"] == 2, "what was prepared was looked at, too"


def test_a_pivot_that_is_encoded_anew_keeps_its_residual() -> None:
    bench = Bench()
    bench.draw(1)
    bench.worker.run()
    assert bench.draw(2) == 102
    bench.late.replace("pivot", "pivot with others")
    bench.pivot = "pivot with others"
    assert bench.draw(3) == 103
    assert bench.reenactor.shown == [None, 100], "carried on from the picture before"
    bench.late.replace("another", "another with others")
    bench.pivot = "another with others"
    assert bench.draw(4) == 4


def test_a_network_that_fails_is_told_with_the_next_picture() -> None:
    bench = Bench()
    bench.reenactor.broken = True
    assert bench.draw(1) == 1
    bench.worker.run()
    with pytest.raises(FloatingPointError):
        bench.draw(2)
    assert bench.draw(3) == 3
    bench.reenactor.broken = False
    bench.worker.run()
    assert bench.draw(4) == 104


def test_large_pivots_come_in_two_parts_and_small_ones_are_not_warped_for_nothing() -> None:
    large, small = Bench(large=True), Bench()
    points = np.full((10, 2), 7, np.float32)
    assert isinstance(large.late, DetailedReenactor)
    for bench in (large, small):
        for drive in (bench.late, WarpDrive(bench.reenactor)):
            made = drive.drive_detailed("pivot", points)
            assert (made is None) == (bench is small)
    assert small.reenactor.warps == 0
    assert not small.worker.jobs
    large.worker.run()
    made = large.late.drive_detailed("pivot", points)
    assert made is not None
    assert made.image[0, 0, 0] == 107


@pytest.mark.parametrize(("spare", "rests_ms"), [(1.0, 30.0), (0.5, 60.0), (-0.3, 30.0 / LEAST_SHARE)])
def test_the_network_takes_the_time_that_pictures_leave(spare: float, rests_ms: float) -> None:
    clock = Clock()
    pace = SparePace(lambda: spare, clock)
    assert pace.due()
    pace.took(1000.0, 1030.0)
    clock.now_ms = 1000.0 + rests_ms - 20.1  # half a tick before
    assert not pace.due()
    clock.now_ms += 0.2
    assert pace.due()


def test_its_rung_lies_between_the_warp_and_the_network() -> None:
    clock, stats = Clock(), Stats()
    reenactor = Reenactor(clock)
    assert ReenactorLadder(reenactor, clock, stats).names == ("warp", "net")
    worker = Held()
    ladder = ReenactorLadder(reenactor, clock, stats, worker)
    assert ladder.names == ("warp", "net carried", "net")
    ladder.budget = FrameBudget({"drive": [Version(name, 5.0) for name in ladder.names]}, ("drive",))
    points = np.full((10, 2), 7, np.float32)
    for _ in range(10):
        ladder.budget.plan(clock())
        ladder.drive("pivot", points)
        ladder.budget.frame(5.0)
    worker.run()
    assert int(ladder.drive("pivot", points)[0, 0, 0]) == 107


def test_pivots_are_prepared_while_its_rung_draws() -> None:
    clock, stats = Clock(), Stats()
    reenactor, worker = Reenactor(clock), Held()
    ladder = ReenactorLadder(reenactor, clock, stats, worker)
    ladder.budget = FrameBudget({"drive": [Version(name, 5.0) for name in ladder.names[:2]]}, ("drive",))
    points = np.full((10, 2), 7, np.float32)
    ladder.drive(ladder.encode(PICTURE, points), points)
    warps = reenactor.warps
    ladder.encode(PICTURE, points)
    assert reenactor.warps == warps, "the warp needs no preparation"
    for _ in range(10):
        ladder.budget.plan(clock())
        ladder.drive(PICTURE, points)
    fresh = ladder.encode(PICTURE.copy(), points)
    assert int(ladder.drive(fresh, points)[0, 0, 0]) == 107
    reenactor.broken = True
    broken = ladder.encode(PICTURE.copy(), points)
    assert stats.counters["residual_failed"] == 1
    assert int(ladder.drive(broken, points)[0, 0, 0]) == 7


def test_a_failing_network_leaves_the_warp() -> None:
    clock, stats = Clock(), Stats()
    reenactor, worker = Reenactor(clock), Held()
    reenactor.broken = True
    ladder = ReenactorLadder(reenactor, clock, stats, worker)
    ladder.budget = FrameBudget({"drive": [Version(name, 5.0) for name in ladder.names[:2]]}, ("drive",))
    points = np.full((10, 2), 7, np.float32)
    for _ in range(10):
        ladder.budget.plan(clock())
        assert int(ladder.drive("pivot", points)[0, 0, 0]) == 7
        if worker.jobs:
            worker.run()
    assert stats.counters["drive_failed"] == 1
    assert ladder.budget.choice("drive").level == 0
