"""Where the scene is in each frame of a pack's clip, as a sender would have found it: `scene.npy`, float32 (n, 7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Landmarks
from avcall.common.scene import SceneMotion, Similarity
from avcall.models.scene_tracker import Scene, SceneTracker


def track(frames: Iterable[tuple[Image, Landmarks, NDArray[np.uint8]]]) -> NDArray[np.float32]:
    """Epoch; shift x and y, growth and turn of the background; shift x and y of the body, of each frame (picture, mesh
    (468, 3), segmentation (64, 64))."""
    masks: list[NDArray[np.uint8]] = []
    tracker = SceneTracker(lambda image: masks[-1], itertools.count())
    rows = []
    for image, landmarks, mask in frames:
        masks = [mask]
        scene = tracker.track(image, landmarks)
        rows.append((scene.epoch, *scene.background.numbers, scene.body.shift.real, scene.body.shift.imag))
    return np.array(rows, dtype=np.float32)


def motion(
    rows: NDArray[np.float32], pivot: int, driving: int, other: int | None = None, share: float = 0.0
) -> SceneMotion:
    """How the scene has moved from one frame to another, earlier or later, or to a moment that lies by `share` of the
    way towards a third, `other`."""
    here = rows[driving]
    if other is not None and rows[other][0] == here[0]:  # one epoch: between others there is no way
        here = here + share * (rows[other] - here)
    return _scene(here).since(_scene(rows[pivot]))


def _scene(row: NDArray[np.float32]) -> Scene:
    epoch, x, y, growth, turn, body_x, body_y = row.tolist()
    return Scene(round(epoch), Similarity.of(x, y, growth, turn), Similarity(shift=complex(body_x, body_y)))
