"""All that is computed on a frame: the face, the crop, the keypoints. Runs in the executor, one frame at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avcall.common.clock import Clock
from avcall.common.frames import VideoFrame
from avcall.common.keypoints import Image, Keypoints
from avcall.models.interfaces import KeypointDetector
from avcall.models.scene_tracker import Scene, SceneTracker
from avcall.sender.crop import Crop, CropController, FaceBox
from avcall.sender.keypoint_filter import KeypointFilter
from avcall.sender.tracker import FaceTracker, Mesh

LATE_MS = 40.0
"""A frame that waited for longer, as the one before took longer than there is, goes without what can be missed: the
scene is left where it was."""


@dataclass(frozen=True, slots=True)
class View:
    """One crop of a frame, with the face's keypoints in it, and where the scene around the face is."""

    crop: Crop
    image: Image
    keypoints: Keypoints
    scene: Scene = Scene()


@dataclass(frozen=True, slots=True)
class Analysis:
    """A frame with a face. `current` is the crop that the face asks for now; `views` has it, and the other one that was
    asked for where the two differ."""

    capture_ms: float
    current: View
    views: dict[Crop, View]
    leaving: bool
    """The head is not well inside the current crop."""
    track_ms: float
    detect_ms: float
    frame: Image | None = None
    """All of it, for pivots larger than the views."""
    late: bool = False
    """It waited for longer than LATE_MS."""

    def picture(self, side: int) -> Image:
        """The current crop at `side` pixels, or as the view has it where the frame holds no more than that."""
        crop = self.current.crop
        if self.frame is None or crop.side < side or side <= self.current.image.shape[0]:
            return self.current.image
        return crop.cut(self.frame, side)


class Segments(Protocol):
    """What `avcall.models.segmentation.Segmenter` offers."""

    def segment(self, image: Image) -> NDArray[np.uint8]: ...

    def close(self) -> None: ...


class FaceAnalyser:
    """Keeps what carries over from frame to frame: the mesh's tracking, the crop, the filters, the scene's motion."""

    def __init__(
        self,
        make_mesh: Callable[[], Mesh],
        detector: KeypointDetector,
        size: int,
        clock: Clock,
        segmenter: Segments | None = None,
    ) -> None:
        """Without `segmenter` the scene stands still."""
        self._make_mesh = make_mesh
        self._tracker: FaceTracker | None = None
        self._controller = CropController()
        self._detector = detector
        self._size = size
        self._clock = clock
        self._filters: dict[Crop, KeypointFilter] = {}
        self._segmenter = segmenter
        self._epochs = itertools.count()
        self._scenes: dict[Crop, SceneTracker] = {}

    def prepare(self) -> None:
        """Loads the mesh, which takes a second or two, and warms it up."""
        mesh, nothing = self._make_mesh(), np.zeros((256, 256, 3), dtype=np.uint8)
        mesh.find(nothing)
        if self._segmenter is not None:
            self._segmenter.segment(nothing)
        self._tracker = FaceTracker(mesh)

    def close(self) -> None:
        """Frees the networks."""
        if self._segmenter is not None:
            self._segmenter.close()
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None

    def analyse(self, frame: VideoFrame, also: Crop | None) -> Analysis | None:
        """None where there is no face. `also`: the crop of the pivot in use, whose keypoints are still needed."""
        if self._tracker is None:
            self.prepare()
        assert self._tracker is not None
        begin_ms = self._clock()
        height, width = frame.image.shape[:2]
        points = self._tracker.track(frame.image)
        tracked_ms = self._clock()
        if points is None:
            return None
        current = self._controller.update(FaceBox.around(points), width, height, frame.capture_ms)
        crops = [current, also] if also is not None and also != current else [current]
        self._filters = {crop: self._filters.get(crop) or KeypointFilter() for crop in crops}
        if self._segmenter is not None:
            make = partial(SceneTracker, self._segmenter.segment, self._epochs)
            self._scenes = {crop: self._scenes.get(crop) or make() for crop in crops}
        late = begin_ms - frame.capture_ms > LATE_MS
        views = {}
        for crop, steady in self._filters.items():
            image, landmarks = crop.cut(frame.image, self._size), crop.map(points, self._size)
            found = self._detector.detect(image, landmarks)
            scene = Scene()
            if self._scenes:
                tracker = self._scenes[crop]
                scene = tracker.scene if late else tracker.track(image, landmarks)
            views[crop] = View(crop, image, steady.filter(found, frame.capture_ms), scene)
        return Analysis(
            capture_ms=frame.capture_ms,
            current=views[current],
            views=views,
            leaving=self._controller.leaving,
            track_ms=tracked_ms - begin_ms,
            detect_ms=self._clock() - tracked_ms,
            frame=frame.image,
            late=late,
        )
