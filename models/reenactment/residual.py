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
from cv2.typing import MatLike
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.keypoints import Image
from avcall.models.classical import Moved, rounded
from avcall.models.reenactment.lean import Drawn, enlarged, together

_ROUNDS = 2
"""Of the fixed-point iteration towards the place that shows the same point of the pivot."""
_UNSURE_PIXELS = 2.0
"""The last round's step beyond which a place is not believed."""
_NEWEST = 0.7
"""Share of the newest residual in what is shown, the rest being what was shown in the picture before: a new look of the
network would be seen as flicker otherwise."""
NO_CHANGE = 128
_NOWHERE = 1e4
"""A place outside of every picture, also when it is mixed with its neighbour's."""
_COARSE = 2
"""Motion is carried at this part of the side: it is smooth, and so small that it stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What a network made of a warped picture: it moves it a little further, and paints over it. Motion is (C, C, 2),
    C being half of the picture's side S."""

    change: Image
    """Its picture less the warp's, moved by the correction: (S, S, 3), in levels of 255, and `NO_CHANGE` more. Beyond
    127 either way it is cut: a network rarely paints a fifth of that."""
    displacement: NDArray[np.float32]
    """The warp's: from a place to its place in the pivot, in cells of this grid."""
    correction: NDArray[np.float32]
    """The network's of it, in pixels."""


def residual(moved: Moved, drawn: Drawn) -> Residual:
    """Of what a network has `drawn` from a warped pivot."""
    side = len(drawn.image)
    told = drawn.correction[0].permute(1, 2, 0).cpu().numpy()
    correction = enlarged(told, side // _COARSE) * np.float32((side - 1) / 2.0)
    change = cv2.addWeighted(drawn.image, 1.0, _moved_by(correction, moved), -1.0, NO_CHANGE)
    return Residual(np.asarray(change, dtype=np.uint8), _cells(moved), correction)


def corrected(moved: Moved, drawn: Drawn) -> NDArray[np.float32]:
    """The displacement (S, S, 2), in pixels, of what a network has drawn."""
    displacement = in_pixels(moved.displacement)
    correction = drawn.correction[0].permute(1, 2, 0).cpu().numpy()
    return displacement + enlarged(correction, len(displacement)) * np.float32((len(displacement) - 1) / 2.0)


def carry(moved: Moved, late: Residual, shown: Residual | None) -> Residual:
    """The residual of another picture of the same pivot where it belongs in this one, eased by what was `shown` in the
    picture before."""
    displacement = _cells(moved)
    change, correction = _carried(displacement, late)
    if shown is not None:
        change_before, correction_before = _carried(displacement, shown)
        cv2.addWeighted(change, _NEWEST, change_before, 1.0 - _NEWEST, 0.0, dst=change)
        cv2.addWeighted(correction, _NEWEST, correction_before, 1.0 - _NEWEST, 0.0, dst=correction)
    return Residual(change, displacement, correction)


def repaired(moved: Moved, here: Residual | None) -> Image:
    """The warped picture with a residual of its own; None: without."""
    if here is None:
        return rounded(together(moved.picture.cpu()))
    made = cv2.addWeighted(_moved_by(here.correction, moved), 1.0, here.change, 1.0, -NO_CHANGE)
    return np.asarray(made, dtype=np.uint8)


def shown_flow(moved: Moved, here: Residual | None) -> NDArray[np.float32]:
    """The displacement (S, S, 2), in pixels, by which `repaired` shows the pivot's own."""
    displacement = in_pixels(moved.displacement)
    return displacement if here is None else displacement + enlarged(here.correction, len(displacement))


def _carried(displacement: NDArray[np.float32], late: Residual) -> tuple[Image, NDArray[np.float32]]:
    """The change and the correction of another picture where they belong in the one of this `displacement`."""
    where = _counterparts(displacement, late)
    side = len(late.change)
    away = enlarged((where - pixel_places(len(where))) * np.float32(_COARSE), side)
    change = _sampled(late.change, cv2.add(away, pixel_places(side)), NO_CHANGE)
    return np.asarray(change, dtype=np.uint8), np.asarray(_sampled(late.correction, where), dtype=np.float32)


def _counterparts(displacement: NDArray[np.float32], late: Residual) -> NDArray[np.float32]:
    """The cell (C, C, 2) of the other picture that shows the same point of the pivot as each cell of this one; nowhere
    at tears and folds, where there is none.

    It is the y of x + D(x) = y + D'(y), D and D' being the displacements of this picture and the other.
    """
    shows = cv2.add(displacement, pixel_places(len(displacement)))
    where = np.asarray(cv2.subtract(shows, late.displacement), dtype=np.float32)
    for _ in range(_ROUNDS):
        before, where = where, np.asarray(cv2.subtract(shows, _sampled(late.displacement, where)), dtype=np.float32)
    step = cv2.absdiff(before, where)
    where[cv2.max(step[..., 0], step[..., 1]) > _UNSURE_PIXELS / _COARSE] = _NOWHERE
    return where


def _moved_by(correction: NDArray[np.float32], moved: Moved) -> Image:
    """The warped picture (S, S, 3), moved further by (C, C, 2) pixels."""
    picture = rounded(together(moved.picture.cpu()))
    where = cv2.add(enlarged(correction, len(picture)), pixel_places(len(picture)))
    made = cv2.remap(picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(made, dtype=np.uint8)


def _cells(moved: Moved) -> NDArray[np.float32]:
    """The displacement (C, C, 2) of every other pixel, in cells."""
    side = moved.displacement.shape[0]
    field = moved.displacement[::_COARSE, ::_COARSE].cpu().numpy()
    return np.ascontiguousarray(field * np.float32((side - 1) / 2.0 / _COARSE))


def in_pixels(displacement: Tensor) -> NDArray[np.float32]:
    """A displacement (S, S, 2) in keypoint units, its two numbers side by side in memory."""
    return together(displacement.permute(2, 0, 1).cpu()) * np.float32((displacement.shape[0] - 1) / 2.0)


def _sampled(field: MatLike, where: MatLike, outside: float = 0.0) -> MatLike:
    """At `where` (h, w, 2), in places of the field."""
    edge = cv2.BORDER_CONSTANT
    return cv2.remap(field, where, None, cv2.INTER_LINEAR, borderMode=edge, borderValue=(outside,) * 4)  # type: ignore[call-overload,no-any-return]


@functools.lru_cache(maxsize=4)
def pixel_places(side: int) -> NDArray[np.float32]:
    """Each pixel's own place (x, y)."""
    y, x = np.mgrid[0:side, 0:side]
    places: NDArray[np.float32] = np.stack([x, y], -1).astype(np.float32)
    return places
