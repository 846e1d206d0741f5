"""Pictures between two others: when they are interpolated, how often is driven, and what happens on failure."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.frames import Pose
from avcall.common.keypoints import Image
from avcall.common.stats import Stats
from avcall.models.interfaces import Detailed
from avcall.models.twins import BlendInterpolator
from avcall.receiver.inbetween import REST_MS, Inbetween
from avcall.receiver.jitter_buffer import Between


class Bench:
    """A reenactor that draws grey by capture time and takes its time; an interpolator that may fail."""

    def __init__(self, drive_ms: float, interpolate_ms: float = 2.0) -> None:
        self.now_ms = 0.0
        self.drive_ms, self.interpolate_ms = drive_ms, interpolate_ms
        self.fails = False
        self.detailed = False
        self.drives = 0
        self.stats = Stats()
        named = [("network", self), ("blend", BlendInterpolator())]
        self.inbetween = Inbetween(named, lambda: self.now_ms, self.stats)

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        self.now_ms += self.interpolate_ms
        if self.fails:
            raise ArithmeticError("not a number")
        return BlendInterpolator().interpolate(before, after, fraction)

    def drive(self, pose: Pose) -> Detailed | Image:
        self.now_ms += self.drive_ms
        self.drives += 1
        image = np.full((8, 8, 3), round(pose.capture_ms), dtype=np.uint8)
        return Detailed(image, image + 1) if self.detailed else image

    def show(self, at_ms: float, every_ms: float = 80.0) -> int:
        """The grey shown for a media time; poses are sent every `every_ms`."""
        before_ms = at_ms // every_ms * every_ms
        between = None
        if at_ms != before_ms:
            fraction = (at_ms - before_ms) / every_ms
            between = Between(pose(before_ms), pose(before_ms + every_ms), fraction)
        made = self.inbetween.picture(pose(at_ms), between, self.drive)
        return int((made.image if isinstance(made, Detailed) else made)[0, 0, 0])


def pose(at_ms: float) -> Pose:
    return Pose(at_ms, 1, np.full((10, 2), at_ms / 1000, dtype=np.float32))


def test_a_cheap_reenactor_draws_every_pose() -> None:
    bench = Bench(drive_ms=12.0)
    assert [bench.show(at) for at in (0, 40, 80, 120, 160, 200)] == [0, 40, 80, 120, 160, 200]
    assert bench.drives == 6
    assert "pictures_interpolated" not in bench.stats.counters


def test_a_dear_reenactor_draws_the_poses_that_were_sent_once_each() -> None:
    bench = Bench(drive_ms=30.0)
    for at in (0, 80, 160):
        bench.show(at)
    bench.drives = 0
    assert [bench.show(at, 120.0) for at in (160, 200, 240)] == [160, 200, 240]
    assert bench.drives == 2  # 120 and 240: 160 and 200 lie between them
    assert bench.stats.counters["pictures_interpolated"] == 2


def test_a_pose_that_coasts_on_is_drawn_although_its_time_stands() -> None:
    bench = Bench(drive_ms=30.0)
    bench.inbetween.picture(pose(80), None, bench.drive)
    coasting = Pose(80.0, 1, pose(80).keypoints + np.float32(0.01))
    bench.inbetween.picture(coasting, None, bench.drive)
    assert bench.drives == 2


def used(bench: Bench) -> list[str]:
    return [name.removeprefix("interpolate_") for name in bench.stats.stage_ms() if name.startswith("interpolate_")]


def test_an_interpolator_that_takes_longer_than_it_saves_gives_way_to_the_next() -> None:
    bench = Bench(drive_ms=30.0, interpolate_ms=16.0)
    assert [bench.show(at) for at in (0, 80, 160, 200)] == [0, 80, 160, 200]
    assert used(bench) == ["network"]
    bench.show(280)
    assert used(bench) == ["network", "blend"]


def test_a_failure_is_counted_and_the_next_takes_over_for_a_while() -> None:
    bench = Bench(drive_ms=30.0)
    bench.fails = True
    assert [bench.show(at) for at in (0, 80, 160, 200)] == [0, 80, 160, 200]
    assert bench.stats.counters["interpolate_failed"] == 1
    assert used(bench) == ["blend"]
    bench.fails = False
    bench.now_ms += REST_MS
    bench.show(280)
    assert used(bench) == ["blend", "network"]


def test_without_any_interpolator_that_works_the_keypoints_are_interpolated() -> None:
    bench = Bench(drive_ms=30.0)
    bench.inbetween = Inbetween([("network", bench)], lambda: bench.now_ms, bench.stats)
    bench.fails = True
    assert [bench.show(at) for at in (0, 80, 160, 200)] == [0, 80, 160, 200]
    assert used(bench) == []


def test_details_are_interpolated_as_well() -> None:
    bench = Bench(drive_ms=30.0)
    bench.detailed = True
    for at in (0, 80, 160):
        bench.show(at)
    made = bench.inbetween.picture(pose(200), Between(pose(160), pose(240), 0.5), bench.drive)
    assert isinstance(made, Detailed)
    assert (int(made.image[0, 0, 0]), int(made.reference[0, 0, 0])) == (200, 201)


def test_what_the_reenactor_raises_is_not_hidden() -> None:
    bench = Bench(drive_ms=30.0)

    def fails(_: Pose) -> Image:
        raise RuntimeError("no picture")

    with pytest.raises(RuntimeError, match="no picture"):
        bench.inbetween.picture(pose(0), None, fails)
