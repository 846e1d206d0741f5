"""What the keypoints of real faces cost with `--wire coded`, and how far they are off.

Faces are tracked as the sender does it, pivots chosen by its selector (every one arrives at once), frames gathered into
bundles. Bytes are those of the keypoints' part of a bundle, its own header and times included and separately without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.provenance import provenance
from avcall.bench.speed import read_clip
from avcall.common import keypoint_coder, wire
from avcall.common.clock import monotonic_ms
from avcall.common.config import DISPLAY_FPS
from avcall.common.errors import NoFaceError
from avcall.common.frames import Pose, VideoFrame
from avcall.common.keypoints import Keypoints
from avcall.common.wire import Bundle, Packet
from avcall.models.interfaces import KeypointDetector
from avcall.sender.analysis import FaceAnalyser
from avcall.sender.bundler import Bundler
from avcall.sender.packetiser import KeypointPacketiser
from avcall.sender.pipeline import CALM, face_mesh
from avcall.sender.selector import SentPivot, Sight, SimpleSelector, distance

SPANS_MS = (40, 80, 120, 160, 200)
PIVOT_MAX_AGE_MS = 10_000.0
SIDE = 256
LONGEST_FRAMES = 1500


@dataclass(frozen=True)
class Tracked:
    """A frame's pose, and the keypoints of the pivot it refers to."""

    pose: Pose
    pivot: Keypoints


def measure_keypoints(
    clips: Sequence[Path], detector: KeypointDetector, told: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """The results of `avcall bench keypoints`, but for its "command".

    Raises:
        InputError, NoFaceError: clips that cannot be read or show no face.
    """
    tracks = {}
    for clip in clips:
        tracks[clip.stem] = track(read_clip(clip, LONGEST_FRAMES)[0], detector)
        if not tracks[clip.stem]:
            raise NoFaceError(f"--clips: {clip.name} shows no face: leave it out")
        told(f"{clip.stem}: {len(tracks[clip.stem])} frames")
    return {
        **provenance(),
        "model": detector.model.name,
        "clips": list(tracks),
        "settings": {"size": SIDE, "fps": DISPLAY_FPS, "step": keypoint_coder.STEP},
        "spans": [{"span_ms": span_ms, **_cost(list(tracks.values()), span_ms)} for span_ms in SPANS_MS],
        "per_clip_120ms": {name: _cost([frames], 120) for name, frames in tracks.items()},
        "thesis": {"keypoint_kbps": 90 * 8 * DISPLAY_FPS / 1000, "coded_bytes_a_frame": 80.0},
    }


def track(frames: list[VideoFrame], detector: KeypointDetector) -> list[Tracked]:
    """The poses that a sender would send, in order."""
    analyser = FaceAnalyser(face_mesh, detector, SIDE, monotonic_ms)
    selector, before, tracked, pivots = SimpleSelector(PIVOT_MAX_AGE_MS), None, [], 0
    for frame in frames:
        in_use = selector.reference()
        analysis = analyser.analyse(frame, in_use.crop if in_use else None)
        if analysis is None:
            before = None
            continue
        view = analysis.current
        calm = before is not None and before.crop == view.crop and distance(view.keypoints, before.keypoints) < CALM
        before = view
        sight = Sight(view.keypoints, view.crop, calm, leaving=analysis.leaving)
        if selector.wants(sight, frame.capture_ms) is not None:
            selector.sent(SentPivot(pivots, view.crop, view.keypoints, frame.capture_ms))
            selector.acknowledged(pivots)
            pivots += 1
        pivot = selector.refer(sight)
        if pivot is not None and pivot.crop in analysis.views:
            keypoints = analysis.views[pivot.crop].keypoints
            tracked.append(Tracked(Pose(frame.capture_ms, pivot.pivot_id, keypoints), pivot.keypoints))
    analyser.close()
    return tracked


def _cost(tracks: list[list[Tracked]], span_ms: float) -> dict[str, float]:
    frames = coded = whole = bundles = 0
    squares: list[float] = []
    for tracked in tracks:
        bundler, packetiser = Bundler(span_ms, DISPLAY_FPS), KeypointPacketiser()
        pivots = {entry.pose.pivot_id: entry.pivot for entry in tracked}
        packets: list[Packet] = []
        for entry in tracked:
            packets += bundler.pose(packetiser.packet(entry.pose), entry.pivot, entry.pose.capture_ms)
        packets += bundler.flush()
        poses = iter(tracked)
        for bundle in packets:
            assert isinstance(bundle, Bundle)
            found, _ = keypoint_coder.decode(bundle.coded, len(bundle.capture_ms), pivots[bundle.pivot_id])
            squares += [float(np.mean(np.square(points - next(poses).pose.keypoints))) for points in found]
            frames += len(found)
            bundles += 1
            coded += len(bundle.coded)
            whole += len(wire.pack(bundle))
    kbps_a_byte = 8 * DISPLAY_FPS / 1000 / frames
    return {
        "frames": frames,
        "frames_a_bundle": frames / bundles,
        "coded_bytes_a_frame": coded / frames,
        "coded_kbps": coded * kbps_a_byte,
        "bundle_kbps": whole * kbps_a_byte,
        "rms_px_per_coordinate": float(np.sqrt(np.mean(squares))) * (SIDE - 1) / 2,
        "rms_px_per_point": float(np.sqrt(2 * np.mean(squares))) * (SIDE - 1) / 2,
    }
