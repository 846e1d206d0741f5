"""Tables of `avcall bench interpolation` for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = {
    "hold": "hold",
    "blend": "linear blend",
    "keypoints": "keypoint space",
    "flow": "optical flow (twin)",
    "network": "network (lite)",
    "rife": "RIFE 4.0",
    "all": "all keypoints sent",
}


def triplets(results: Mapping[str, Any]) -> str:
    """Systems against true frames that were left out, and their speed."""
    rows = []
    for system in _NAMES:
        found = {row["every"]: row for row in results["triplets"] if row["system"] == system}
        if not found:
            continue
        measures = [
            f"{found[every]['psnr']:.2f} / {found[every]['ssim']:.4f} / {found[every]['lpips_alex']:.4f}"
            for every in sorted(found)
        ]
        faster = results["rife_over"].get(system)
        ratio = "1" if faster is None or faster > 1000 else f"{faster:.1f}"
        rows.append((_NAMES[system], *measures, f"{results['cpu_ms'][system]:.1f}", "-" if system == "hold" else ratio))
    head = (
        "system",
        "one of two left out: PSNR dB / SSIM / LPIPS",
        "two of three: PSNR dB / SSIM / LPIPS",
        "CPU ms",
        "times as fast as RIFE",
    )
    return _table(head, rows)


def call(results: Mapping[str, Any]) -> str:
    """What the viewer of a call sees where keypoints are left out."""
    rows = [
        (
            "all" if row["every"] == 1 else f"every {'2nd' if row['every'] == 2 else '3rd'}",
            _NAMES[row["system"]],
            f"{row['lpips_alex']:.4f}",
            f"{100 * (row['lpips_over_all'] - 1):+.1f} %",
            f"{row['psnr']:.2f}",
            f"{row['lip_lmd_px']:.2f}",
        )
        for row in results["call"]
    ]
    return _table(("keypoints sent", "the others by", "LPIPS", "against all", "PSNR dB", "lips px"), rows)


def cost(results: Mapping[str, Any]) -> str:
    """What the keypoints cost on the wire."""
    rows = [
        (
            f"one in {row['every']:g}",
            f"{row['coded_kbps']:.2f}",
            f"{row['bundle_kbps']:.2f}",
            f"{row['saved_percent']:.0f} %",
        )
        for row in results["keypoints"]
    ]
    return _table(("keypoints sent", "coded kbit/s", "with the bundles' headers", "saved"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
