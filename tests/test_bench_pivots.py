"""The rules in literal numbers, the matching of bytes, and the means."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.bench.pivot_play import ARRIVES_AFTER, Played, PlayedPivot, TrackedFrame, play
from avcall.bench.pivot_rules import FixedInterval, RunningMean
from avcall.bench.pivots import matched, mean_of
from avcall.common.pivot_format import PivotCodec
from avcall.models.pivot_video import ChainDecoder, CodedPivot
from avcall.sender.analysis import View
from avcall.sender.crop import Crop
from avcall.sender.selector import PivotSelector, Reason, SentPivot, Sight
from tests.test_models_pivot_video import PICTURES

CROP = Crop(0, 0, 128)
POINTS = np.zeros((10, 2), np.float32)
SIGHT = Sight(POINTS, CROP, calm=True)
FRAMES = [TrackedFrame(40.0 * n, View(CROP, PICTURES[n // 10 % 6], POINTS), False) for n in range(60)]


def pivot(number: int, now_ms: float = 0.0) -> SentPivot:
    return SentPivot(number, CROP, POINTS, now_ms)


def test_a_fixed_interval() -> None:
    played = play(FRAMES, FixedInterval(800.0), 3.0, None)
    assert [pivot.frame for pivot in played.pivots] == [0, 20, 40]
    first = 20 + ARRIVES_AFTER
    assert played.references == [0] * first + [1] * 20 + [2] * (60 - first - 20)


def test_bytes_are_those_of_the_pivots_and_pictures_those_of_the_decoder() -> None:
    played = play(FRAMES, FixedInterval(800.0), 3.0, None)
    decoder = ChainDecoder(128, 128)
    for sent in played.pivots:
        assert sent.size_bytes == len(sent.coded.data) + 52
        assert np.array_equal(decoder.decode(sent.coded.data), sent.coded.shown)
    assert played.link_bytes() == sum(sent.size_bytes for sent in played.pivots[1:])


def test_the_running_mean() -> None:
    rule = RunningMean(0.1)
    assert rule.wants(SIGHT, 0.0) is Reason.START
    rule.sent(pivot(0))
    rule.acknowledged(0)
    rule.checked({0: 0.05}, 200.0)
    assert rule.wants(SIGHT, 200.0) is None
    rule.checked({0: 0.16}, 400.0)
    assert rule.wants(SIGHT, 400.0) is Reason.LOOK  # 0.105
    rule.sent(pivot(1, 400.0))
    rule.checked({0: 0.5}, 600.0)
    assert rule.wants(SIGHT, 600.0) is None  # one is on its way
    assert [found.pivot_id for found in rule.to_check(SIGHT, 800.0)] == [0]
    rule.acknowledged(1)
    assert [found.pivot_id for found in rule.to_check(SIGHT, 1000.0)] == [1]


def fake(size: int) -> Played:
    coded = CodedPivot(PivotCodec.AV1_CHAIN, b"", PICTURES[0])
    return Played([PlayedPivot(0, coded, POINTS, 3000), PlayedPivot(1, coded, POINTS, size)], [0], [])


def test_matching_finds_the_nearest_bytes() -> None:
    def run(rule: PivotSelector) -> Played:
        assert isinstance(rule, FixedInterval)
        return fake(round(1_000_000 / rule._interval_ms))

    interval_ms, played = matched(FixedInterval, (80.0, 8000.0), 1000, run)
    assert played.link_bytes() == pytest.approx(1000, rel=0.08)
    assert interval_ms == pytest.approx(1000.0, rel=0.08)


def test_gains_are_shares_of_the_others() -> None:
    def rule(lpips: float, worst: float) -> dict[str, float]:
        return {"lpips_alex": lpips, "lpips_alex_worst_s": worst}

    clips = [
        {"adaptive": rule(0.08, 0.1), "fixed_interval": rule(0.1, 0.2), "running_mean": rule(0.1, 0.1)},
        {"adaptive": rule(0.10, 0.2), "fixed_interval": rule(0.1, 0.2), "running_mean": rule(0.1, 0.2)},
    ]
    found = mean_of(clips)
    assert found["rules"]["adaptive"] == {"lpips_alex": pytest.approx(0.09), "lpips_alex_worst_s": pytest.approx(0.15)}
    assert found["adaptive_gains"]["fixed_interval"]["lpips_alex"] == pytest.approx(0.1)
    assert found["adaptive_gains"]["fixed_interval"]["lpips_alex_worst_s"] == pytest.approx(0.25)
    assert found["adaptive_gains"]["running_mean"]["lpips_alex_worst_s"] == pytest.approx(0.0)
