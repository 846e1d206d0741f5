"""Turns a results file of `avcall evaluate` into Markdown: one table a protocol, and where a system loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avcall.bench.evaluate_config import REPEAT_PIVOT


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    key: str
    digits: int
    better: int
    """-1: lower is better, 1: higher is better, 0: neither."""


COLUMNS = (
    Column("LPIPS", "lpips_alex", 3, -1),
    Column("worst second", "lpips_alex_worst_s", 3, -1),
    Column("DISTS", "dists", 3, -1),
    Column("PSNR dB", "psnr", 1, 1),
    Column("SSIM", "ssim", 3, 1),
    Column("LMD px", "lmd_px", 2, -1),
    Column("lips px", "lip_lmd_px", 2, -1),
    Column("eyes px", "eye_lmd_px", 2, -1),
    Column("pose °", "pose_deg", 1, -1),
    Column("mouth corr.", "mouth_correlation", 2, 1),
    Column("mouth lag ms", "mouth_lag_ms", 0, -1),
    Column("blink recall", "blink_recall", 2, 1),
    Column("blink precision", "blink_precision", 2, 1),
    Column("tLP", "tlp", 4, -1),
    Column("tOF px", "tof_px", 2, -1),
    Column("flicker x", "flicker_ratio", 2, 0),
    Column("freeze s", "freeze_s", 2, -1),
    Column("AED", "aed", 2, -1),
    Column("motion kbit/s", "motion_kbps", 2, 0),
    Column("drive ms", "drive_ms", 0, -1),
)
_TITLES = {
    "first_frame": "The first frame is the only pivot",
    "pivot_1s": "A coded pivot every second",
    "cross_identity": "Another person drives the first frame",
}
_JUDGED = ("lpips_alex", "dists", "psnr", "ssim", "lmd_px", "lip_lmd_px", "mouth_correlation", "tlp", "tof_px", "aed")


def markdown(results: Mapping[str, Any]) -> str:
    """Tables of all systems, by protocol, and the clips on which a system is worse than repeating the pivot."""
    settings = results["settings"]
    side = settings["size"]
    parts = [
        f"{len(results['clips'])} clips, at most {settings['seconds']:g} s each, at {side}x{side}; means over clips. "
        f"LPIPS (alex), PSNR, SSIM, tLP and tOF of one frame in {settings['lpips_every_n_frames']}, "
        f"DISTS and AED of one in {settings['dists_and_identity_every_n_frames']}, the rest of all. "
        f"avcall {results['version']}, "
        f"{commits(results, results['systems'])}, `{results['command']}`, {results['machine']['cpu']}."
    ]
    for protocol in dict.fromkeys(entry["protocol"] for entry in results["systems"]):
        entries = [entry for entry in results["systems"] if entry["protocol"] == protocol]
        parts += [f"### {_title(protocol, entries)}", _table(entries)]
        parts += [line for entry in entries if (line := _losses(entry, entries))]
    if results["skipped"]:
        parts.append("Skipped: " + "; ".join(f"{name} ({reason})" for name, reason in results["skipped"].items()) + ".")
    parts.append("Not measured: " + "; ".join(f"{name} ({why})" for name, why in results["not_measured"].items()) + ".")
    return "\n\n".join(parts) + "\n"


def commits(results: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    """The commit that measured the entries (the file's where one names none), and what each measured if they differ."""
    units = [(entry["system"], entry["protocol"], entry.get("commit", results["commit"])) for entry in entries]
    of_system: dict[str, set[str | None]] = {}
    for system, _, commit in units:
        of_system.setdefault(system, set()).add(commit)
    measured: dict[str | None, list[str]] = {}
    for system, protocol, commit in units:
        name = system if len(of_system[system]) == 1 else f"{system} in {protocol}"
        names = measured.setdefault(commit, [])
        if name not in names:
            names.append(name)
    if len(measured) == 1:
        return f"commit {units[0][2]}"
    return "commits " + ", ".join(f"{commit} ({', '.join(names)})" for commit, names in measured.items())


def _title(protocol: str, entries: list[Mapping[str, Any]]) -> str:
    kbps = next((entry["metrics"]["pivot_kbps"] for entry in entries if "pivot_kbps" in entry["metrics"]), None)
    title = _TITLES.get(protocol, protocol)
    return title if kbps is None else f"{title} ({kbps:.1f} kbit/s of pivots)"


def _table(entries: list[Mapping[str, Any]]) -> str:
    columns = [column for column in COLUMNS if any(entry["metrics"].get(column.key) is not None for entry in entries)]
    arrows = {-1: " ↓", 0: "", 1: " ↑"}
    lines = [
        "| system | " + " | ".join(column.title + arrows[column.better] for column in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for entry in entries:
        cells = (_cell(entry["metrics"].get(column.key), column.digits) for column in columns)
        lines.append(f"| {entry['system']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _losses(entry: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> str:
    """The clips on which a system is worse than repeating the pivot, by measure; empty where there are none."""
    repeated = next((other for other in entries if other["system"] == REPEAT_PIVOT), None)
    if repeated is None or entry["system"] == REPEAT_PIVOT:
        return ""
    found = [f"{title} on {len(lost)} ({', '.join(lost)})" for title, lost in lost_clips(entry, repeated).items()]
    return f"{entry['system']} is worse than repeating the pivot in " + "; ".join(found) + "." if found else ""


def lost_clips(entry: Mapping[str, Any], repeated: Mapping[str, Any]) -> dict[str, list[str]]:
    """The clips on which a system is worse than repeating the pivot, by the title of the measure; those with any."""
    found = {}
    for column in COLUMNS:
        if column.key not in _JUDGED:
            continue
        clips = ((clip, own, repeated["clips"][clip]) for clip, own in entry["clips"].items())
        both = ((clip, own.get(column.key), other.get(column.key)) for clip, own, other in clips)
        lost = [clip for clip, own, other in both if None not in (own, other) and (own - other) * column.better < 0]
        if lost:
            found[column.title] = lost
    return found
