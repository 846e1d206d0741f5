"""The table of echo and voice in docs/voice.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = (
    "echo against one's own voice, dB",
    "card's latency off by ms",
    "softer by dB: first second, later",
    "least of a pair",
    "left, dBFS",
    "sent while listening, kbit/s",
    "both talk: PESQ, ESTOI ↑",
    "alone: PESQ, ESTOI ↑",
)
OPEN = "as heard"


def rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Loudest echo first, and of each what the microphone hears before what is left of it."""
    found = results["rows"]
    ordered = sorted(found, key=lambda row: (-row["echo_db"], row["system"] != OPEN, row["wrong_ms"]))
    return [_row(row) for row in ordered]


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    m, is_open = row["metrics"], row["system"] == OPEN
    return (
        f"{row['echo_db']}",
        OPEN if is_open else f"{row['wrong_ms']:+d}" if row["wrong_ms"] else "0",
        "" if is_open else f"{m['reduced_first_db']:.0f}, {m['reduced_db']:.0f}",
        "" if is_open else f"{row['reduced_least_db']:.0f}",
        f"{m['left_dbfs']:.0f}",
        f"{m['sent_kbps']:.1f}",
        f"{m['both_pesq']:.2f}, {m['both_estoi']:.2f}",
        f"{m['near_pesq']:.2f}, {m['near_estoi']:.2f}",
    )
