"""A call that sends the keypoints of every n-th frame only: what is shown for the others, by each way to make them.

Pivots as in `avcall evaluate`'s pivot_1s: one a second through AV1. Keypoints are found and steadied as a sender does,
thinned by its `Thinner`, and interpolated by the receiver's `PoseBuffer`; or the pictures of the poses that were sent
are, by an `Interpolator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from avcall.bench.encoded_pivots import add_pivot
from avcall.bench.evaluate_config import FPS
from avcall.bench.evaluate_show import FRAME_MS, PIVOT_1S, choose_pivots, find_keypoints
from avcall.bench.tensors import tensor
from avcall.common import wire
from avcall.common.frames import Pose
from avcall.common.keypoints import Image, Keypoints, Landmarks
from avcall.common.wire import Bundle, KeypointPacket
from avcall.models import metrics_face
from avcall.models.face_mesh import FaceMesh
from avcall.models.interfaces import Encoded, Interpolator, KeypointDetector, Reenactor
from avcall.models.lpips import Lpips
from avcall.models.metrics import psnr
from avcall.receiver.jitter_buffer import PoseBuffer
from avcall.sender.bundler import Bundler
from avcall.sender.packetiser import KeypointPacketiser
from avcall.sender.thinning import Thinner

LOOK_EVERY = 7
"""Frames from one measured picture to the next: all phases of a gap and all ages of a pivot come up."""
SPAN_MS = 120.0
ALL, KEYPOINTS = "all", "keypoints"

Tracks = dict[int, list[tuple[Pose, Keypoints]]]
"""Poses sent, with their pivots' keypoints, by how many frames one is sent of."""


@dataclass(slots=True)
class Call:
    """One clip's figures by (system, every)."""

    scores: dict[tuple[str, int], dict[str, list[float]]] = field(default_factory=dict)
    tracks: Tracks = field(default_factory=dict)

    @staticmethod
    def table(calls: Sequence[Call]) -> list[dict[str, Any]]:
        """Means over the clips, each clip counting alike, and LPIPS relative to sending all keypoints."""
        keys = list(dict.fromkeys(key for call in calls for key in call.scores))
        rows: list[dict[str, Any]] = []
        for system, every in keys:
            clips = [call.scores[system, every] for call in calls]
            means = {name: float(np.mean([np.mean(clip[name]) for clip in clips if clip[name]])) for name in clips[0]}
            rows.append({"system": system, "every": every, **means})
        whole = next(row["lpips_alex"] for row in rows if row["system"] == ALL)
        return [{**row, "lpips_over_all": row["lpips_alex"] / whole} for row in rows]


class _Driven:
    """Pictures of poses, each made once."""

    def __init__(self, reenactor: Reenactor, encoded: list[Encoded]) -> None:
        self._reenactor, self._encoded = reenactor, encoded
        self._made: dict[float, Image] = {}

    def __call__(self, pose: Pose) -> Image:
        if pose.capture_ms not in self._made:
            self._made[pose.capture_ms] = self._reenactor.drive(self._encoded[pose.pivot_id], pose.keypoints)
        return self._made[pose.capture_ms]


def show_call(
    frames: list[Image],
    meshes: list[Landmarks | None],
    detector: KeypointDetector,
    reenactor: Reenactor,
    interpolators: dict[str, Interpolator],
    everies: Sequence[int],
    lpips: Lpips,
) -> Call:
    """One clip, by all systems."""
    pivots = choose_pivots(PIVOT_1S, frames, FPS)
    keypoints, _ = find_keypoints(detector, frames, meshes)
    encoded: list[Encoded] = []
    for picture, start in zip(pivots.pictures, pivots.starts, strict=True):
        add_pivot(encoded, reenactor, picture, keypoints[start])
    poses = [Pose(FRAME_MS * number, number // FPS, points) for number, points in enumerate(keypoints)]
    driven = _Driven(reenactor, encoded)
    call = Call()
    judge = _Judge(frames, meshes, lpips)
    looked = range(LOOK_EVERY, len(frames), LOOK_EVERY)
    call.tracks[1] = [(pose, keypoints[pivots.starts[pose.pivot_id]]) for pose in poses]
    call.scores[ALL, 1] = judge({number: driven(poses[number]) for number in looked})
    for every in everies:
        sent = call.tracks[every] = thinned(call.tracks[1], every)
        shown: dict[str, dict[int, Image]] = {name: {} for name in (KEYPOINTS, *interpolators)}
        interpolated = interpolated_poses([pose for pose, _ in sent], looked)
        for number, pose in zip(looked, interpolated, strict=True):
            before = max((p for p, _ in sent if p.capture_ms <= FRAME_MS * number), key=lambda p: p.capture_ms)
            after = min((p for p, _ in sent if p.capture_ms >= FRAME_MS * number), key=_time, default=before)
            between = before.capture_ms < after.capture_ms and before.pivot_id == after.pivot_id
            shown[KEYPOINTS][number] = reenactor.drive(encoded[pose.pivot_id], pose.keypoints)
            for name, interpolator in interpolators.items():
                image = driven(before)
                if between:
                    fraction = (FRAME_MS * number - before.capture_ms) / (after.capture_ms - before.capture_ms)
                    image = interpolator.interpolate(image, driven(after), fraction)
                shown[name][number] = image
        for name, pictures in shown.items():
            call.scores[name, every] = judge(pictures)
    judge.close()
    return call


def thinned(track: list[tuple[Pose, Keypoints]], every: int) -> list[tuple[Pose, Keypoints]]:
    """What a sender sends with --keypoints-every."""
    thinner = Thinner(every)
    return [travelling for pose, pivot in track for travelling in thinner.take(pose, pivot)]


def interpolated_poses(sent: Sequence[Pose], frames: Sequence[int]) -> list[Pose]:
    """The poses that a receiver shows at these frames once all that was sent has arrived."""
    buffer = PoseBuffer()
    for number, pose in enumerate(sent):
        packet = KeypointPacket(number, round(pose.capture_ms), pose.pivot_id, pose.keypoints, pose.face_lost)
        buffer.insert(packet, pose.capture_ms)
    samples = [buffer.at(FRAME_MS * number) for number in frames]
    return [sample.pose for sample in samples if sample is not None]


def keypoint_costs(tracks: Sequence[Tracks]) -> list[dict[str, float]]:
    """What the keypoints of all clips cost in bundles of SPAN_MS, by how many frames one is sent of."""
    rows: list[dict[str, float]] = []
    for every in tracks[0]:
        frames = coded = whole = 0
        for track in tracks:
            packetiser, bundler = KeypointPacketiser(), Bundler(SPAN_MS, FPS / every)
            bundles = [b for pose, pivot in track[every] for b in _bundled(bundler, packetiser, pose, pivot)]
            for bundle in [*bundles, *bundler.flush()]:
                assert isinstance(bundle, Bundle)
                frames += len(bundle.capture_ms)
                coded += len(bundle.coded)
                whole += len(wire.pack(bundle))
        seconds = sum(len(track[1]) for track in tracks) / FPS
        kbps = {"coded_kbps": coded * 8 / 1000 / seconds, "bundle_kbps": whole * 8 / 1000 / seconds}
        saved = 100.0 * (1.0 - kbps["bundle_kbps"] / rows[0]["bundle_kbps"]) if rows else 0.0
        rows.append({"every": every, "frames_sent": frames, **kbps, "saved_percent": saved})
    return rows


def _bundled(bundler: Bundler, packetiser: KeypointPacketiser, pose: Pose, pivot: Keypoints) -> list[Any]:
    return bundler.pose(packetiser.packet(pose), pivot, pose.capture_ms)


def _time(pose: Pose) -> float:
    return pose.capture_ms


class _Judge:
    """Compares shown frames with the original's."""

    def __init__(self, frames: list[Image], meshes: list[Landmarks | None], lpips: Lpips) -> None:
        self._frames, self._lpips = frames, lpips
        self._mesh = metrics_face.mesh_array(meshes)
        self._finder = FaceMesh(video=False)
        self._features: dict[int, list[torch.Tensor]] = {}

    def close(self) -> None:
        self._finder.close()

    @torch.inference_mode()
    def __call__(self, shown: dict[int, Image]) -> dict[str, list[float]]:
        found = metrics_face.mesh_array([self._finder.find(image) for image in shown.values()])
        lips = metrics_face.landmark_distance_px(self._mesh[list(shown)], found, metrics_face.LIPS)
        return {
            "lpips_alex": [self._distance(number, image) for number, image in shown.items()],
            "psnr": [psnr(self._frames[number], image) for number, image in shown.items()],
            "lip_lmd_px": [float(distance) for distance in lips if not np.isnan(distance)],
        }

    def _distance(self, number: int, image: Image) -> float:
        if number not in self._features:
            self._features[number] = self._lpips.features(tensor(self._frames[number]))
        return float(self._lpips.compare(self._lpips.features(tensor(image)), self._features[number]))
