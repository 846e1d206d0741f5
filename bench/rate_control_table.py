"""The tables of docs/rate-control.md."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any


def rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each stretch of one capacity of each case of results/rate_control.json."""
    made: list[tuple[str, ...]] = []
    for case in results["cases"]:
        for part in case["stretches"]:
            converged = part["converged_s"]
            limited = case["case"].startswith("needs")
            made.append(
                (
                    case["case"],
                    f"{part['from_s']:.0f}-{part['to_s']:.0f} s",
                    f"{part['capacity_kbps']:g}",
                    " + ".join(f"{kbps:.1f}" for kbps in part["kbps"]),
                    "" if limited else "-" if converged is None else f"{converged:.1f}",
                    f"{part['fairness']:.2f}" if len(part["kbps"]) > 1 else "",
                    f"{part['queue_p95_ms']:.0f}, {part['queue_max_ms']:.0f}",
                )
            )
    return made


HEAD = (
    "case",
    "time",
    "capacity kbit/s",
    "arrived kbit/s, by flow",
    "within 15 % after s",
    "fairness (Jain)",
    "queue ms: 95 %, most",
)
CALLS_HEAD = (
    "link kbit/s",
    "sent kbit/s",
    "target kbit/s",
    "queue ms: p50, p95, most",
    "pictures a second",
    "ticks filled",
    "longest freeze ms",
)


def call_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each link of results/thin_link.json: means of its calls, and the longest of their freezes."""
    made: list[tuple[str, ...]] = []
    for rate_kbps, calls in _by_rate(results).items():
        queue = ", ".join(f"{fmean(call['queue_ms'][key] for call in calls):.0f}" for key in ("p50", "p95", "max"))
        made.append(
            (
                f"{rate_kbps}",
                f"{fmean(call['sent_kbps'] for call in calls):.1f}",
                f"{fmean(call['target_kbps'] for call in calls):.1f}",
                queue,
                f"{fmean(call['fps_shown'] for call in calls):.1f}",
                f"{100 * fmean(call['ticks_filled'] for call in calls):.1f} %",
                f"{max(call['freeze_longest_ms'] for call in calls):.0f}",
            )
        )
    return made


def calls_each(results: Mapping[str, Any]) -> str:
    """How many calls a row of `call_rows` stands for."""
    counts = sorted({len(calls) for calls in _by_rate(results).values()})
    return "one call each" if counts == [1] else f"means of {' or '.join(map(str, counts))} calls each"


def _by_rate(results: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for call in results["calls"]:
        found.setdefault(call["rate_kbps"], []).append(call)
    return found
