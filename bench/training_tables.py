"""Tables of the model card: how val figures fell with the pairs seen, and what learned detectors are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def learning_table(results: Mapping[str, Any]) -> str:
    """One row an evaluation, from `python -m avcall.bench.learning_curve`."""
    lines = [
        "| run | pairs | minutes | LPIPS, first frame | lips px | LPIPS, a coded pivot every second | lips px |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in results["runs"]:
        for row in run["rows"]:
            cells = [run["run"], f"{row['pairs']}", f"{row['minutes']:.0f}"]
            for protocol in ("first_frame", "pivot_1s"):
                cells += [f"{row[protocol]['lpips']:.4f}", f"{row[protocol]['lip_px']:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n" + _made(results, "val clips, three frames of each")


def detector_table(results: Mapping[str, Any]) -> str:
    """One row a detector, from `avcall bench detector`."""
    lines = [
        "| keypoints | jitter px | behind the filter px | error px | error in motion px | shift px "
        "| depth of blinks | later by ms | bytes a frame | detect path ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['detector']} | {row['jitter_px']:.3f} | {row['filtered_jitter_px']:.3f} | {row['error_px']:.3f} "
        f"| {row['moving_error_px']:.3f} | {row['shift_px']:.3f} | {row['blink_depth']:.2f} "
        f"| {row['blink_lag_ms']:.1f} | {row['coded_bytes']:.2f} | {row['detect_path_ms']:.1f} |"
        for row in results["rows"]
    ]
    clips = f"{len(results['clips'])} clips, {results['rows'][0]['blinks']} blinks"
    return "\n".join(lines) + "\n\n" + _made(results, clips)


def _made(results: Mapping[str, Any], what: str) -> str:
    machine = results["machine"]
    return (
        f"{what}; avcall {results['version']}, commit {results['commit']}, `{results['command']}`, {machine['cpu']}, "
        f"{machine['cores']} cores."
    )
