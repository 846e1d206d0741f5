"""The table of `avcall bench super-resolution`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    ("LPIPS", "lpips_alex", 3),
    ("DISTS", "dists", 3),
    ("PSNR dB", "psnr", 2),
    ("AED", "aed", 3),
    ("flicker / original's", "flicker_ratio", 2),
    ("seams / original's", "seam_ratio", 3),
    ("drive ms", "drive_ms", 1),
    ("enlarge ms", "upscale_ms", 1),
)
"""Title, name of the measure, digits."""


def table(results: Mapping[str, Any]) -> str:
    """One row a system, the means over the clips."""
    lines = ["| shown at 512 | " + " | ".join(title for title, _, _ in COLUMNS) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for entry in results["systems"]:
        figures = " | ".join(f"{entry['metrics'][name]:.{digits}f}" for _, name, digits in COLUMNS)
        lines.append(f"| {entry['system'].replace('_', ' ')} | {figures} |")
    return "\n".join(lines)
