"""What the project set out to reach, beside what was measured: the tables of docs/goals.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from avcall.bench.evaluate_config import LITE, REPEAT_PIVOT
from avcall.bench.evaluate_table import lost_clips

HEAD = ("goal", "wanted", "measured", "met")
_CLASSICAL = "classical"
_DELAY = "glass to glass, p95, with 50 ms added for half of a round trip of 100"
_HALF_WAY_MS = 50.0
_PIVOT_WORDS = {"first_frame": "first frame only", "pivot_1s": "a coded pivot a second"}


class Goal(NamedTuple):
    """A bound, and where what was measured lies."""

    what: str
    wanted: float
    measured: float
    at_least: bool
    digits: int = 2
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def row(self) -> tuple[str, ...]:
        """A goal that is only just missed is told with one digit more."""
        bound = "at least" if self.at_least else "at most"
        wanted, measured = (f"{value:.{self.digits}f}{self.unit}" for value in (self.wanted, self.measured))
        if measured == wanted and not self.met:
            measured = f"{self.measured:.{self.digits + 1}f}{self.unit}"
        return self.what, f"{bound} {wanted}", measured, "yes" if self.met else "**no**"


def evaluation(results: Mapping[str, Any]) -> list[Goal]:
    """Of results/evaluation.json: likeness and motion of lite, by protocol."""
    entries = {(entry["system"], entry["protocol"]): entry for entry in results["systems"]}

    def mean(system: str, protocol: str, measure: str) -> float:
        return float(entries[system, protocol]["metrics"][measure])

    def below(measure: str, protocol: str, wanted: float, other: str = REPEAT_PIVOT) -> Goal:
        against = "repeating the pivot" if other == REPEAT_PIVOT else "the classical twin"
        gain = 100.0 * (1.0 - mean(LITE, protocol, measure) / mean(other, protocol, measure))
        return Goal(f"{_PIVOT_WORDS[protocol]}: {_NAMES[measure]} below {against}", wanted, gain, True, 0, " %")

    def own(measure: str, protocol: str, wanted: float, at_least: bool, digits: int = 2, unit: str = "") -> Goal:
        what = f"{_PIVOT_WORDS[protocol]}: {_NAMES[measure]}"
        return Goal(what, wanted, mean(LITE, protocol, measure), at_least, digits, unit)

    lost = lost_clips(entries[LITE, "first_frame"], entries[REPEAT_PIVOT, "first_frame"])
    clips = sorted({clip for names in lost.values() for clip in names})
    return [
        below("lpips_alex", "first_frame", 35.0),
        below("lpips_alex", "first_frame", 25.0, _CLASSICAL),
        below("lmd_px", "first_frame", 88.0),
        own("mouth_correlation", "first_frame", 0.93, True),
        Goal("first frame only: clips worse than repeating in some measure", 0.0, len(clips), False, 0),
        below("lpips_alex", "pivot_1s", 30.0),
        own("lip_lmd_px", "pivot_1s", 1.0, False, unit=" px"),
        own("mouth_correlation", "pivot_1s", 0.9, True),
        own("mouth_lag_ms", "pivot_1s", 0.0, False, 0, " ms"),
        own("blink_recall", "pivot_1s", 0.8, True),
        own("flicker_ratio", "pivot_1s", 1.2, False),
        below("tlp", "pivot_1s", 40.0),
        below("tof_px", "pivot_1s", 40.0),
    ]


_NAMES = {
    "lpips_alex": "LPIPS",
    "lmd_px": "landmark distance",
    "mouth_correlation": "mouth opening, correlation",
    "lip_lmd_px": "lips' landmark distance",
    "mouth_lag_ms": "mouth lag",
    "blink_recall": "blinks shown",
    "flicker_ratio": "flicker, of the original's",
    "tlp": "tLP",
    "tof_px": "tOF",
}


def two_way(results: Mapping[str, Any]) -> list[Goal]:
    """Of results/calls.json: both ends on one machine."""
    m = results["metrics"]
    payload = m["payload_kbps"]
    return [
        Goal(
            "on the wire each way, the larger, at the pictures below",
            20.0,
            max(m["wire_kbps"].values()),
            False,
            1,
            " kbit/s",
        ),
        Goal("keypoints and pivots", 6.0, payload["keypoints"] + payload["pivots"], False, 1, " kbit/s"),
        Goal("keypoints alone: the ten points, coded", 1.5, m["keypoints_alone_kbps"], False, 1, " kbit/s"),
        Goal("pictures a second shown", 25.0, m["fps_shown"], True, 1),
    ]


def one_way(results: Mapping[str, Any]) -> list[Goal]:
    """Of results/calls_one_way.json: a sender and a receiver on one machine, loopback."""
    m = results["metrics"]
    return [
        Goal(_DELAY, 250.0, m["latency_ms"]["p95"] + _HALF_WAY_MS, False, 0, " ms"),
        Goal("sound against picture, p95", 40.0, m["av_skew_p95_ms"], False, 0, " ms"),
        Goal("pictures a second shown", 25.0, m["fps_shown"], True, 1),
        Goal("display ticks filled", 99.0, 100.0 * m["ticks_filled"], True, 1, " %"),
    ]


def lossy(results: Mapping[str, Any]) -> list[Goal]:
    """Of results/loss.json: whole calls in virtual time, at a round trip of 100 ms."""
    rows = {(row["loss"], row["span_ms"]): row for row in results["rows"] if not row["rate_kbps"]}
    plain, long = rows[0.0, "120"], rows[0.0, "200"]
    goals = [
        Goal("bundles of 120 ms: on the wire", 20.0, plain["wire_kbps"]["mean"], False, 1, " kbit/s"),
        Goal("bundles of 200 ms: on the wire", 16.0, long["wire_kbps"]["mean"], False, 1, " kbit/s"),
        Goal("bundles of 120 ms: glass to glass, p95", 250.0, plain["latency_p95_ms"]["mean"], False, 0, " ms"),
    ]
    for loss, ticks, freeze_ms in ((0.1, 99.0, 300.0), (0.3, 95.0, 500.0)):
        row = rows[loss, "120"]
        name = f"loss {100 * loss:.0f} %"
        goals += [
            Goal(f"{name}: display ticks filled", ticks, 100.0 * row["ticks_filled"]["mean"], True, 1, " %"),
            Goal(f"{name}: longest freeze, worst end", freeze_ms, row["freeze_longest_ms"]["worst"], False, 0, " ms"),
        ]
    return goals
