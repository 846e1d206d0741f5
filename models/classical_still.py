"""A background that stands still, or goes where the camera's motion takes it, whatever the sheet does: outside of it
the person moves as the body does.

The seam between the two is a soft band around the person. It is narrow for small motions, wider for larger ones, which
a narrow band would tear, and for the largest the sheet's own fading has to do.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.keypoints import Keypoints
from avcall.common.scene import STILL, SceneMotion
from avcall.models.classical_face import FaceModel
from avcall.models.classical_openings import depth_inside
from avcall.models.classical_shapes import OVAL
from avcall.models.classical_warp import Map, Mask, base_grid, sample

_ZERO = np.float32(0.0)
_SIDE = 64
_PERSON = (0.15, 0.65)
"""Shares of person in the segmentation that count as none and as all."""
_CHEEK = 0.15
"""What is as near to the face (in eye distances) is person, whatever the segmentation says."""
_BANDS = (5.0 / 256.0, 12.0 / 256.0)
"""Width of the narrow and the wide band, as a share of the picture."""
_MOTIONS = (0.0156, 0.052, 0.26)
"""Mean motion of the sheet, in keypoint units, up to which the band is narrow, at which it is wide, and from which
nothing is held. Where the background moves otherwise than the body, the band between them is at most wide."""

_FREE = 2.0 / 256.0
"""Motion of the background, in keypoint units, from which it follows a residual flow as the person does."""

CONSTANTS = (_SIDE, _PERSON, _CHEEK, _BANDS, _MOTIONS, _FREE)


def person_masks(segmentation: NDArray[np.uint8], face: FaceModel) -> Map:
    """What moves with the head or body, by narrow, wide and no band: float32 (3, 1, g, g) in [0, 1].

    `segmentation` (h, w) is the probability of person times 255.
    """
    share = torch.from_numpy(segmentation)[None, None].float() / 255.0
    share = F.interpolate(share, size=(_SIDE, _SIDE), mode="bilinear", align_corners=True)
    person = ((share - _PERSON[0]) / (_PERSON[1] - _PERSON[0])).clamp(0.0, 1.0)
    edge = torch.from_numpy(depth_inside(base_grid(_SIDE), face.mesh[list(OVAL), :2]))
    person = torch.maximum(person, (1.0 + edge / (face.unit * _CHEEK)).clamp(0.0, 1.0))
    masks = torch.cat([*(_soften(person, band) for band in _BANDS), torch.ones_like(person)])
    return np.asarray(masks.numpy())


def hold_background(displacement: Map, covered: Mask, masks: Map, base: Map, scene: SceneMotion = STILL) -> Map:
    """`displacement` (g, g, 2) of the sheet, which covers `covered` (g, g), with the background held where the scene's
    motion has it: (g, g, 2).

    `base` (g, g, 2) are the grid's own positions.
    """
    body = scene.body.inverse.displacement(base)
    own = np.where(covered[..., None], displacement - body, _ZERO)
    # a pixel moves if what it shows is person, so the masks are read where the pixel comes from
    person_from = base + body + own
    held = body + own * sample(_mask(masks, _mean(own, covered)), person_from, cv2.INTER_LINEAR)[..., None]
    if scene.background != scene.body:
        behind = scene.background.inverse.displacement(base) - body
        mask = _mask(masks, min(_mean(behind, np.ones_like(covered)), _MOTIONS[1]))
        held += behind * (1.0 - sample(mask, person_from, cv2.INTER_LINEAR)[..., None])
    return np.asarray(held)


def follows_flow(masks: Map, pivot: Keypoints, keypoints: Keypoints, scene: SceneMotion, base: Map) -> Map:
    """How much of a residual flow each place of the moved picture follows, (g, g): all of it where there is person, and
    nothing of it in a background that stands still, which slow waves could not help moving too.

    `pivot` and `keypoints` (K, 2) say where the head has gone, `base` (g, g, 2) are the grid's own positions.
    """
    person = sample(masks[0, 0], base + (pivot - keypoints).mean(axis=0), cv2.INTER_LINEAR)
    free = min(1.0, scene.background.reach / _FREE)
    return np.asarray(person + np.float32(free) * (1.0 - person))


def _mean(motion: Map, where: Mask) -> float:
    length = np.sqrt(np.square(motion.transpose(2, 0, 1)).sum(axis=0))
    return float((length * where).sum()) / max(int(where.sum()), 1)


def _mask(masks: Map, motion: float) -> Map:
    """Of so much motion."""
    narrow, wide, none = _MOTIONS
    if motion <= wide:
        return _between(masks[0, 0], masks[1, 0], max((motion - narrow) / (wide - narrow), 0.0))
    return _between(masks[1, 0], masks[2, 0], min((motion - wide) / (none - wide), 1.0))


def _between(first: Map, second: Map, part: float) -> Map:
    return first + np.float32(part) * (second - first)


def _soften(mask: Tensor, band: float) -> Tensor:
    """The mask grown by the band and blurred over it."""
    size = 2 * max(1, round(band * _SIDE)) + 1
    pad = (size // 2,) * 4
    mask = F.max_pool2d(F.pad(mask, pad, mode="replicate"), size, stride=1)
    for _ in range(2):
        mask = F.avg_pool2d(F.pad(mask, pad, mode="replicate"), size, stride=1)
    return mask
