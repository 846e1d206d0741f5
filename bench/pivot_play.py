"""Plays a selector over a tracked clip, without a network: what is sent, and which pivot each frame refers to.

Usable on its own: `play` takes frames and a rule and gives decoded pivots and their exact bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from avcall.bench.evaluate_show import RUN
from avcall.common.clock import monotonic_ms
from avcall.common.frames import VideoFrame
from avcall.common.keypoints import Image, Keypoints
from avcall.common.pivot_format import PivotBody, pack_body, rounded
from avcall.common.scene import SceneMotion
from avcall.common.scene_coder import eased
from avcall.models.interfaces import KeypointDetector, Reenactor, driven
from avcall.models.pivot_video import CodedPivot, PivotVideoEncoder
from avcall.models.scene_tracker import Scene
from avcall.models.segmentation import Segmenter
from avcall.sender.analysis import FaceAnalyser, View
from avcall.sender.pipeline import CALM, face_mesh
from avcall.sender.pivot_check import PivotChecker
from avcall.sender.selector import PivotSelector, SentPivot, Sight, distance

ARRIVES_AFTER = 4
"""Frames between a pivot's own and the first that can refer to it: 160 ms at 25 a second."""


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """A frame as the sender's analysis gives it."""

    capture_ms: float
    view: View
    leaving: bool


@dataclass(frozen=True, slots=True)
class PlayedPivot:
    """A pivot that was sent."""

    frame: int
    coded: CodedPivot
    keypoints: Keypoints
    size_bytes: int
    """Of its body: picture, keypoints and header, before slicing."""
    scene: Scene = Scene()


@dataclass(frozen=True, slots=True)
class Played:
    """`references[i]` is the index of the pivot that frame i refers to, `motions[i]` how its scene has moved since, as
    the receiver has it."""

    pivots: list[PlayedPivot]
    references: list[int]
    motions: list[SceneMotion]

    def link_bytes(self) -> int:
        """What was sent after the first pivot, which every rule must send."""
        return sum(pivot.size_bytes for pivot in self.pivots[1:])


def track_clip(frames: Sequence[VideoFrame], detector: KeypointDetector, side: int = 256) -> list[TrackedFrame]:
    """Frames that show a face, as the sender would see them."""
    analyser = FaceAnalyser(face_mesh, detector, side, monotonic_ms, Segmenter())
    tracked = []
    for frame in frames:
        analysis = analyser.analyse(frame, None)
        if analysis is not None:
            tracked.append(TrackedFrame(frame.capture_ms, analysis.current, analysis.leaving))
    analyser.close()
    return tracked


def play(
    frames: Sequence[TrackedFrame], selector: PivotSelector, budget_kbps: float, reenactor: Reenactor | None
) -> Played:
    """`reenactor` is for the selector's checks and for residual flows; None for neither."""
    encoder = PivotVideoEncoder(budget_kbps)
    checker = None if reenactor is None else PivotChecker(reenactor)
    pivots: list[PlayedPivot] = []
    references: list[int] = []
    motions: list[SceneMotion] = []
    run: list[SceneMotion] = []
    before: View | None = None
    for number, frame in enumerate(frames):
        view, now_ms = frame.view, frame.capture_ms
        if pivots and pivots[-1].frame == number - ARRIVES_AFTER:
            selector.acknowledged(len(pivots) - 1)
        calm = before is not None and distance(view.keypoints, before.keypoints) < CALM
        sight = Sight(view.keypoints, view.crop, calm, leaving=frame.leaving)
        before = view
        if checker is not None:
            chosen = selector.to_check(sight, now_ms)
            if chosen:
                selector.checked(checker.flaws([p.pivot_id for p in chosen], view), now_ms)
        wanted = selector.wants(sight, now_ms)
        if wanted is not None or not pivots:  # every rule begins with the first frame, whatever its eyes
            coded, keypoints = encoder.encode(view.image), rounded(view.keypoints)
            height, width = view.image.shape[:2]
            body = PivotBody(coded.codec, width, height, 0, keypoints, coded.data, coded.chain, coded.link)
            size_bytes = len(pack_body(body))
            flaw = 0.0 if checker is None else checker.add(len(pivots), coded.shown, keypoints, view)
            pivots.append(PlayedPivot(number, coded, keypoints, size_bytes, view.scene))
            sent = SentPivot(
                len(pivots) - 1, view.crop, keypoints, now_ms, size_bytes=size_bytes, key=coded.link == 0, flaw=flaw
            )
            selector.sent(sent)
        reference = selector.refer(sight)
        references.append(0 if reference is None else reference.pivot_id)
        run.append(view.scene.since(pivots[references[-1]].scene))
        if checker is not None and len(run) == RUN:
            run[-1] = replace(run[-1], flow=checker.flow(references[-1], view))
            motions += _eased(run, references, motions)
            run = []
    return Played(pivots, references, motions + run)


def _eased(run: list[SceneMotion], references: list[int], motions: list[SceneMotion]) -> list[SceneMotion]:
    """A run whose flow comes about gradually, where it is all of one pivot; else only its last frames have it."""
    reference, flow = references[-1], run[-1].flow
    flowing = [
        replace(motion, flow=flow) if of == reference else motion
        for motion, of in zip(run, references[-len(run) :], strict=True)
    ]
    same = len(references) > len(run) and set(references[-len(run) - 1 :]) == {reference}
    return eased(flowing, motions[-1]) if same else flowing


def shown_frame(played: Played, frames: Sequence[TrackedFrame], number: int, reenactor: Reenactor) -> Image:
    """Frame `number` as the receiver animates it."""
    pivot = played.pivots[played.references[number]]
    view, encoded = frames[number].view, reenactor.encode(pivot.coded.shown, pivot.keypoints)
    return driven(reenactor, encoded, view.keypoints, played.motions[number])
