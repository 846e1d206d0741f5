"""A background that stands still: the sheet's motion is held back where the pivot shows no person.

The seam between the two is a soft band around the person. It is narrow for small motions, wider for larger ones, which
a narrow band would tear, and for the largest the sheet's own fading has to do.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from avcall.models.classical_face import FaceModel
from avcall.models.classical_openings import depth_inside
from avcall.models.classical_shapes import OVAL
from avcall.models.classical_warp import base_grid

_SIDE = 64
_PERSON = (0.15, 0.65)
"""Shares of person in the segmentation that count as none and as all."""
_CHEEK = 0.15
"""What is as near to the face (in eye distances) is person, whatever the segmentation says."""
_BANDS = (5.0 / 256.0, 12.0 / 256.0)
"""Width of the narrow and the wide band, as a share of the picture."""
_MOTIONS = (0.0156, 0.052, 0.26)
"""Mean motion of the sheet, in keypoint units, up to which the band is narrow, at which it is wide, and from which
nothing is held."""

CONSTANTS = (_SIDE, _PERSON, _CHEEK, _BANDS, _MOTIONS)


def person_masks(segmentation: NDArray[np.uint8], face: FaceModel, device: torch.device) -> Tensor:
    """What moves with the head or body, by narrow, wide and no band: float32 (3, 1, g, g) in [0, 1].

    `segmentation` (h, w) is the probability of person times 255.
    """
    share = torch.from_numpy(segmentation).to(device)[None, None].float() / 255.0
    share = F.interpolate(share, size=(_SIDE, _SIDE), mode="bilinear", align_corners=True)
    person = ((share - _PERSON[0]) / (_PERSON[1] - _PERSON[0])).clamp(0.0, 1.0)
    edge = depth_inside(base_grid(_SIDE, device), face.mesh[list(OVAL), :2])
    person = torch.maximum(person, (1.0 + edge / (face.unit * _CHEEK)).clamp(0.0, 1.0))
    return torch.cat([*(_soften(person, band) for band in _BANDS), torch.ones_like(person)])


def hold_background(displacement: Tensor, covered: Tensor, masks: Tensor, base: Tensor) -> Tensor:
    """`displacement` (g, g, 2) of the sheet, which covers `covered` (g, g), with the background held: (g, g, 2).

    `base` (g, g, 2) are the grid's own positions.
    """
    length = torch.hypot(displacement[..., 0], displacement[..., 1])  # norm() takes ten times as long here
    motion = float(length.sum() / covered.sum().clamp(min=1))
    narrow, wide, none = _MOTIONS
    if motion <= wide:
        part = min(max((motion - narrow) / (wide - narrow), 0.0), 1.0)
        mask = torch.lerp(masks[0], masks[1], part)
    else:
        mask = torch.lerp(masks[1], masks[2], min((motion - wide) / (none - wide), 1.0))
    # a pixel moves if what it shows is person, so the mask is read where the pixel comes from
    share = F.grid_sample(mask[None], (base + displacement)[None], padding_mode="border", align_corners=True)[0, 0]
    return displacement * share[..., None]


def _soften(mask: Tensor, band: float) -> Tensor:
    """The mask grown by the band and blurred over it."""
    size = 2 * max(1, round(band * _SIDE)) + 1
    pad = (size // 2,) * 4
    mask = F.max_pool2d(F.pad(mask, pad, mode="replicate"), size, stride=1)
    for _ in range(2):
        mask = F.avg_pool2d(F.pad(mask, pad, mode="replicate"), size, stride=1)
    return mask
