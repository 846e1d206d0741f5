"""What a network adds to a warped picture, carried along when the face moves on.

A warp takes a third of the time of the network that repairs it, and the repair changes more slowly than the face
moves: what a mouth's inside, a lid or an uncovered cheek looks like stays, while its place does not. So the network may
look at every other picture, or fewer; in between, the last difference that it made moves as the warps say.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.keypoints import Image
from avcall.models.classical import Moved, rounded
from avcall.models.reenactment.lean import Drawn, enlarged, together

_ROUNDS = 2
"""Of the fixed-point iteration towards the place that shows the same point of the pivot."""
_UNSURE_PIXELS = 2.0
"""The last round's step beyond which a place is not believed."""
_NOWHERE = -9.0
_NEWEST = 0.7
"""Share of the newest residual in what is shown, the rest being what was shown in the picture before: a new look of the
network would be seen as flicker otherwise."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What a network made of a warped picture: it moves it a little further, and paints over it."""

    change: NDArray[np.float32]
    """Its picture less the warp's, moved by the correction: (S, S, 3), in levels of 255."""
    displacement: NDArray[np.float32]
    """The warp's (S, S, 2): from a pixel to its place in the pivot, in pixels."""
    correction: NDArray[np.float32]
    """The network's (S, S, 2) of it, in pixels."""


def residual(moved: Moved, drawn: Drawn) -> Residual:
    """Of what a network has `drawn` from a warped pivot."""
    displacement = in_pixels(moved.displacement)
    correction = corrected(moved, drawn) - displacement
    return Residual(drawn.image - _moved_by(correction, moved), displacement, correction)


def corrected(moved: Moved, drawn: Drawn) -> NDArray[np.float32]:
    """The displacement (S, S, 2), in pixels, of what a network has drawn."""
    displacement = in_pixels(moved.displacement)
    correction = drawn.correction[0].permute(1, 2, 0).cpu().numpy()
    return displacement + enlarged(correction, len(displacement)) * np.float32((len(displacement) - 1) / 2.0)


def carry(moved: Moved, late: Residual, shown: Residual | None) -> Residual:
    """The residual of another picture of the same pivot where it belongs in this one, eased by what was `shown` in the
    picture before."""
    displacement = in_pixels(moved.displacement)
    where = _counterparts(displacement, late)
    change, correction = _sampled(late.change, where), _sampled(late.correction, where)
    if shown is not None:
        where = _counterparts(displacement, shown)
        change = _eased(change, _sampled(shown.change, where))
        correction = _eased(correction, _sampled(shown.correction, where))
    return Residual(change, displacement, correction)


def _eased(new: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.addWeighted(new, _NEWEST, before, 1.0 - _NEWEST, 0.0), dtype=np.float32)


def repaired(moved: Moved, here: Residual | None) -> Image:
    """The warped picture with a residual of its own; None: without."""
    if here is None:
        return rounded(together(moved.picture.cpu()))
    return np.asarray(cv2.add(_moved_by(here.correction, moved), here.change, dtype=cv2.CV_8U), dtype=np.uint8)


def _moved_by(correction: NDArray[np.float32], moved: Moved) -> NDArray[np.float32]:
    """The warped picture (S, S, 3), moved further."""
    where = cv2.add(correction, pixel_places(len(correction)))
    picture = together(moved.picture.cpu())
    made = cv2.remap(picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(made, dtype=np.float32)


def shown_flow(moved: Moved, here: Residual | None) -> NDArray[np.float32]:
    """The displacement (S, S, 2), in pixels, by which `repaired` shows the pivot's own."""
    return in_pixels(moved.displacement) if here is None else here.displacement + here.correction


def _counterparts(displacement: NDArray[np.float32], late: Residual) -> NDArray[np.float32]:
    """The pixel (S, S, 2) of the other picture that shows the same point of the pivot as each pixel of this one; one
    outside the picture at tears and folds, where there is none.

    It is the y of x + D(x) = y + D'(y), D and D' being the displacements of this picture and the other.
    """
    shows = cv2.add(displacement, pixel_places(len(displacement)))
    where = np.asarray(cv2.subtract(shows, late.displacement), dtype=np.float32)
    for _ in range(_ROUNDS):
        before, where = where, np.asarray(cv2.subtract(shows, _sampled(late.displacement, where)), dtype=np.float32)
    step = cv2.absdiff(before, where)
    where[cv2.max(step[..., 0], step[..., 1]) > _UNSURE_PIXELS] = _NOWHERE
    return where


def in_pixels(displacement: Tensor) -> NDArray[np.float32]:
    """A displacement (S, S, 2) in keypoint units, its two numbers side by side in memory."""
    return together(displacement.permute(2, 0, 1).cpu()) * np.float32((displacement.shape[0] - 1) / 2.0)


def _sampled(field: NDArray[np.float32], where: NDArray[np.float32]) -> NDArray[np.float32]:
    """At `where` (S, S, 2), in pixels; zero outside."""
    made = cv2.remap(field, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)  # type: ignore[call-overload]
    return np.asarray(made, dtype=np.float32)


@functools.lru_cache(maxsize=4)
def pixel_places(side: int) -> NDArray[np.float32]:
    """Each pixel's own place (x, y)."""
    y, x = np.mgrid[0:side, 0:side]
    places: NDArray[np.float32] = np.stack([x, y], -1).astype(np.float32)
    return places
