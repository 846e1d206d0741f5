"""How the scene around the face moves: the background (that is, the camera), and the body while the background does.

A background that stands still stands exactly still: its motion counts from when it explains the picture clearly better
than none, until it has come to rest. Sans-IO; pictures are of one crop, in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Landmarks
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.models.scene_layer import SIDE, Fit, Grey, Layer, small_grey

BEGINS, GOES_ON = 0.6, 0.8
"""Motion must leave less than this share of the error of a background that stands: to begin with, and later."""
LEAST = 0.4 / 127.5
"""And it must be larger than this: 0.4 pixels at 256."""
BEGINS_FRAMES, ENDS_FRAMES = 2, 5
RESTS, RESTS_FRAMES = 0.25 / 127.5, 12
"""Less motion than this in so many frames is rest."""
STILL_FRAMES, MOVING_FRAMES = 50, 250
"""An anchor is taken anew after so many frames, as light changes,"""
LEAST_SEEN, FAR = 0.75, 0.2
"""or when less of the layer is left in the picture, or it has moved farther."""
GONE_SEEN, GONE_ERROR = 0.5, 80.0
"""Less left, or a larger error: another scene."""
RANGE = 1.5
"""Farther from where it began, motion begins anew."""
BACKGROUND, BODY = 40, 200
"""Of the segmentation: less than the first is background, more than the second, below the chin, body."""
_AWAY = np.ones((5, 5), np.uint8)
"""Background keeps clear of the person by this, body of the background by half of it."""
_CHIN, _FOREHEAD = 152, 10
_BELOW = 0.08
"""The body begins so far below the chin, in heights of the face."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the scene is. Scenes of two epochs cannot be compared."""

    epoch: int = 0
    background: Similarity = Similarity()
    body: Similarity = Similarity()

    def since(self, before: Scene) -> SceneMotion:
        """How it has moved since; still, where that is not known."""
        if self.epoch != before.epoch or self.background == before.background:
            return STILL
        return SceneMotion(self.background.after(before.background.inverse), self.body.after(before.body.inverse))


class SceneTracker:
    """`segment` gives the probability of person times 255, uint8, square, of a picture; it is asked for each anchor."""

    def __init__(self, segment: Callable[[Image], NDArray[np.uint8]], epochs: Iterator[int]) -> None:
        """`epochs` gives numbers that no other tracker of the same call has."""
        self._segment, self._epochs = segment, epochs
        self._scene = self._anchored = Scene(next(epochs))
        """What the scene is, and what the scene was at the anchor."""
        self._background: Layer | None = None
        self._body: Layer | None = None
        self._age = 0
        self._moving = False
        self._signs = 0
        """Frames in a row in which the background seems to have begun to move, or to have ceased."""
        self._latest: deque[Similarity] = deque(maxlen=RESTS_FRAMES)

    @property
    def scene(self) -> Scene:
        """Where it was last."""
        return self._scene

    def track(self, image: Image, landmarks: Landmarks) -> Scene:
        """`image` uint8 (S, S, 3) and its face mesh (468, 3)."""
        grey = small_grey(image)
        if self._background is None:
            self._anchor(image, grey, landmarks)
            return self._scene
        self._age += 1
        if not self._background.followed:
            if self._age >= STILL_FRAMES:
                self._anchor(image, grey, landmarks)
            return self._scene
        fit = self._background.follow(grey)
        if fit.seen < GONE_SEEN or fit.error > GONE_ERROR or self._scene.background.reach > RANGE:
            self._scene = Scene(next(self._epochs))
            self._moving = False
            self._anchor(image, grey, landmarks)
        elif self._moving:
            self._move(fit, image, grey, landmarks)
        else:
            self._signs = self._signs + 1 if self._explains(fit, grey, BEGINS) else 0
            if self._signs == BEGINS_FRAMES:
                self._moving, self._signs = True, 0
                self._latest.clear()
                self._scene = replace(self._scene, background=fit.moved.after(self._anchored.background))
                self._body = Layer(grey, layers(self._segment(image), landmarks)[1], only_shifts=True)
            elif not self._signs and self._age >= STILL_FRAMES:
                self._anchor(image, grey, landmarks)
        return self._scene

    def _move(self, fit: Fit, image: Image, grey: Grey, landmarks: Landmarks) -> None:
        before = self._anchored
        background, body = fit.moved.after(before.background), self._scene.body
        if self._body is not None and self._body.followed:
            found = self._body.follow(grey)
            if found.seen >= GONE_SEEN and found.error <= GONE_ERROR:
                body = found.moved.after(before.body)
        self._scene = Scene(self._scene.epoch, background, body)
        self._latest.append(background)
        rests = len(self._latest) == RESTS_FRAMES and all(
            background.after(earlier.inverse).reach < RESTS for earlier in self._latest
        )
        self._signs = self._signs + 1 if fit.moved.reach > LEAST and not self._explains(fit, grey, GOES_ON) else 0
        if rests or self._signs == ENDS_FRAMES:
            self._moving, self._signs = False, 0
            self._anchor(image, grey, landmarks)
        elif fit.seen < LEAST_SEEN or fit.moved.reach > FAR or self._age >= MOVING_FRAMES:
            self._anchor(image, grey, landmarks)

    def _explains(self, fit: Fit, grey: Grey, share: float) -> bool:
        """Whether motion leaves less than a share of the error that a background at rest would have."""
        assert self._background is not None
        return fit.moved.reach > LEAST and fit.error < share * self._background.still_error(grey)

    def _anchor(self, image: Image, grey: Grey, landmarks: Landmarks) -> None:
        background, body = layers(self._segment(image), landmarks)
        self._background = Layer(grey, background)
        self._body = Layer(grey, body, only_shifts=True) if self._moving else None
        self._anchored, self._age = self._scene, 0


def layers(segmentation: NDArray[np.uint8], landmarks: Landmarks) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the background and the body are, (SIDE, SIDE) each."""
    person = cv2.resize(segmentation, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    background = cv2.erode((person < BACKGROUND).astype(np.uint8), _AWAY, borderValue=(1,))
    body = cv2.erode((person > BODY).astype(np.uint8), _AWAY[1:-1, 1:-1], borderValue=(1,))
    chin, forehead = landmarks[_CHIN, 1], landmarks[_FOREHEAD, 1]
    neck = (chin + _BELOW * abs(chin - forehead) + 1.0) / 2.0 * (SIDE - 1)
    body[: max(0, round(float(neck)))] = 0
    return background > 0, body > 0
