"""avcall on one clip, offline: the very packets of a call, and what its receiver shows of them.

Mesh, keypoints, One-Euro filter and bundles are the sender's, pivots are its slow video, the picture is the receiver's
reenactor's, and a larger display has it from the receiver's super-resolution. As with the codecs, everything arrives at
once: loss, delay and acknowledgements are for `avcall bench calls`. The crop is the clip's own frame, so that every
system is compared on the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from avcall.bench.bandwidth_config import FPS, SPAN_MS
from avcall.bench.bandwidth_search import QualitySearch
from avcall.bench.bandwidth_systems import Candidate, Setting
from avcall.bench.encoded_pivots import add_pivot
from avcall.bench.evaluate_show import FRAME_MS, WHOLE, find_keypoints, find_scenes
from avcall.common import wire
from avcall.common.frames import Pose
from avcall.common.keypoints import Image, Keypoints, Landmarks
from avcall.common.pivot_format import PivotBody, rounded
from avcall.common.residual_flow import NO_FLOW
from avcall.common.scene import SceneMotion
from avcall.common.wire import Bundle, KeypointPacket
from avcall.models.classical import ClassicalReenactor
from avcall.models.interfaces import (
    Encoded,
    Guide,
    KeypointDetector,
    Reenactor,
    SuperResolver,
    driven,
    driven_detailed,
)
from avcall.models.pivot_video import PivotVideoEncoder
from avcall.receiver.bundles import BundleReader
from avcall.receiver.dissolve import FADE_TICKS, Difference, difference, mixed, share
from avcall.sender.analysis import View
from avcall.sender.bundler import Bundler
from avcall.sender.packetiser import KeypointPacketiser
from avcall.sender.pivot_check import PivotChecker

PACKET_BYTES = 85
"""What SCTP, DTLS, UDP and IPv4 put around a packet of a call (docs/wire.md)."""
PIVOT_CRFS = (30, 33, 36, 40, 45, 50, 55, 60, 63)
"""Qualities of the chain of pivots, the finest first: those that `pivot_video` chooses from, and three coarser ones."""


@dataclass(frozen=True, slots=True)
class Pivots:
    """The pivots of a clip as the receiver has them, and their packets."""

    pictures: list[Image]
    packets: list[bytes]


@dataclass(frozen=True, slots=True)
class Poses:
    """Every tick's keypoints and scene as the receiver has them, the pivots' own keypoints, and the bundles."""

    starts: list[int]
    pivots: list[Keypoints]
    keypoints: list[Keypoints]
    scenes: list[SceneMotion]
    packets: list[bytes]


class FixedQuality(PivotVideoEncoder):
    """Pivots of one quality, whatever a budget would make of it: the benchmark looks for the one that fits."""

    def __init__(self, crf: int) -> None:
        super().__init__(1.0)
        self._crf = crf


class AvcallRunner:
    """`frames` are square, of the display's size; `meshes` has at least one face."""

    def __init__(
        self,
        detector: KeypointDetector,
        reenactor: Reenactor,
        frames: list[Image],
        meshes: list[Landmarks | None],
        upscaler: SuperResolver,
    ) -> None:
        self._detector, self._reenactor, self._upscaler = detector, reenactor, upscaler
        self._frames, self._meshes = frames, meshes
        self._poses: dict[float, Poses] = {}
        self._pivots: dict[tuple[Setting, int], Pivots] = {}
        self._searches: dict[Setting, QualitySearch] = {}

    def fit(self, setting: Setting, budget_bytes: int) -> Candidate:
        worst = len(PIVOT_CRFS) - 1
        if setting not in self._searches:
            self._searches[setting] = QualitySearch(lambda quality: self._size(setting, quality), 0, worst, worst // 2)
        best = self._searches[setting].best(budget_bytes)
        quality = worst if best is None else best
        bundles, slices = self._packets(setting, quality)
        payload = {"keypoints": sum(map(len, bundles)), "pivots": sum(map(len, slices))}
        overhead = PACKET_BYTES * (len(bundles) + len(slices))
        return Candidate(setting, quality, payload, sum(payload.values()) + overhead, best is not None)

    def shown(self, candidate: Candidate) -> list[Image]:
        return self.glimpse(candidate, list(range(len(self._frames))))

    def glimpse(self, candidate: Candidate, ticks: list[int]) -> list[Image]:
        poses = self._posed(candidate.setting.pivot_s)
        pictures = self._coded(candidate.setting, candidate.quality).pictures
        side = self._frames[0].shape[0]
        encoded: list[Encoded] = []
        apart: dict[int, Difference] = {}
        images = []
        for tick in ticks:
            number = int(np.searchsorted(poses.starts, tick, side="right")) - 1
            for picture, points in zip(pictures[len(encoded) : number + 1], poses.pivots[len(encoded) :], strict=False):
                add_pivot(encoded, self._reenactor, picture, points)
            image, reference = self._drive(encoded[number], poses, tick)
            left = FADE_TICKS - (tick - poses.starts[number])
            if number > 0 and left > 0:
                if number not in apart:
                    apart[number] = self._apart(encoded, number, poses)
                image = mixed(image, apart[number][0], share(left))
            if len(image) != side:
                image = self._upscaler.upscale(image, side, Guide(reference, poses.keypoints[tick]))
            images.append(image)
        return images

    def _apart(self, encoded: list[Encoded], number: int, poses: Poses) -> Difference:
        """What was shown last before a change of pivot, less the first picture after it."""
        start = poses.starts[number]
        last = self._drive(encoded[number - 1], poses, start - 1)[0]
        return difference(last, self._drive(encoded[number], poses, start)[0], poses.keypoints[start])

    def _drive(self, encoded: Encoded, poses: Poses, tick: int) -> tuple[Image, Image | None]:
        """A picture of 256 pixels, and by a larger pivot the reference that it is enlarged by."""
        motion = poses.keypoints[tick], poses.scenes[tick]
        detailed = driven_detailed(self._reenactor, encoded, *motion)
        if detailed is None:
            return driven(self._reenactor, encoded, *motion), None
        return detailed.image, detailed.reference

    @cached_property
    def _views(self) -> list[View]:
        """The clip as a sender sees it."""
        size = min(256, self._frames[0].shape[0])
        frames = [_reduced(frame, size) for frame in self._frames]
        found = find_keypoints(self._detector, frames, self._meshes)[0]
        seen = zip(frames, found, find_scenes(frames, self._meshes), strict=True)
        return [View(WHOLE, *parts) for parts in seen]

    def _size(self, setting: Setting, quality: int) -> int:
        return sum(map(len, (packet for kind in self._packets(setting, quality) for packet in kind)))

    def _packets(self, setting: Setting, quality: int) -> tuple[list[bytes], list[bytes]]:
        return self._posed(setting.pivot_s).packets, self._coded(setting, quality).packets

    def _posed(self, pivot_s: float) -> Poses:
        if pivot_s not in self._poses:
            starts = list(range(0, len(self._frames), round(pivot_s * FPS)))
            self._poses[pivot_s] = send_keypoints(self._views, starts, PivotChecker(ClassicalReenactor()))
        return self._poses[pivot_s]

    def _coded(self, setting: Setting, quality: int) -> Pivots:
        if (setting, quality) not in self._pivots:
            poses = self._posed(setting.pivot_s)
            pictures = [_reduced(self._frames[start], setting.side) for start in poses.starts]
            self._pivots[setting, quality] = send_pivots(pictures, poses.pivots, poses.starts, PIVOT_CRFS[quality])
        return self._pivots[setting, quality]


def send_keypoints(views: list[View], starts: list[int], checker: PivotChecker | None = None) -> Poses:
    """Codes every view's keypoints and scene in bundles against its pivot's, and decodes the packets again. `starts`
    are the views that become pivots, 0 among them. A new `checker` finds their residual flows, by pivots that were not
    coded: so the packets are the same at every quality of pivots."""
    pivots = [rounded(views[start].keypoints) for start in starts]
    bundler, packetiser = Bundler(SPAN_MS, FPS), KeypointPacketiser()
    bundles = []
    number = -1
    for tick, view in enumerate(views):
        if tick in starts:
            number += 1
            if checker is not None:
                checker.add(number, view.image, pivots[number], view)
        flow = NO_FLOW if checker is None else checker.flow(number, view)
        motion = replace(view.scene.since(views[starts[number]].scene), flow=flow)
        packet = packetiser.packet(Pose(tick * FRAME_MS, number, view.keypoints, scene=motion))
        bundles += bundler.pose(packet, pivots[number], tick * FRAME_MS)
    packets = [wire.pack(bundle) for bundle in [*bundles, *bundler.flush()]]
    received: list[KeypointPacket] = []
    reader = BundleReader()
    for data in packets:
        bundle = wire.parse(data)
        assert isinstance(bundle, Bundle)
        received += reader.read(bundle, pivots[bundle.pivot_id])
    return Poses(starts, pivots, [pose.keypoints for pose in received], [pose.scene for pose in received], packets)


def send_pivots(pictures: list[Image], keypoints: list[Keypoints], starts: list[int], crf: int) -> Pivots:
    """Codes the pivots as one chain and packs them into slices."""
    encoder, shown, packets = FixedQuality(crf), [], []
    for number, (picture, points) in enumerate(zip(pictures, keypoints, strict=True)):
        coded = encoder.encode(picture)
        shown.append(coded.shown)
        height, width = picture.shape[:2]
        body = PivotBody(
            coded.codec, width, height, round(starts[number] * FRAME_MS), points, coded.data, coded.chain, coded.link
        )
        packets += [wire.pack(part) for part in wire.slice_pivot(number, body)]
    return Pivots(shown, packets)


def _reduced(image: Image, side: int) -> Image:
    if image.shape[0] == side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
