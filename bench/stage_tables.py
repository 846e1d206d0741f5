"""Tables of `avcall bench enhancement` and `avcall bench ablation`. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NONE = "none"
"""The enhancer that does nothing."""


def enhancement_table(results: Mapping[str, Any]) -> str:
    """The means as a Markdown table, with the change against no enhancement."""
    columns = {"lpips_alex": "LPIPS", "dists": "DISTS", "aed": "AED", "flicker": "flicker", "psnr": "PSNR dB"}
    lines = [
        "| pictures of | enhancer | " + " | ".join(columns.values()) + " | ms |",
        "|---|---|" + "---:|" * (len(columns) + 1),
    ]
    plain = {entry["system"]: entry["metrics"] for entry in results["systems"] if entry["enhancer"] == NONE}
    for entry in results["systems"]:
        cells = []
        for name in columns:
            before = None if entry["enhancer"] == NONE or name == "psnr" else plain[entry["system"]][name]
            cells.append(_change(entry["metrics"][name], before, 2 if name in ("flicker", "psnr") else 4))
        lines.append(
            f"| {entry['system']} | {entry['enhancer']} | {' | '.join(cells)} | {entry['metrics']['enhance_ms']:.1f} |"
        )
    return "\n".join(lines)


def ablation_table(results: Mapping[str, Any]) -> str:
    """The means as Markdown tables, with the change against all stages."""
    columns = {"lpips_alex": "LPIPS", "dists": "DISTS", "tof_px": "tOF px", "flicker_ratio": "flicker x", "aed": "AED"}
    lines: list[str] = []
    for side in dict.fromkeys(entry["side"] for entry in results["systems"]):
        entries = [entry for entry in results["systems"] if entry["side"] == side]
        lines += ["", f"| at {side} pixels | " + " | ".join(columns.values()) + " | ms a frame |"]
        lines.append("|---|" + "---:|" * (len(columns) + 1))
        for entry in entries:
            cells = []
            for name in columns:
                whole = None if entry is entries[0] else entries[0]["metrics"][name]
                cells.append(_change(entry["metrics"][name], whole, 3))
            lines.append(f"| {entry['system']} | {' | '.join(cells)} | {entry['metrics']['ms_a_frame']:.0f} |")
    return "\n".join(lines[1:])


def _change(value: float | None, before: float | None, digits: int) -> str:
    """A value as text, with its change in percent against another one."""
    if value is None:
        return "–"
    shown = f"{value:.{digits}f}"
    return shown if before is None else f"{shown} ({100 * (value / before - 1):+.0f} %)"
