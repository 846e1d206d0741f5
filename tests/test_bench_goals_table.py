"""Goals are met or missed by what was measured, and the page says which."""

from __future__ import annotations

from typing import Any

import pytest

from avcall.bench import goals_table
from avcall.bench.goals_table import Goal

METRICS = {
    "lpips_alex": 0.12,
    "lmd_px": 10.0,
    "mouth_correlation": 0.1,
    "lip_lmd_px": 9.0,
    "mouth_lag_ms": 0.0,
    "blink_recall": 0.1,
    "flicker_ratio": 2.0,
    "tlp": 0.01,
    "tof_px": 0.6,
}
BETTER = {**METRICS, "lpips_alex": 0.06, "lmd_px": 1.0, "mouth_correlation": 0.95, "lip_lmd_px": 1.01, "tof_px": 0.36}


def results(clips: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Three systems by both protocols; `clips` are lite's with the first frame as pivot."""
    systems = []
    for protocol in ("first_frame", "pivot_1s"):
        for system, metrics in (("repeat_pivot", METRICS), ("classical", {**METRICS, "lpips_alex": 0.07})):
            systems.append(
                {"system": system, "protocol": protocol, "metrics": metrics, "clips": dict.fromkeys(clips, METRICS)}
            )
        systems.append({"system": "lite", "protocol": protocol, "metrics": BETTER, "clips": clips})
    return {"systems": systems}


def test_a_bound_counts_as_met_where_it_is_just_reached() -> None:
    assert Goal("a", 0.9, 0.9, at_least=True).row() == ("a", "at least 0.90", "0.90", "yes")
    assert Goal("a", 99.0, 98.97, at_least=True, digits=1, unit=" %").row()[1:] == (
        "at least 99.0 %",
        "98.97 %",
        "**no**",
    )
    assert Goal("a", 1.0, 1.01, at_least=False, unit=" px").row() == ("a", "at most 1.00 px", "1.01 px", "**no**")


def test_gains_are_against_the_slide_show_and_the_twin() -> None:
    goals = {goal.what: goal for goal in goals_table.evaluation(results({"a": BETTER}))}
    against_slides = goals["first frame only: LPIPS below repeating the pivot"]
    assert against_slides.measured == pytest.approx(50.0)
    assert against_slides.met
    against_twin = goals["first frame only: LPIPS below the classical twin"]
    assert against_twin.measured == pytest.approx(100.0 / 7.0)
    assert not against_twin.met
    assert goals["a coded pivot a second: tOF below repeating the pivot"].measured == pytest.approx(40.0)
    assert not goals["a coded pivot a second: lips' landmark distance"].met


def test_clips_that_lose_are_counted_once_each() -> None:
    clips = {"a": BETTER, "b": {**BETTER, "tof_px": 0.7, "lpips_alex": 0.2}, "c": {**BETTER, "tlp": 0.02}}
    goals = {goal.what: goal for goal in goals_table.evaluation(results(clips))}
    assert goals["first frame only: clips worse than repeating in some measure"].measured == 2


def test_a_round_trip_adds_half_of_itself_to_the_delay() -> None:
    metrics = {"latency_ms": {"p95": 210.0}, "av_skew_p95_ms": 30.0, "fps_shown": 24.9, "ticks_filled": 0.991}
    goals = goals_table.one_way({"metrics": metrics})
    met = {goal.what: goal.met for goal in goals}
    (delay,) = (goal for goal in goals if goal.what.startswith("glass to glass"))
    assert delay.measured == 260.0
    assert not delay.met
    assert not met["pictures a second shown"]
    assert met["display ticks filled"]


def test_keypoints_alone_are_not_all_that_counts_as_keypoints() -> None:
    payload = {"keypoints": 3.1, "pivots": 2.8, "voice": 3.0, "control": 1.0}
    metrics = {"payload_kbps": payload, "wire_kbps": {"up": 19.0, "down": 20.5}, "fps_shown": 25.0}
    goals = {goal.what: goal for goal in goals_table.two_way({"metrics": metrics | {"keypoints_alone_kbps": 1.25}})}
    assert goals["keypoints and pivots"].measured == pytest.approx(5.9)
    alone = goals["keypoints alone: the ten points, coded"]
    assert (alone.measured, alone.met) == (1.25, True)
    assert goals["on the wire each way, the larger, at the pictures below"].measured == 20.5
