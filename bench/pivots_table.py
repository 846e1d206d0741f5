"""The table of `avcall bench pivots`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = (
    "budget, kbit/s",
    "rule",
    "LPIPS ↓",
    "worst second ↓",
    "links, kbit/s",
    "links",
    "the selector's LPIPS against it",
    "worst second",
)
TITLES = {"adaptive": "selector", "fixed_interval": "fixed interval", "running_mean": "DAC's running mean"}


def rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Three rules at each budget."""
    return [
        (
            budget,
            TITLES[rule],
            f"{measured['lpips_alex']:.4f}",
            f"{measured['lpips_alex_worst_s']:.4f}",
            f"{measured['link_kbps']:.2f}",
            f"{measured['links']:.1f}",
            *_against(found["adaptive_gains"].get(rule)),
        )
        for budget, found in results["budgets"].items()
        for rule, measured in found["rules"].items()
    ]


def _against(gains: Mapping[str, float] | None) -> tuple[str, str]:
    if gains is None:
        return "", ""
    mean, worst = gains["lpips_alex"], gains["lpips_alex_worst_s"]
    return f"{-100 * mean:+.1f} %", f"{-100 * worst:+.1f} %"
