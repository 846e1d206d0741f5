"""Real calls over a folder of clips, one after the other: what `avcall demo` reports of each, and the means."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.provenance import provenance
from avcall.common.errors import AvcallError, InputError

SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi")
SCALARS = (
    "fps_sent",
    "fps_shown",
    "ticks_filled",
    "freeze_longest_ms",
    "av_skew_ms",
    "av_skew_p95_ms",
    "psnr",
    "ssim",
    "time_to_first_face_ms",
    "play_out_delay_ms",
)
MAPS = ("payload_kbps", "wire_kbps", "latency_ms")
EXTRA_S = 180.0


def clips_in(folder: Path, limit: int = 0) -> list[Path]:
    """The videos of a folder by name, at most `limit` of them unless it is 0.

    Raises:
        InputError: no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise InputError(f"--clips {folder}: no such folder")
    clips = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not clips:
        raise InputError(f"--clips {folder}: no video in it ({', '.join(SUFFIXES)})")
    return clips[:limit] if limit else clips


def measure_calls(
    clips: Sequence[Path], seconds: float, flags: Sequence[str], told: Callable[[str], None]
) -> dict[str, Any]:
    """One call a clip, each with three processes over WebRTC on loopback. `flags` go to `avcall demo`; `told` gets a
    line after each call.

    Raises:
        AvcallError: a call failed; the message is the demo's own.
    """
    rows = {}
    with tempfile.TemporaryDirectory(prefix="avcall-calls-") as folder:
        for clip in clips:
            report = _call(clip, seconds, flags, Path(folder) / clip.stem)
            rows[clip.stem] = {key: report[key] for key in (*SCALARS, *MAPS)}
            rows[clip.stem]["lmd_px"] = report.get("lmd_px")
            wire = report["wire_kbps"]
            told(f"{clip.stem}: {report['fps_shown']:.1f} fps, wire {wire['up']:.1f} up, {wire['down']:.1f} back")
    return {
        **provenance(),
        "seconds": seconds,
        "clips": list(rows),
        "metrics": _means(list(rows.values())),
        "calls": rows,
    }


def _call(clip: Path, seconds: float, flags: Sequence[str], out: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "avcall.cli", "demo", "--no-window", "--video", str(clip), "--out", str(out)]
    command += ["--seconds", f"{seconds:g}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + EXTRA_S, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise AvcallError(f"the call with {clip.name} failed with exit code {done.returncode}: {last}")
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    scalars = {key: _mean([row[key] for row in rows]) for key in (*SCALARS, "lmd_px")}
    maps = {key: {name: _mean([row[key][name] for row in rows]) for name in rows[0][key]} for key in MAPS}
    return {**scalars, **maps}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
