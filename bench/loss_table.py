"""The table of whole calls through losses and thin links, in docs/rate-control.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = (
    "both ways",
    "bundles of",
    "ticks filled",
    "longest freeze ms",
    "glass to glass ms: p50, p95",
    "kbit/s sent",
    "first face after s",
    "longest queue of the first 5 s, ms",
)


def rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each kind of call of results/loss.json. Where there are two figures that the head does not name, they
    are the mean and the worst."""
    return [
        (
            f"{row['rate_kbps']:g} kbit/s" if row["rate_kbps"] else f"loss {100 * row['loss']:.0f} %",
            row["span_ms"] if row["span_ms"] == "auto" else f"{row['span_ms']} ms",
            _both(row["ticks_filled"], 1, 100.0, " %"),
            _both(row["freeze_longest_ms"]),
            ", ".join(f"{row[key]['mean']:.0f}" for key in ("latency_p50_ms", "latency_p95_ms") if row[key]),
            _both(row["wire_kbps"], 1),
            _face(row),
            _both(row["queue_ms"]) if row["queue_ms"] else "",
        )
        for row in results["rows"]
    ]


def _face(row: Mapping[str, Any]) -> str:
    if not row["faces"]:
        return "none"
    seldom = f" (at {row['faces']} of {row['ends']} ends)" if row["faces"] < row["ends"] else ""
    return _both(row["first_face_ms"], 1, 0.001) + seldom


def _both(figure: Mapping[str, float], digits: int = 0, times: float = 1.0, unit: str = "") -> str:
    return ", ".join(f"{times * figure[key]:.{digits}f}{unit}" for key in ("mean", "worst"))


def missed(results: Mapping[str, Any]) -> str:
    """When ticks are missed."""
    words = [
        f"{100 * row['missed_first_s'] / row['missed']:.0f} % at {100 * row['loss']:.0f} % loss and {row['span_ms']} ms"
        for row in results["rows"]
        if row["loss"] and row["missed"]
    ]
    return f"Of the ticks that were not filled, in the first second of picture: {', '.join(words)}."
