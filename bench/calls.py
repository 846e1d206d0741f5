"""Real calls over a folder of clips, one after the other: what `avcall demo` reports of each, and the means.

A two-way call is one between a clip and the next, each of which begins again where it ends before the call. Both speak
all the time then, as far as the speech gate lets them: in a conversation in turns the voice costs half of that. Nothing
is recorded but the traces that the figures are made from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.provenance import provenance
from avcall.bench.report_page import pictures_a_look
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
STEADY = ("steady_wire_kbps", "steady_payload_kbps")
"""Without the first three seconds of a call: handshake, first pivot."""
BACK = ("fps_sent", "fps_shown", "ticks_filled", "freeze_longest_ms", "latency_ms", "payload_kbps")
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
    clips: Sequence[Path],
    seconds: float,
    flags: Sequence[str],
    told: Callable[[str], None],
    *,
    two_way: bool = False,
    done: Mapping[str, dict[str, Any]] | None = None,
    keep: Callable[[dict[str, Any]], None] = lambda results: None,
) -> dict[str, Any]:
    """One call a clip, each with three processes over WebRTC on loopback. `flags` go to `avcall demo`; `told` gets a
    line after each call. Clips in `done` are not called again; `keep` gets the results so far after each call.

    Raises:
        AvcallError: a call failed; the message is the demo's own.
    """
    rows = {clip.stem: dict(done[clip.stem]) for clip in clips if done and clip.stem in done}
    with tempfile.TemporaryDirectory(prefix="avcall-calls-") as folder:
        for number, clip in enumerate(clips):
            if clip.stem in rows:
                continue
            back = ["--two-way", "--video-back", str(clips[(number + 1) % len(clips)])] if two_way else []
            report = _call(clip, seconds, [*flags, *back], Path(folder) / clip.stem)
            rows[clip.stem] = _row(report)
            wire = report["wire_kbps"]
            told(f"{clip.stem}: {report['fps_shown']:.1f} fps, wire {wire['up']:.1f} up, {wire['down']:.1f} back")
            keep(_results(clips, rows, seconds, two_way))
    return _results(clips, rows, seconds, two_way)


def _row(report: dict[str, Any]) -> dict[str, Any]:
    row = {key: report[key] for key in (*SCALARS, *MAPS)}
    row["lmd_px"] = report.get("lmd_px")
    row["keypoints_alone_kbps"] = report.get("keypoints_alone_kbps")
    row["steady_wire_kbps"] = report["steady"]["wire_kbps"]
    row["steady_payload_kbps"] = report["steady"]["payload_kbps"]
    row["load"] = report["machine"].get("load")
    if report.get("budget"):
        row["drawn"] = report["budget"]["stages"]["drive"]
        row["pictures_a_look"] = pictures_a_look(report)
    if "back" in report:
        row["back"] = {key: report["back"][key] for key in BACK}
    return row


def _results(
    clips: Sequence[Path], rows: Mapping[str, dict[str, Any]], seconds: float, two_way: bool
) -> dict[str, Any]:
    known = [clip.stem for clip in clips if clip.stem in rows]
    return {
        **provenance(),
        "seconds": seconds,
        "two_way": two_way,
        "clips": known,
        "metrics": _means([rows[name] for name in known]),
        "calls": {name: rows[name] for name in known},
    }


def _call(clip: Path, seconds: float, flags: Sequence[str], out: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "avcall.cli", "demo", "--no-window", "--no-record", "--video", str(clip)]
    command += ["--out", str(out), "--seconds", f"{seconds:g}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + EXTRA_S, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise AvcallError(f"the call with {clip.name} failed with exit code {done.returncode}: {last}")
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    scalars = {key: _mean([row[key] for row in rows]) for key in (*SCALARS, "lmd_px")}
    for key in ("pictures_a_look", "keypoints_alone_kbps"):
        scalars[key] = _mean([row.get(key) for row in rows])
    known = [key for key in (*MAPS, *STEADY, "drawn") if key in rows[0]]
    maps = {key: {name: _mean([row[key][name] for row in rows]) for name in rows[0][key]} for key in known}
    return {**scalars, **maps}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
