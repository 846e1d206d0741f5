"""The square around a face in which a stand-in network paints, in cells of eight pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.keypoints import CHIN, EYE_LEFT, EYE_RIGHT

_STEP_CELLS = 4
"""Of a face's square: its side is a multiple of so many cells of eight pixels."""
_ABOVE, _BELOW, _BESIDE = 0.2, 0.15, 0.3
"""What is painted beyond the keypoints, in parts of their extent."""
_FADE_CELLS = 8
"""Of two pixels: so far from the square's edge the painting is faded in."""


@dataclass(frozen=True, slots=True)
class Square:
    """A part of the picture, in cells of eight pixels."""

    top: int
    left: int
    cells: int

    def cut(self, field: Any, cell: int) -> Any:
        """The square of a map (H, W, C), an array or a tensor, of cells of so many pixels."""
        scale = 8 // cell
        top, left, size = scale * self.top, scale * self.left, scale * self.cells
        return field[top : top + size, left : left + size]

    def inside(self, cells: int) -> Tensor:
        """(H, W, 1), in cells of two pixels: 1, but at the square's edges within a picture of `cells`, where it falls
        to 0 over _FADE_CELLS."""
        ramp = ((torch.arange(4 * self.cells) + 0.5) / _FADE_CELLS).clamp_max(1.0)
        down, across = (
            torch.minimum(
                ramp if start else torch.ones_like(ramp),
                ramp.flip(0) if start + self.cells < cells else torch.ones_like(ramp),
            )
            for start in (self.top, self.left)
        )
        return (down[:, None] * across)[..., None]


def face_square(points: NDArray[np.float32], cells: int) -> Square:
    """Around the keypoints (K, 2) of a picture of so many cells: from the brows to below the chin. Its
    side changes in steps, for which convolutions are prepared once."""
    eyes, chin = points[[EYE_LEFT, EYE_RIGHT]], points[CHIN]
    across = np.ptp(points[:, 0]) * (1.0 + 2.0 * _BESIDE)
    down = np.ptp(points[:, 1]) * (1.0 + _ABOVE + _BELOW)
    size = float(max(across, down)) * cells / 2.0
    if not np.isfinite(size):
        return Square(0, 0, cells)
    steps = min(cells, max(_STEP_CELLS, _STEP_CELLS * round(size / _STEP_CELLS + 0.25)))
    middle_x = float(points[:, 0].min() + points[:, 0].max()) / 2.0
    middle_y = float(eyes[:, 1].mean() + chin[1]) / 2.0 + (_BELOW - _ABOVE) / 2.0 * float(np.ptp(points[:, 1]))
    left, top = (
        int(np.clip(round((middle + 1.0) / 2.0 * cells - steps / 2.0), 0, cells - steps))
        for middle in (middle_x, middle_y)
    )
    return Square(top, left, steps)
