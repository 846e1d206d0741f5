"""What was seen before a change of pivot goes in a few pictures instead of at once.

Of the first picture of a pivot the difference from what was shown last is kept, and a share of it, less from picture to
picture, is added to those that follow. So a change costs no second drive, and one in the midst of another begins where
that stands. Hair, a shadow or a background that has moved since the last pivot comes without a jump. The mouth alone is
left out: what it showed before is not what it says now.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import (
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    LOWER_LIP,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    UPPER_LIP,
    Image,
    Keypoints,
    to_pixels,
)
from avcall.models.interfaces import Detailed

FADE_TICKS = 3
"""So many pictures of a new pivot still show a part of what was seen before."""
MOUTH = (0.35, 0.25)
"""Half the width and height of what is left out, between none and all of the difference, in distances from the eyes'
middle to the chin."""
Difference: TypeAlias = tuple[NDArray[np.int16], ...]
"""Of each part of a picture; nothing where the two could not be compared."""


def share(left: int) -> float:
    """How much of the difference a picture shows that is one of the last `left` to show any."""
    return left / (FADE_TICKS + 1)


def difference(last: Detailed | Image | None, made: Detailed | Image, keypoints: Keypoints) -> Difference:
    """The last picture less this one, whose keypoints (10, 2) say where its mouth is, part by part; nothing where they
    have other sizes."""
    if last is None or _shapes(last) != _shapes(made):
        return ()
    apart = []
    for old, new in zip(_parts(last), _parts(made), strict=True):
        part = np.asarray(cv2.subtract(old, new, dtype=cv2.CV_16S), dtype=np.int16)
        _leave_out_mouth(part, keypoints)
        apart.append(part)
    return tuple(apart)


def _leave_out_mouth(apart: NDArray[np.int16], keypoints: Keypoints) -> None:
    height, width = apart.shape[:2]
    points = to_pixels(keypoints, width, height)
    x, y = points[[UPPER_LIP, LOWER_LIP, MOUTH_LEFT, MOUTH_RIGHT]].mean(axis=0)
    face = float(np.linalg.norm(points[CHIN] - (points[EYE_LEFT] + points[EYE_RIGHT]) / 2))
    across, down = MOUTH[0] * face, MOUTH[1] * face
    if min(across, down) < 1.0:
        return
    left, right = (int(np.clip(edge, 0, width)) for edge in (x - 1.5 * across, x + 1.5 * across + 1))
    top, bottom = (int(np.clip(edge, 0, height)) for edge in (y - 1.5 * down, y + 1.5 * down + 1))
    columns, rows = np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
    away = np.hypot((columns[None] - x) / across, (rows[:, None] - y) / down)
    apart[top:bottom, left:right] = apart[top:bottom, left:right] * np.clip(away - 0.5, 0.0, 1.0)[..., None]


class Dissolve:
    """One video: remembers what was shown last and what parted it from the first picture after a change."""

    def __init__(self) -> None:
        self._apart: Difference = ()
        self.last: Detailed | Image | None = None
        """What was shown last."""

    def show(self, made: Detailed | Image, keypoints: Keypoints, fade: float, *, changes: bool) -> Detailed | Image:
        """`made`, with a share `fade` of what was seen before the last change; `changes`: it is the first after one."""
        if fade == 0.0:
            self._apart = ()
        elif changes:
            self._apart = difference(self.last, made, keypoints)
        self.last = dissolved(made, self._apart, fade)
        return self.last

    def end(self) -> None:
        """Nothing of before the change is to be seen any more."""
        self._apart = ()


def dissolved(made: Detailed | Image, apart: Difference, share: float) -> Detailed | Image:
    """A picture with a share of a difference; itself where that is of another size."""
    if not apart or _shapes(made) != [part.shape for part in apart]:
        return made
    parts = [mixed(part, more, share) for part, more in zip(_parts(made), apart, strict=True)]
    return Detailed(*parts) if isinstance(made, Detailed) else parts[0]


def mixed(image: Image, apart: NDArray[np.int16], share: float) -> Image:
    """One part of it."""
    return np.asarray(cv2.addWeighted(image, 1.0, apart, share, 0.0, dtype=cv2.CV_8U), dtype=np.uint8)


def _parts(made: Detailed | Image) -> tuple[Image, ...]:
    return (made.image, made.reference) if isinstance(made, Detailed) else (made,)


def _shapes(made: Detailed | Image) -> list[tuple[int, ...]]:
    return [part.shape for part in _parts(made)]
