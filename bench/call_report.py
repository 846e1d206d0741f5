"""From the traces of the two ends of a call to report.json: what it cost, what was shown, how good it was."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.joined_ticks import Tick, fitted, ticks
from avcall.bench.provenance import provenance
from avcall.bench.trace_file import TraceFolder
from avcall.common.config import DISPLAY_FPS
from avcall.common.keypoints import Image, Landmarks
from avcall.common.stats import PAYLOAD_KINDS
from avcall.models.face_mesh import FaceMesh
from avcall.models.metrics import psnr, ssim
from avcall.models.metrics_face import landmark_distance_px, mesh_array, mouth_correlation, mouth_opening

SETTLED_MS = 3000.0
"""The steady rates leave out this much of the beginning: handshake, first pivot."""


@dataclass(slots=True)
class Likeness:
    """Gathers the figures of the pictures, tick by tick. Face meshes are found on filled ticks."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    psnr_all: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    """Of each filled tick, since the first tick."""
    original_mesh: list[Landmarks | None] = field(default_factory=list)
    shown_mesh: list[Landmarks | None] = field(default_factory=list)
    moved: float = 0.0
    """Largest mean difference to the first picture shown, in grey levels."""
    _first: Image | None = None

    def add(self, tick: Tick, meshes: tuple[FaceMesh, FaceMesh]) -> None:
        if tick.original is None:
            return
        original = fitted(tick.original, tick.shown.shape[0])
        value = psnr(original, tick.shown)
        self.psnr_all.append(value)
        if not tick.filled:
            return
        self.second.append(tick.number / DISPLAY_FPS)
        self.psnr.append(value)
        self.ssim.append(ssim(original, tick.shown))
        self.original_mesh.append(meshes[0].find(original))
        self.shown_mesh.append(meshes[1].find(tick.shown))
        if self._first is None or self._first.shape != tick.shown.shape:
            self._first = tick.shown
        self.moved = max(self.moved, float(np.abs(tick.shown.astype(np.int16) - self._first).mean()))

    @property
    def face_share(self) -> float:
        """Share of the pictures shown in which the mesh finds a face."""
        return sum(mesh is not None for mesh in self.shown_mesh) / max(1, len(self.shown_mesh))


def call_report(sender_folder: Path, receiver_folder: Path) -> dict[str, Any]:
    """The report of a call: see docs/commands.md for its keys.

    Raises:
        InputError: a folder without a trace.
    """
    sender, receiver = TraceFolder(sender_folder), TraceFolder(receiver_folder)
    meshes = FaceMesh(video=True), FaceMesh(video=True)
    likeness = Likeness()
    try:
        for tick in ticks(sender, receiver):
            likeness.add(tick, meshes)
    finally:
        for mesh in meshes:
            mesh.close()
    summary = _last(receiver, "summary")
    skew = summary.get("av_skew_ms") or {}
    start = _last(sender, "start")
    return {
        **rates(sender),
        "keypoints_alone_kbps": keypoints_alone_kbps(sender),
        "fps_sent": _fps_sent(sender),
        "fps_shown": summary.get("fps_shown"),
        "ticks_filled": summary.get("ticks_filled"),
        "freeze_longest_ms": summary.get("freeze_longest_ms"),
        "latency_ms": summary.get("latency_ms"),
        "av_skew_ms": skew.get("mean"),
        "psnr": _mean(likeness.psnr),
        "ssim": _mean(likeness.ssim),
        "stage_ms": {**_last(sender, "summary").get("stage_ms", {}), **summary.get("stage_ms", {})},
        "budget": summary.get("budget"),
        "av_skew_p95_ms": skew.get("p95_abs"),
        "psnr_all_ticks": _mean(likeness.psnr_all),
        "face_share": likeness.face_share,
        "moved": likeness.moved,
        **_faces(likeness),
        "time_to_first_face_ms": summary.get("time_to_first_face_ms"),
        "play_out_delay_ms": summary.get("play_out_delay_ms"),
        "pivots": [
            {name: line.get(name) for name in ("size_bytes", "codec", "reason")} for line in sender.of_kind("pivot")
        ],
        "wire_kbps_receiver": rates(receiver)["wire_kbps"],
        "clock_offset_ms": summary.get("clock_offset_ms"),
        "rtt_ms": summary.get("rtt_ms"),
        "rate_control": _rate_control(sender),
        "counters": {
            "sender": _last(sender, "summary").get("counters", {}),
            "receiver": summary.get("counters", {}),
        },
        "machine": {**provenance()["machine"], "load": start.get("load")},
        "version": start.get("version"),
        "model": start.get("model"),
        "weights": start.get("weights"),
        "device": {"sender": start.get("device"), "receiver": _last(receiver, "start").get("device")},
        "input": _last(sender, "input").get("what"),
        "per_second": per_second(sender, receiver, likeness),
    }


def report_back(sender_folder: Path, receiver_folder: Path) -> dict[str, Any]:
    """The other way of a two-way call in brief: rates, what was shown and when, but nothing that takes looking at the
    pictures.

    Raises:
        InputError: a folder without a trace.
    """
    sender, receiver = TraceFolder(sender_folder), TraceFolder(receiver_folder)
    summary = _last(receiver, "summary")
    skew = summary.get("av_skew_ms") or {}
    shown = (
        "fps_shown",
        "ticks_filled",
        "freeze_longest_ms",
        "latency_ms",
        "time_to_first_face_ms",
        "play_out_delay_ms",
    )
    return {
        **rates(sender),
        "fps_sent": _fps_sent(sender),
        **{key: summary.get(key) for key in shown},
        "av_skew_ms": skew.get("mean"),
        "av_skew_p95_ms": skew.get("p95_abs"),
        "stage_ms": {**_last(sender, "summary").get("stage_ms", {}), **summary.get("stage_ms", {})},
        "budget": summary.get("budget"),
        "counters": {"sender": _last(sender, "summary").get("counters", {}), "receiver": summary.get("counters", {})},
        "input": _last(sender, "input").get("what"),
    }


def _rate_control(sender: TraceFolder) -> dict[str, Any] | None:
    """What the sender aimed at and why, in the mean after its first seconds; None without rate control."""
    lines = sender.of_kind("rate_control")
    if not lines:
        return None
    settled = [line for line in lines if line["at_ms"] >= lines[0]["at_ms"] + SETTLED_MS] or lines
    keys = ("target_kbps", "path_kbps", "delivered_kbps", "other_kbps", "queue_ms", "loss", "span_ms")
    return {key: _mean([float(line[key]) for line in settled if line.get(key) is not None]) for key in keys}


def rates(trace: TraceFolder) -> dict[str, Any]:
    """Rates of one end over its whole call, handshake and all, and without its first seconds ("steady")."""
    lines = trace.of_kind("bytes")
    if len(lines) < 2:
        nothing = {"payload_kbps": dict.fromkeys(PAYLOAD_KINDS, 0.0), "wire_kbps": {"up": 0.0, "down": 0.0}}
        return {**nothing, "steady": nothing, "seconds": 0.0}
    settled = next((line for line in lines if line["at_ms"] >= lines[0]["at_ms"] + SETTLED_MS), lines[0])
    whole = {"at_ms": lines[0]["at_ms"], "up": 0, "down": 0, "payload": dict.fromkeys(PAYLOAD_KINDS, 0)}
    return {
        **_between(whole, lines[-1]),
        "steady": _between(settled if settled is not lines[-1] else whole, lines[-1]),
        "seconds": (lines[-1]["at_ms"] - lines[0]["at_ms"]) / 1000.0,
    }


def keypoints_alone_kbps(sender: TraceFolder) -> float | None:
    """Of the payload that counts as keypoints, the ten coded points themselves: without what bundles have before them
    and the scene's motion after them. None where they are not coded."""
    bits, lines = _last(sender, "summary").get("counters", {}).get("keypoint_bits"), sender.of_kind("bytes")
    if bits is None or len(lines) < 2:
        return None
    return float(bits / max(1.0, lines[-1]["at_ms"] - lines[0]["at_ms"]))


def _between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, float]]:
    """kbit/s between two lines of byte counts."""
    scale = 8.0 / max(1.0, after["at_ms"] - before["at_ms"])
    return {
        "payload_kbps": {kind: (after["payload"][kind] - before["payload"][kind]) * scale for kind in PAYLOAD_KINDS},
        "wire_kbps": {way: (after[way] - before[way]) * scale for way in ("up", "down")},
    }


def per_second(sender: TraceFolder, receiver: TraceFolder, likeness: Likeness) -> list[dict[str, Any]]:
    """One map a second since the call stood; a picture belongs to the second in which it was shown."""
    counts = sender.of_kind("bytes")
    shown = receiver.of_kind("picture")
    if not shown or not counts:
        return []
    offset_ms = float(_last(receiver, "summary").get("clock_offset_ms") or 0.0)
    begin_ms = float(counts[0]["at_ms"])
    by_second: dict[int, list[dict[str, Any]]] = {}
    for line in shown:
        by_second.setdefault(max(0, int((line["shown_ms"] + offset_ms - begin_ms) / 1000.0)), []).append(line)
    # Likeness.second counts from the first picture
    first_s = (float(shown[0]["shown_ms"]) + offset_ms - begin_ms) / 1000.0
    seconds = [int(first_s + tick_s) for tick_s in likeness.second]
    return [
        {
            "second": second,
            **_rates_at(counts, begin_ms + 1000.0 * second),
            "fps_shown": sum(bool(line["filled"]) for line in by_second.get(second, [])),
            "latency_ms": _mean([line["latency_ms"] + offset_ms for line in by_second.get(second, [])]),
            "av_skew_ms": _mean([line["skew_ms"] for line in by_second.get(second, []) if line["skew_ms"] is not None]),
            "psnr": _mean([v for v, at in zip(likeness.psnr, seconds, strict=True) if at == second]),
            "ssim": _mean([v for v, at in zip(likeness.ssim, seconds, strict=True) if at == second]),
        }
        for second in range(_whole_seconds(counts, max(by_second) + 1))
    ]


def _whole_seconds(counts: list[dict[str, Any]], shown: int) -> int:
    """Seconds in which something was shown, without the last one if the call did not last through it."""
    lasted = round((float(counts[-1]["at_ms"]) - float(counts[0]["at_ms"])) / 1000.0)
    return max(1, min(shown, lasted))


def _rates_at(counts: list[dict[str, Any]], from_ms: float) -> dict[str, Any]:
    """The rates in the second that begins at `from_ms`, between the two counts that bracket it best."""
    for before, after in itertools.pairwise(counts):
        if after["at_ms"] > from_ms + 500.0 and after["at_ms"] - before["at_ms"] > 300.0:
            return _between(before, after)
    return {"payload_kbps": None, "wire_kbps": None}


def _fps_sent(sender: TraceFolder) -> float:
    """Frames with a face that left the sender, over the time from the first to the last."""
    times = [float(line["capture_ms"]) for line in sender.events if line["kind"] in ("picture", "face_lost")]
    return 1000.0 * (len(times) - 1) / (max(times) - min(times)) if len(times) > 1 and max(times) > min(times) else 0.0


def _faces(likeness: Likeness) -> dict[str, float | None]:
    """Landmark distances in pixels at 256 and the mouth's movement, from the meshes of the filled ticks."""
    pairs = [
        (a, b)
        for a, b in zip(likeness.original_mesh, likeness.shown_mesh, strict=True)
        if a is not None and b is not None
    ]
    if len(pairs) < 3:
        return {"lmd_px": None, "mouth_correlation": None}
    original, shown = mesh_array([a for a, _ in pairs]), mesh_array([b for _, b in pairs])
    correlation = mouth_correlation(mouth_opening(original), mouth_opening(shown))
    return {
        "lmd_px": _mean(list(landmark_distance_px(original, shown))),
        "mouth_correlation": None if math.isnan(correlation) else correlation,
    }


def _last(trace: TraceFolder, kind: str) -> dict[str, Any]:
    found = trace.of_kind(kind)
    return found[-1] if found else {}


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
