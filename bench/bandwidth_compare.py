"""What the curves say: delta rates, rates at equal quality, and the goals of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avcall.bench.bandwidth_bd import Point, bd_rate, frontier, rate_at
from avcall.bench.bandwidth_config import AVCALL

QUALITIES = ("lpips_alex", "dists")
BUDGET_KBPS = 6.0
"""Of avcall's payload, for the goals."""
LIKENESS_KBPS = {256: 18.0, 512: 30.0}
MOTION_KBPS = 12.0
SLIDE_SHOW_FPS = 5.0
STEADIER = 0.6
"""tLP and tOF at most this share of a slide show's: 40 per cent better."""
_System = Mapping[str, Any]


def compare(systems: Sequence[_System], size: int) -> dict[str, Any]:
    """For each of avcall's models: every codec's delta rates and rates at equal quality, and the goals."""
    codecs = [system for system in systems if not _is_avcall(system)]
    ours = [system for system in systems if _is_avcall(system)]
    return {
        system["system"]: {
            "against": {codec["system"]: _against(system, codec) for codec in codecs},
            "goals": _goals(system, [codec for codec in codecs if codec["low_delay"]], size),
        }
        for system in ours
    }


def curve(system: _System, name: str, quality: str, rate: str = "payload_kbps") -> list[Point]:
    """(rate, distortion) of a system's points where the quality was measured."""
    points = system["curves"][name]
    return [(point[rate], point["metrics"][quality]) for point in points if point["metrics"].get(quality) is not None]


def _against(system: _System, codec: _System) -> dict[str, Any]:
    """Both of the codec's curves: the best of all settings, and the best with 25 moving pictures a second."""
    result: dict[str, Any] = {}
    for name in ("best", "moving"):
        for quality in QUALITIES:
            ours, theirs = curve(system, "moving", quality), curve(codec, name, quality)
            result[f"{name}_{quality}"] = {
                "bd_rate_percent": _rounded(bd_rate(theirs, ours), 1),
                "bd_rate_wire_percent": _rounded(
                    bd_rate(curve(codec, name, quality, "wire_kbps"), curve(system, "moving", quality, "wire_kbps")), 1
                ),
                "equal_quality": _equal_quality(ours, theirs),
            }
    return result


def _equal_quality(ours: Sequence[Point], theirs: Sequence[Point]) -> dict[str, Any] | None:
    """The rate at which the codec reaches what avcall reaches within the budget; where it does not, on which side of
    the codec's curve that lies."""
    within = [point for point in frontier(ours) if point[0] <= BUDGET_KBPS]
    edge = frontier(theirs)
    if not within or not edge:
        return None
    rate, quality = within[-1]
    side = None
    if quality > edge[0][1]:
        side = "worse than the codec's lowest rate"
    elif quality < edge[-1][1]:
        side = "better than the codec's highest rate"
    return {
        "avcall_kbps": round(rate, 2),
        "quality": round(quality, 4),
        "codec_kbps": _rounded(rate_at(theirs, quality), 2),
        "codec_range_kbps": [round(edge[0][0], 2), round(edge[-1][0], 2)],
        "outside": side,
    }


def _goals(system: _System, codecs: Sequence[_System], size: int) -> dict[str, Any]:
    """Each goal: avcall's figure, the codec's that it is held against, and whether it is met. Likeness is held against
    the codec that looks best at LIKENESS_KBPS, lips and mouth against that codec at MOTION_KBPS, its best setting."""
    points = [point for point in system["curves"]["moving"] if point["payload_kbps"] <= BUDGET_KBPS]
    if not points:
        return {}
    point = points[-1]
    mine = point["metrics"]
    goals: dict[str, Any] = {"avcall_kbps": point["payload_kbps"]}
    liked = _best_at(codecs, LIKENESS_KBPS[size], "lpips_alex", 1)
    that = [codec for codec in codecs if liked is not None and codec["system"] == liked["system"]]
    for name, metric, sign, best in (
        ("lpips", "lpips_alex", 1, liked),
        ("lip_lmd", "lip_lmd_px", 1, _best_at(that, MOTION_KBPS, "lip_lmd_px", 1)),
        ("mouth_correlation", "mouth_correlation", -1, _best_at(that, MOTION_KBPS, "mouth_correlation", -1)),
    ):
        if best is not None and mine.get(metric) is not None:
            met = sign * (mine[metric] - best["value"]) <= 0
            goals[name] = {"avcall": mine[metric], "held_against": best, "met": bool(met)}
    for name, metric in (("tlp", "tlp"), ("tof", "tof_px")):
        best = _best_slide_show(codecs, point["payload_kbps"], metric)
        if best is not None and mine.get(metric) is not None:
            goals[name] = {
                "avcall": mine[metric],
                "held_against": best,
                "met": bool(mine[metric] <= STEADIER * best["value"]),
            }
    return goals


def _best_at(codecs: Sequence[_System], target: float, metric: str, sign: int) -> dict[str, Any] | None:
    """The best codec's value at a target, over its settings."""
    found = [
        {"system": codec["system"], "kbps": point["payload_kbps"], "value": point["metrics"][metric]}
        for codec in codecs
        for name in ("best", "moving")
        for point in codec["curves"][name]
        if point["target_kbps"] == target and point["metrics"].get(metric) is not None
    ]
    return min(found, key=lambda one: sign * float(one["value"]), default=None)


def _best_slide_show(codecs: Sequence[_System], kbps: float, metric: str) -> dict[str, Any] | None:
    """The steadiest of the points that mostly hold their pictures, at about the rate."""
    found = [
        {"system": codec["system"], "kbps": point["payload_kbps"], "value": point["metrics"][metric]}
        for codec in codecs
        for point in codec["curves"]["best"]
        if _is_slide_show(point) and 0.5 * kbps <= point["payload_kbps"] <= 1.2 * kbps
    ]
    return min(found, key=lambda one: float(one["value"]), default=None)


def _is_slide_show(point: Mapping[str, Any]) -> bool:
    """Whether most clips chose at most 5 pictures a second."""
    slow: int = sum(
        int(count)
        for label, count in point["settings"].items()
        if label.endswith(" fps") and float(label.split(", ")[1].removesuffix(" fps")) <= SLIDE_SHOW_FPS
    )
    return bool(2 * slow > sum(point["settings"].values()))


def _is_avcall(system: _System) -> bool:
    return str(system["system"]).startswith(AVCALL)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
