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

from avcall.common.keypoints import Image
from avcall.models.classical import Moved
from avcall.models.reenactment.lean import Drawn, enlarged, together

_ROUNDS = 2
"""Of the fixed-point iteration towards the place that shows the same point of the pivot."""
_UNSURE_PIXELS = 2.0
"""The last round's step beyond which a place is not believed."""
_NOWHERE = -9.0


@dataclass(frozen=True, slots=True)
class Residual:
    """A network's picture less the warp's."""

    change: NDArray[np.float32]
    """(S, S, 3), in levels of 255."""
    displacement: NDArray[np.float32]
    """The warp's (S, S, 2): from a pixel to its place in the pivot, in pixels."""
    correction: NDArray[np.float32]
    """The network's (S, S, 2) of it, in keypoint units."""


def residual(moved: Moved, drawn: Drawn) -> Residual:
    """Of what a network has `drawn` from a warped pivot."""
    warped = together(moved.picture.cpu())
    correction = enlarged(drawn.correction[0].permute(1, 2, 0).cpu().numpy(), len(warped))
    return Residual(drawn.image - warped, _in_pixels(moved), correction)


def carried(moved: Moved, late: Residual | None) -> Image:
    """The warped picture with what a network changed in another picture of the same pivot; None: without."""
    warped = together(moved.picture.cpu())
    if late is None:
        return np.rint(warped).clip(0, 255).astype(np.uint8)
    change = _sampled(late.change, _counterparts(moved, late))
    return np.asarray(cv2.add(warped, change, dtype=cv2.CV_8U), dtype=np.uint8)


def carried_flow(moved: Moved, late: Residual | None) -> NDArray[np.float32]:
    """The displacement (S, S, 2) by which `carried` shows the pivot's own pixels."""
    displacement: NDArray[np.float32] = moved.displacement.cpu().numpy()
    if late is None:
        return displacement
    return displacement + _sampled(late.correction, _counterparts(moved, late))


def _counterparts(moved: Moved, late: Residual) -> NDArray[np.float32]:
    """The pixel (S, S, 2) of the other picture that shows the same point of the pivot as each pixel of this one; one
    outside the picture at tears and folds, where there is none.

    It is the y of x + D(x) = y + D'(y), D and D' being the displacements of this picture and the other.
    """
    displacement = _in_pixels(moved)
    shows = cv2.add(displacement, _pixels(len(displacement)))
    where = np.asarray(cv2.subtract(shows, late.displacement), dtype=np.float32)
    for _ in range(_ROUNDS):
        before, where = where, np.asarray(cv2.subtract(shows, _sampled(late.displacement, where)), dtype=np.float32)
    step = cv2.absdiff(before, where)
    where[cv2.max(step[..., 0], step[..., 1]) > _UNSURE_PIXELS] = _NOWHERE
    return where


def _in_pixels(moved: Moved) -> NDArray[np.float32]:
    """The displacement (S, S, 2), its two numbers side by side in memory."""
    side = moved.displacement.shape[0]
    return together(moved.displacement.permute(2, 0, 1).cpu()) * np.float32((side - 1) / 2.0)


def _sampled(field: NDArray[np.float32], where: NDArray[np.float32]) -> NDArray[np.float32]:
    """At `where` (S, S, 2), in pixels; zero outside."""
    made = cv2.remap(field, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)  # type: ignore[call-overload]
    return np.asarray(made, dtype=np.float32)


@functools.lru_cache(maxsize=4)
def _pixels(side: int) -> NDArray[np.float32]:
    """Each pixel's own place (x, y)."""
    y, x = np.mgrid[0:side, 0:side]
    places: NDArray[np.float32] = np.stack([x, y], -1).astype(np.float32)
    return places
