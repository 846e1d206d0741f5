"""The residual flow: what keypoints and camera do not tell of a frame's motion, hair, collar and shoulders above all.

It is a smooth field, a sum of cosines of low frequency in x and y, and travels as whole steps of their amplitudes. It
says how much farther away in the pivot each pixel is to be taken from than keypoints and camera say. Mouth and
eyes are left out: they go where the keypoints say.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import (
    EYE_LEFT,
    EYE_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    UPPER_LIP,
    Keypoints,
)

FREQUENCIES = 8
"""Of a cosine in x and of one in y; their sum stays below this, too."""
ORDER = tuple((y, total - y) for total in range(FREQUENCIES) for y in range(total + 1))
"""The waves, slow ones first: frequencies in y and x, in half periods a picture."""
ROWS, COLUMNS = (np.array(column) for column in zip(*ORDER, strict=True))
"""The frequencies of ORDER in y, and those in x."""
WAVES = len(ORDER)
STEP = 1.0 / 1280.0
"""Of the amplitude of a constant field, in the keypoint convention: a tenth of a pixel at 256. Waves, whose mean
square is half of that (a quarter, of waves in both directions), have steps larger by the root of two (by two)."""
LIMIT = 640
"""Steps; larger amplitudes are clipped to it."""

_MOUTH, _EYE, _EDGE, _OF_EYES = (0.75, 0.5), (0.28, 0.2), 0.5, 0.5
"""Ovals: half width and half height of that around the lips, in widths of the mouth, and of that around an eye, in
distances between the outer eye corners; their edge in those halves; and how wide a mouth is at least, in such
distances."""
_LEAST = 1e-3

CONSTANTS = (FREQUENCIES, STEP, LIMIT, _MOUTH, _EYE, _EDGE, _OF_EYES)

Flow: TypeAlias = tuple[float, ...]
"""Amplitudes in steps, 2 * WAVES of them: those of the displacement in x, in ORDER, then those in y. Empty: none."""
NO_FLOW: Flow = ()


@functools.cache
def step_sizes() -> NDArray[np.float32]:
    """(2 * WAVES,): each amplitude's step, in the keypoint convention."""
    sizes = [STEP * 2.0 ** (((y > 0) + (x > 0)) / 2) for y, x in ORDER]
    return np.array([*sizes, *sizes], dtype=np.float32)


@functools.cache
def waves(side: int) -> NDArray[np.float32]:
    """(side, FREQUENCIES): the cosines at so many places, from edge to edge."""
    place = np.linspace(0.0, 1.0, side)
    return np.cos(np.pi * np.arange(FREQUENCIES) * place[:, None]).astype(np.float32)


def field(flow: Sequence[float], side: int) -> NDArray[np.float32]:
    """The displacement (side, side, 2) in the keypoint convention, of a flow that is not empty."""
    return field_of(np.asarray(flow, dtype=np.float32) * step_sizes(), side)


def field_of(amplitudes: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """As `field`, of amplitudes (2 * WAVES,) in the unit that the field is to have."""
    table = np.zeros((2, FREQUENCIES, FREQUENCIES), dtype=np.float32)
    table[:, ROWS, COLUMNS] = amplitudes.reshape(2, WAVES)
    wave = waves(side)
    return np.ascontiguousarray((wave @ table @ wave.T).transpose(1, 2, 0))


def around_features(keypoints: Keypoints, side: int) -> NDArray[np.float32]:
    """(side, side): where keypoints (10, 2) leave the flow whole, 1, and where they have it stand, 0: in ovals around
    the lips and around each eye, with soft edges."""
    upper, lower, mouth_left, mouth_right = keypoints[[UPPER_LIP, LOWER_LIP, MOUTH_LEFT, MOUTH_RIGHT]]
    apart = keypoints[EYE_RIGHT] - keypoints[EYE_LEFT]
    eyes = max(float(np.hypot(*apart)), _LEAST)
    x, y = apart / eyes
    size = max(float(np.hypot(*(mouth_right - mouth_left))), _OF_EYES * eyes)
    centres = np.stack([(upper + lower + mouth_left + mouth_right) / 4.0, keypoints[LID_LEFT], keypoints[LID_RIGHT]])
    wide = np.array([_MOUTH[0] * size, _EYE[0] * eyes, _EYE[0] * eyes], dtype=np.float32)
    high = np.array([_MOUTH[1] * size, _EYE[1] * eyes, _EYE[1] * eyes], dtype=np.float32)
    high[0] += float(np.hypot(*(lower - upper))) / 2.0
    place = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    from_x, from_y = place - centres[:, :1], place - centres[:, 1:]  # of each oval, (3, side)
    across = ((x * from_x) / wide[:, None])[:, None, :] + ((y * from_y) / wide[:, None])[:, :, None]
    down = ((-y * from_x) / high[:, None])[:, None, :] + ((x * from_y) / high[:, None])[:, :, None]
    nearest = (np.square(across) + np.square(down)).min(axis=0)
    return np.asarray(np.clip((np.sqrt(nearest) - 1.0) / _EDGE, 0.0, 1.0), dtype=np.float32)


def between(first: Flow, second: Flow, fraction: float) -> Flow:
    """The flow at `fraction` of the way from one to the other; beyond 1 it goes on."""
    if first == second:
        return first
    nothing = (0.0,) * (2 * WAVES)
    return tuple(a + fraction * (b - a) for a, b in zip(first or nothing, second or nothing, strict=True))
