"""Makes the video that a viewer would see: pivots by a protocol, and keypoints through a model in between.

The keypoints are those of the original frames, found as a sender finds them, and everything arrives at once: what is
judged is the model and the pivots, not the network.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avcall.bench.evaluate_config import PIVOT_CRF
from avcall.common import keypoint_coder
from avcall.common.keypoints import Image, Keypoints, Landmarks
from avcall.common.pivot_format import rounded
from avcall.common.scene import STILL, SceneMotion
from avcall.common.scene_coder import SceneTeller
from avcall.models.classical import ClassicalReenactor
from avcall.models.interfaces import Encoded, KeypointDetector, Reenactor, RepairsPivots, driven, followed
from avcall.models.pivot_video import code_chain
from avcall.models.scene_tracker import Scene, SceneTracker
from avcall.models.segmentation import Segmenter
from avcall.receiver.dissolve import FADE_TICKS, Dissolve, share
from avcall.receiver.run_reader import RunReader
from avcall.sender.analysis import View
from avcall.sender.crop import Crop
from avcall.sender.keypoint_filter import KeypointFilter
from avcall.sender.pivot_check import PivotChecker

FIRST_FRAME, PIVOT_1S = "first_frame", "pivot_1s"
FRAME_MS = 40.0
RUN = 3
"""Frames of a bundle: 120 ms."""
WHOLE = Crop(0, 0, 0)
"""The crop of a view that is the clip's own frame; its numbers mean nothing."""


@dataclass(frozen=True, slots=True)
class Pivots:
    """The pivots of one clip: `pictures[i]`, as a receiver has it, is shown from frame `starts[i]` on."""

    starts: list[int]
    pictures: list[Image]
    size_bytes: int
    """Of all of them as sent; 0 where they were not coded."""

    def spans(self, count: int) -> Iterator[tuple[Image, int, int]]:
        """Each picture with the first frame that it is shown from, and the first that it is not, of `count`."""
        return zip(self.pictures, self.starts, [*self.starts[1:], count], strict=True)

    def kbps(self, frames: int, fps: float) -> float:
        return self.size_bytes * 8 / 1000 / (frames / fps)


@dataclass(frozen=True, slots=True)
class Shown:
    frames: list[Image]
    encode_ms: float
    drive_ms: float
    """Medians over the clip; 0 where there is no model."""


def choose_pivots(protocol: str, frames: list[Image], fps: int) -> Pivots:
    """The pivots of a protocol: the first frame as it is, or a frame every second as a call codes it."""
    if protocol == FIRST_FRAME:
        return Pivots([0], [frames[0]], 0)
    starts = list(range(0, len(frames), fps))
    pictures, size_bytes = code_chain([frames[index] for index in starts], PIVOT_CRF)
    return Pivots(starts, pictures, size_bytes)


def find_keypoints(
    detector: KeypointDetector, frames: list[Image], meshes: list[Landmarks | None]
) -> tuple[list[Keypoints], float]:
    """Every frame's keypoints as a sender steadies and sends them, and the detector's median time in ms; frames without
    a face repeat the last ones, as a sender does. `meshes` has at least one face."""
    found: list[Keypoints | None] = []
    times = []
    steady = KeypointFilter()
    for number, (image, landmarks) in enumerate(zip(frames, meshes, strict=True)):
        if landmarks is None:
            steady.reset()
            found.append(found[-1] if found else None)
            continue
        start = time.process_time()
        keypoints = detector.detect(image, landmarks)
        times.append((time.process_time() - start) * 1000)
        found.append(steady.filter(keypoints, number * FRAME_MS))
    first = next(keypoints for keypoints in found if keypoints is not None)
    return [first if keypoints is None else keypoints for keypoints in found], float(np.median(times))


def find_scenes(frames: list[Image], meshes: list[Landmarks | None]) -> list[Scene]:
    """Where the scene is in every frame, as a sender finds it; in frames without a face, where it was last."""
    segmenter = Segmenter()
    tracker = SceneTracker(segmenter.segment, itertools.count())
    scenes = [Scene()]
    for image, landmarks in zip(frames, meshes, strict=True):
        scenes.append(scenes[-1] if landmarks is None else tracker.track(image, landmarks))
    segmenter.close()
    return scenes[1:]


def show_pivots(pivots: Pivots, count: int) -> Shown:
    """The slide show: the last pivot, until the next."""
    return Shown([picture for picture, start, end in pivots.spans(count) for _ in range(end - start)], 0.0, 0.0)


def find_motions(
    frames: list[Image], keypoints: list[Keypoints], scenes: list[Scene], pivots: Pivots, *, flow: bool = True
) -> tuple[list[SceneMotion], int]:
    """How the scene of every frame has moved since its pivot, as a receiver has it from bundles of RUN frames; and what
    these bundles' keypoints and motion take, in bytes. Without `flow` there is no residual flow."""
    checker = PivotChecker(ClassicalReenactor())
    views = [View(WHOLE, *seen) for seen in zip(frames, keypoints, scenes, strict=True)]
    motions: list[SceneMotion] = []
    size_bytes = 0
    teller, reader = SceneTeller(), RunReader()
    for number, (picture, start, end) in enumerate(pivots.spans(len(frames))):
        pivot = rounded(keypoints[start])
        checker.add(number, picture, pivot, views[start])
        for first in range(start, end, RUN):
            last = min(first + RUN, end)
            run = [scene.since(scenes[start]) for scene in scenes[first:last]]
            if flow:
                seen = zip(run, views[first:last], strict=True)
                run = [replace(motion, flow=checker.flow(number, view)) for motion, view in seen]
            data = keypoint_coder.encode(keypoints[first:last], pivot, teller.code(number, run))
            size_bytes += len(data)
            motions += reader.read(data, last - first, number, pivot, follows=first > start)[1]
    return motions, size_bytes


def show_driven(
    reenactor: Reenactor, pivots: Pivots, keypoints: list[Keypoints], motions: Sequence[SceneMotion] = ()
) -> Shown:
    """Each frame driven from the last pivot, a change of which dissolves as in a call; a pivot that was never coded is
    not repaired either. Without `motions` all that is around the face stands still."""
    motions = motions or [STILL] * len(keypoints)
    encode = reenactor.encode
    if isinstance(reenactor, RepairsPivots) and not pivots.size_bytes:
        encode = reenactor.encode_uncoded
    frames: list[Image] = []
    encode_ms, drive_ms = [], []
    encoded: Encoded | None = None
    dissolve = Dissolve()
    for picture, start, end in pivots.spans(len(keypoints)):
        before = time.process_time()
        encoded = followed(reenactor, encode(picture, keypoints[start]), encoded)
        encode_ms.append((time.process_time() - before) * 1000)
        for tick in range(start, end):
            before = time.process_time()
            made = driven(reenactor, encoded, keypoints[tick], motions[tick])
            drive_ms.append((time.process_time() - before) * 1000)
            fade = share(max(0, FADE_TICKS - (tick - start)))
            shown = dissolve.show(made, keypoints[tick], fade, changes=tick == start)
            assert isinstance(shown, np.ndarray)
            frames.append(shown)
    return Shown(frames, float(np.median(encode_ms)), float(np.median(drive_ms)))
