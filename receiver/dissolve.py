"""What was seen before a change of pivot goes in a few pictures instead of at once.

Of the first picture of a pivot the difference from what was shown last is kept, and a share of it, less from picture to
picture, is added to those that follow. So a change costs no second drive, and one in the midst of another begins where
that stands. Hair, a shadow or a background that has moved since the last pivot comes without a jump.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image
from avcall.models.interfaces import Detailed

FADE_TICKS = 3
"""So many pictures of a new pivot still show a part of what was seen before."""
Difference: TypeAlias = tuple[NDArray[np.int16], ...]
"""Of each part of a picture; nothing where the two could not be compared."""


def share(left: int) -> float:
    """How much of the difference a picture shows that is one of the last `left` to show any."""
    return left / (FADE_TICKS + 1)


def difference(last: Detailed | Image | None, made: Detailed | Image) -> Difference:
    """The last picture less this one, part by part; nothing where they have other sizes."""
    if last is None or _shapes(last) != _shapes(made):
        return ()
    pairs = zip(_parts(last), _parts(made), strict=True)
    return tuple(np.asarray(cv2.subtract(old, new, dtype=cv2.CV_16S), dtype=np.int16) for old, new in pairs)


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
