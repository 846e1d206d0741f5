"""All that is computed on a frame: the face, the crop, the keypoints. Runs in the executor, one frame at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avcall.common.clock import Clock
from avcall.common.frames import VideoFrame
from avcall.common.keypoints import Image, Keypoints
from avcall.models.interfaces import KeypointDetector
from avcall.sender.crop import Crop, CropController, FaceBox
from avcall.sender.keypoint_filter import KeypointFilter
from avcall.sender.tracker import FaceTracker, Mesh


@dataclass(frozen=True, slots=True)
class View:
    """One crop of a frame, with the face's keypoints in it."""

    crop: Crop
    image: Image
    keypoints: Keypoints


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

    def picture(self, side: int) -> Image:
        """The current crop at `side` pixels, or as the view has it where the frame holds no more than that."""
        crop = self.current.crop
        if self.frame is None or crop.side < side or side <= self.current.image.shape[0]:
            return self.current.image
        return crop.cut(self.frame, side)


class FaceAnalyser:
    """Keeps what carries over from frame to frame: the mesh's tracking, the crop, the filters."""

    def __init__(self, make_mesh: Callable[[], Mesh], detector: KeypointDetector, size: int, clock: Clock) -> None:
        self._make_mesh = make_mesh
        self._tracker: FaceTracker | None = None
        self._controller = CropController()
        self._detector = detector
        self._size = size
        self._clock = clock
        self._filters: dict[Crop, KeypointFilter] = {}

    def prepare(self) -> None:
        """Loads the mesh, which takes a second or two, and warms it up."""
        mesh = self._make_mesh()
        mesh.find(np.zeros((256, 256, 3), dtype=np.uint8))
        self._tracker = FaceTracker(mesh)

    def close(self) -> None:
        """Frees the mesh."""
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
        views = {}
        for crop, steady in self._filters.items():
            image = crop.cut(frame.image, self._size)
            found = self._detector.detect(image, crop.map(points, self._size))
            views[crop] = View(crop, image, steady.filter(found, frame.capture_ms))
        return Analysis(
            capture_ms=frame.capture_ms,
            current=views[current],
            views=views,
            leaving=self._controller.leaving,
            track_ms=tracked_ms - begin_ms,
            detect_ms=self._clock() - tracked_ms,
            frame=frame.image,
        )
