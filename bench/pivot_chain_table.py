"""The table of `avcall bench pivot-chain`.

A chain has one quality, so settings are compared where they take the same bytes: between the rate factors that each was
measured with, LPIPS is interpolated over the logarithm of the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def table(results: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows: every setting at every rate factor."""
    of_setting: dict[str, list[Mapping[str, Any]]] = {}
    for row in results["rows"]:
        of_setting.setdefault(row["setting"], []).append(row)
    sizes = [row["mean_bytes"] for row in of_setting[results["in_use"]]]
    common = (min(sizes) * max(sizes)) ** 0.5
    rows: list[tuple[str, ...]] = [
        (
            row["setting"] + (" (in use)" if row["setting"] == results["in_use"] else ""),
            f"{row['crf']}",
            f"{row['key_bytes']:.0f}",
            f"{row['link_bytes']:.0f}",
            f"{row['psnr_db']:.1f}",
            f"{row['lpips_alex']:.4f}",
            f"{lpips_at(of_setting[row['setting']], common):.4f}",
            f"{row['key_ms']:.0f}, {row['link_ms']:.0f}",
        )
        for row in results["rows"]
    ]
    compared = f"LPIPS at {common:.0f} bytes a picture"
    return ("SVT-AV1", "crf", "key frame, bytes", "link, bytes", "PSNR dB", "LPIPS", compared, "ms of each"), rows


def lpips_at(rows: Sequence[Mapping[str, Any]], size_bytes: float) -> float:
    """LPIPS of one setting's rows at a mean size of pictures; NaN outside what they took."""
    ordered = sorted(rows, key=lambda row: float(row["mean_bytes"]))
    sizes = [float(row["mean_bytes"]) for row in ordered]
    if not sizes[0] <= size_bytes <= sizes[-1]:
        return float("nan")
    return float(np.interp(np.log(size_bytes), np.log(sizes), [float(row["lpips_alex"]) for row in ordered]))
