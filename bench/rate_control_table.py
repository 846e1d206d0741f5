"""The tables of docs/rate-control.md."""

from __future__ import annotations

from collections.abc import Mapping
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
    """One row for each call of results/thin_link.json."""
    return [
        (
            f"{call['rate_kbps']}",
            f"{call['sent_kbps']:.1f}",
            f"{call['target_kbps']:.1f}",
            ", ".join(f"{call['queue_ms'][key]:.0f}" for key in ("p50", "p95", "max")),
            f"{call['fps_shown']:.1f}",
            f"{100 * call['ticks_filled']:.1f} %",
            f"{call['freeze_longest_ms']:.0f}",
        )
        for call in results["calls"]
    ]
