"""What is inside a mouth: what the pivot shows of it, and where it shows nothing, dark and a hint of teeth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avcall.common.keypoints import Image, to_pixels
from avcall.models.classical_face import FaceModel, Motion
from avcall.models.classical_openings import MOUTH, back_to_pivot, closing, depth_inside, hole_window, outline
from avcall.models.classical_shapes import INNER_LOWER_LIP, Array, smooth
from avcall.models.classical_warp import sample

_FEATHER = 0.016
"""Softness of the lips' inner edge, in outer-eye-corner distances."""
_DARK, _LINE = 0.36, 0.6
"""Light left deep inside a mouth and between lips that have just parted, relative to the lips."""
_RED = (1.0, 0.65, 0.68)
"""The lips' colour turns towards red in the dark of a mouth: blood lets little else through."""
_DEEP = 0.05
"""How far from the lips (in eye distances) it is quite dark."""
_SHADE = 0.08
"""Gap between closing lips, in eye distances, from which the pivot's own teeth are in the shade."""
_TEETH_BELOW, _TEETH_EDGE = 0.085, 0.025
"""Upper teeth end this far below where the upper lip's edge was in the pivot; softness of that end."""
_TEETH_BRIGHT, _TEETH_GREY = 1.0, 0.6
"""Brightness of teeth relative to the cheeks, and how far they are from the cheeks' colour towards grey."""
_TEETH_STRENGTH = 0.9
_CHEEKS = (50, 280, 205, 425)

CONSTANTS = (
    _FEATHER,
    _DARK,
    _LINE,
    *_RED,
    _DEEP,
    _SHADE,
    _TEETH_BELOW,
    _TEETH_EDGE,
    _TEETH_BRIGHT,
    _TEETH_GREY,
    _TEETH_STRENGTH,
)


@dataclass(frozen=True, slots=True)
class MouthLook:
    """Colours that the pivot suggests: RGB (3, 1, 1) in [0, 255] on the device."""

    lips: Tensor
    teeth: Tensor
    inside: Tensor
    """The pivot and, as fourth plane, 255 where it looks into the mouth: (1, 4, S, S)."""


def mouth_look(pivot: Image, picture: Tensor, base: Tensor, face: FaceModel) -> MouthLook:
    """`picture` (1, 3, S, S) is `pivot` on the device, `base` (S, S, 2) its pixels' positions."""
    side = pivot.shape[0]
    device = base.device

    def colour(indices: tuple[int, ...]) -> Array:
        at = to_pixels(face.mesh[list(indices), :2], side, side).round().astype(int).clip(0, side - 1)
        return np.asarray(np.median(pivot[at[:, 1], at[:, 0]].astype(np.float64), axis=0))

    lips = np.minimum(colour(INNER_LOWER_LIP), colour((0, 17, 37, 267, 84, 314))) * np.array(_RED)
    cheeks = colour(_CHEEKS)
    grey = cheeks.mean() * np.array([1.03, 1.0, 0.95])
    teeth = _TEETH_BRIGHT * (cheeks + _TEETH_GREY * (grey - cheeks))

    def tensor(value: Array) -> Tensor:
        return torch.tensor(value, dtype=torch.float32, device=device)[:, None, None]

    shown = picture.new_zeros(1, 1, side, side)
    window = hole_window(face.mesh, face, MOUTH, side)
    if window is not None:
        rows, columns = window.slices
        depth = depth_inside(base[rows, columns], outline(face.mesh, MOUTH))
        shown[0, 0, rows, columns] = 255.0 * (1.0 + depth / (face.unit * _FEATHER)).clamp(0.0, 1.0)
    return MouthLook(tensor(lips), tensor(teeth), torch.cat([picture, shown], dim=1))


def paint_mouth(result: Tensor, base: Tensor, face: FaceModel, look: MouthLook, motion: Motion) -> None:
    """Fills the parted lips in `result` (3, S, S), from the back to the front: dark, painted teeth, then what the
    pivot's own mouth shows, its lower half moving with the jaw and its upper half with the skull."""
    window = hole_window(motion.moved, face, MOUTH, result.shape[-1], margin=0.0)
    if window is None:
        return
    rows, columns = window.slices
    where = base[rows, columns]
    feather = face.unit * _FEATHER
    depth = depth_inside(where, outline(motion.moved, MOUTH))
    share = (depth / feather).clamp(0.0, 1.0)
    if not bool((share > 0.0).any()):
        return
    with_skull = back_to_pivot(where, motion, face, MOUTH)
    # lower teeth go down as far as the lower lip does
    drop = torch.tensor(motion.moved[14, :2] - motion.posed[14, :2], dtype=torch.float32, device=where.device)
    with_jaw = back_to_pivot(where - drop, motion, face, MOUTH)

    light = _LINE + (_DARK - _LINE) * (depth / (face.unit * _DEEP)).clamp(0.0, 1.0)
    inside = look.lips * light
    inside = inside + _teeth_share(with_skull, depth, face, motion) * (look.teeth - inside)
    # between lips that nearly touch it is dark, whatever shone there when they were apart
    gap = float(np.linalg.norm(motion.moved[14, :2] - motion.moved[13, :2])) / face.unit
    shown = 1.0 - closing(face, motion, 13, 14) * (1.0 - float(smooth(gap / _SHADE)))
    for source in (with_jaw, with_skull):
        own = sample(look.inside, source)
        inside = inside + shown * (own[3] / 255.0).clamp(0.0, 1.0) * (own[:3] - inside)
    result[:, rows, columns] += share * (inside - result[:, rows, columns])


def _teeth_share(with_skull: Tensor, depth: Tensor, face: FaceModel, motion: Motion) -> Tensor:
    """How much of a painted upper tooth shows at each pixel: (h, w)."""
    mesh = face.mesh.astype(np.float64)
    down = mesh[152, :2] - mesh[10, :2]
    down /= np.linalg.norm(down)
    across = np.array([-down[1], down[0]])
    half = np.linalg.norm(mesh[308, :2] - mesh[78, :2]) / 2.0
    axes = torch.tensor(np.stack([across / half, down / face.unit], axis=1), dtype=torch.float32).to(with_skull.device)
    local = (with_skull - torch.tensor(mesh[13, :2], dtype=torch.float32, device=with_skull.device)) @ axes
    above_end = ((_TEETH_BELOW - local[..., 1]) / _TEETH_EDGE).clamp(0.0, 1.0)
    centre = (1.0 - local[..., 0].square()).clamp(0.0, 1.0)
    lip_shadow = (depth / (face.unit * 0.03)).clamp(0.0, 1.0)
    share: Tensor = _TEETH_STRENGTH * above_end * centre * lip_shadow
    return share
