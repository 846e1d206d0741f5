"""Reads runs of coded frames one after the other, and knows what each has from those before. Sans-IO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avcall.common import keypoint_coder
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.scene import STILL, SceneMotion
from avcall.common.scene_coder import NUMBERS, eased, numbers_of, with_numbers
from avcall.receiver.smoothing import PAST, Rows, smoothed


class RunReader:
    """Keypoints can be read by themselves. A flow that is told as a change needs the last one by the same pivot; after
    the run before, a flow comes gradually, and what was rounded is smoothed."""

    def __init__(self) -> None:
        self._pivot_id: int | None = None
        self._last = STILL
        self._past: tuple[Rows, Rows] = _none()

    def read(
        self, data: bytes, frames: int, pivot_id: int, pivot: Keypoints, *, follows: bool, late: bool = False
    ) -> tuple[list[Keypoints], list[SceneMotion]]:
        """The frames of a run, float32 (K, 2) each, and the scene's motion in each. `follows`: the run read last was
        the one before. `late`: the run read last comes after it; nothing is learned from it.

        Raises:
            ProtocolError: bytes that no encoder has made.
        """
        same = pivot_id == self._pivot_id
        told, scenes = keypoint_coder.decode(data, frames, pivot, self._last.flow if same else None)
        follows = follows and same
        if follows:
            scenes = eased(scenes, self._last)
        elif np.array_equal(told[0], keypoint_coder.quantise(pivot)):  # the pivot's own frame
            scenes = eased(scenes, STILL)
        if late:
            return told, scenes
        past = self._past if follows else _none()
        rows = np.stack(told).reshape(frames, -1) / keypoint_coder.STEP
        moves = np.array([numbers_of(scene) for scene in scenes])
        points = smoothed(rows, past[0])
        if moves.any():
            moves = smoothed(moves, past[1])
            scenes = [with_numbers(scene, row) for scene, row in zip(scenes, moves, strict=True)]
        self._pivot_id, self._last = pivot_id, scenes[-1]
        self._past = _tail(past[0], points), _tail(past[1], moves)
        return _keypoints(points, told), scenes


def _none() -> tuple[Rows, Rows]:
    return np.zeros((0, 2 * COUNT)), np.zeros((0, NUMBERS))


def _tail(past: Rows, rows: Rows) -> Rows:
    return np.asarray(np.concatenate([past, rows])[-PAST:])


def _keypoints(rows: Rows, like: Sequence[Keypoints]) -> list[Keypoints]:
    return [
        (row * keypoint_coder.STEP).astype(np.float32).reshape(points.shape)
        for row, points in zip(rows, like, strict=True)
    ]
