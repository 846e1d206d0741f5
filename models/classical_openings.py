"""Eyes and mouth: the three holes in the mesh, where skin slides over what does not move with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avcall.common.keypoints import Image, to_pixels
from avcall.models.classical_face import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LOWER_LIDS,
    UPPER_LIDS,
    Array,
    FaceModel,
    Motion,
)
from avcall.models.classical_warp import sample


def _strip(upper: tuple[int, ...], lower: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Triangles between two contours that share both ends."""
    strip = []
    for i in range(len(upper) - 1):
        if i > 0:
            strip.append((upper[i], upper[i + 1], lower[i]))
        if i < len(upper) - 2:
            strip.append((upper[i + 1], lower[i + 1], lower[i]))
    return strip


FILL_TRIANGLES = [
    triangle
    for upper, lower in zip((*UPPER_LIDS, INNER_UPPER_LIP), (*LOWER_LIDS, INNER_LOWER_LIP), strict=True)
    for triangle in _strip(upper, lower)
]
"""They close the holes of the mesh (stretching what was in them), beneath what is painted here."""

_FEATHER = 0.02
"""Softness of a painted edge, in outer-eye-corner distances."""
_DARKEN = 0.28
"""How much light is left inside a mouth, relative to the lips."""
_GAP = (0.015, 0.07)
"""How much wider than the pivot's a mouth must be (in eye distances) for the paint to begin, and to be full."""

CONSTANTS = (_FEATHER, _DARKEN, _GAP)


@dataclass(frozen=True, slots=True)
class Openings:
    """What a pivot shows of its openings."""

    mouth_colour: tuple[float, float, float]
    """RGB in [0, 255] of the dark inside of the mouth."""


def build_openings(pivot: Image, face: FaceModel) -> Openings:
    """Takes the mouth's dark from the pivot's own lips."""
    side = pivot.shape[0]
    lips = to_pixels(face.mesh[list(INNER_UPPER_LIP + INNER_LOWER_LIP), :2], side, side).round().astype(int)
    lips = np.clip(lips, 0, side - 1)
    shade = pivot[lips[:, 1], lips[:, 0]].astype(np.float64)
    colour = np.median(shade, axis=0) * _DARKEN
    return Openings((float(colour[0]), float(colour[1]), float(colour[2])))


def paint_openings(
    picture: Tensor, base: Tensor, displacement: Tensor, face: FaceModel, openings: Openings, motion: Motion
) -> Tensor:
    """Samples `picture` (1, 3, S, S) along `displacement` (S, S, 2) with eyes that stay put beneath their lids and a
    mouth that is dark inside: (3, S, S)."""
    for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True):
        _slide_lid(base, displacement, face, motion, upper, lower)
    result = sample(picture, base + displacement)
    _open_mouth(result, base, face, openings, motion)
    return result


def _slide_lid(
    base: Tensor, displacement: Tensor, face: FaceModel, motion: Motion, upper: tuple[int, ...], lower: tuple[int, ...]
) -> None:
    """Within the open eye the picture follows the skull, not the lid, as far as the pivot shows it."""
    outline = upper + lower[-2:0:-1]
    at = list(outline)
    polygon = motion.moved[at, :2]
    window = _window(polygon, base.shape[0], face.unit * 0.05)
    if window is None:
        return
    rows, columns = window
    where = base[rows, columns]
    share = _inside(where, polygon, face.unit * _FEATHER)
    # the skull's motion across the eye as an affine map back to the pivot
    posed = np.concatenate([motion.posed[at, :2], np.ones((len(at), 1))], axis=1)
    affine = np.linalg.lstsq(posed, face.mesh[at, :2].astype(np.float64) - motion.posed[at, :2], rcond=None)[0]
    solid = _affine(where, affine)
    stretched = displacement[rows, columns]
    # opened wider than the pivot's eye, there is nothing behind the lid: stretch instead
    down = face.mesh[lower[4], :2] - face.mesh[upper[4], :2]
    down = down / (np.linalg.norm(down) + 1e-9)
    axis = torch.tensor(down, dtype=torch.float32, device=base.device)
    further = ((stretched - solid) @ axis).clamp(min=0.0)
    inner = solid + further[..., None] * axis
    displacement[rows, columns] = stretched + share[..., None] * (inner - stretched)


def _open_mouth(result: Tensor, base: Tensor, face: FaceModel, openings: Openings, motion: Motion) -> None:
    gap = np.linalg.norm(motion.moved[14, :2] - motion.moved[13, :2])
    was = np.linalg.norm(face.mesh[14, :2] - face.mesh[13, :2])
    strength = float(np.clip(((gap - was) / face.unit - _GAP[0]) / (_GAP[1] - _GAP[0]), 0.0, 1.0))
    if strength == 0.0:
        return
    polygon = motion.moved[list(INNER_UPPER_LIP + INNER_LOWER_LIP[-2:0:-1]), :2]
    window = _window(polygon, base.shape[0], face.unit * 0.05)
    if window is None:
        return
    rows, columns = window
    share = strength * _inside(base[rows, columns], polygon, face.unit * _FEATHER)
    colour = torch.tensor(openings.mouth_colour, device=base.device)[:, None, None]
    patch = result[:, rows, columns]
    result[:, rows, columns] = patch + share * (torch.minimum(patch, colour) - patch)


def _affine(where: Tensor, matrix: Array) -> Tensor:
    """(x, y, 1) of `where` (h, w, 2) times `matrix` (3, 2)."""
    m = torch.tensor(matrix, dtype=torch.float32, device=where.device)
    return where @ m[:2] + m[2]


def _window(polygon: Array, side: int, margin: float) -> tuple[slice, slice] | None:
    """Rows and columns of the pixels within `margin` of the polygon's box; None outside the picture."""
    low = np.floor((polygon.min(axis=0) - margin + 1.0) * (side - 1) / 2.0).astype(int).clip(0, side)
    high = np.ceil((polygon.max(axis=0) + margin + 1.0) * (side - 1) / 2.0).astype(int).clip(-1, side - 1) + 1
    if (high <= low).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def _inside(where: Tensor, polygon: Array, feather: float) -> Tensor:
    """1 inside the polygon (N, 2), 0 outside, soft over `feather` within its edge: (h, w)."""
    p = torch.tensor(polygon, dtype=torch.float32, device=where.device)
    q = torch.roll(p, -1, dims=0)
    edge = q - p
    rel = where[:, :, None] - p  # (h, w, N, 2)
    along = ((rel * edge).sum(-1) / (edge * edge).sum(-1).clamp(min=1e-12)).clamp(0.0, 1.0)
    distance = (rel - along[..., None] * edge).square().sum(-1).amin(-1).sqrt()
    # crossings of a ray to the right, for inside or outside
    above = (p[:, 1] > where[:, :, None, 1]) != (q[:, 1] > where[:, :, None, 1])
    cross = rel[..., 0] * edge[:, 1] - rel[..., 1] * edge[:, 0]
    hits = (above & ((cross < 0) == (edge[:, 1] > 0))).sum(-1)
    inside = hits % 2 == 1
    return torch.where(inside, (distance / feather).clamp(0.0, 1.0), torch.zeros_like(distance))
