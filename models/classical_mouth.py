"""What is inside a mouth: what the pivot shows of it, and where it shows nothing, dark and a hint of teeth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avcall.common.keypoints import Image, to_pixels
from avcall.models.classical_face import FaceModel, Motion
from avcall.models.classical_openings import (
    MOUTH,
    back_to_pivot,
    closing,
    depth_inside,
    depth_share,
    hole_window,
    outline,
)
from avcall.models.classical_shapes import INNER_LOWER_LIP, Array, smooth
from avcall.models.classical_warp import Map, sample

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
_PARTED = (0.04, 0.08)
"""Gap between the pivot's lips, in eye distances, up to which what lies between them for the mesh is lip (shut lips
are up to 0.04 apart for it), and from which it is the inside of the mouth."""
_TEETH_BELOW, _TEETH_EDGE = 0.085, 0.025
"""Upper teeth end this far below where the upper lip's edge was in the pivot; softness of that end."""
_TEETH_BRIGHT, _TEETH_GREY = 1.3, 0.6
"""Brightness of teeth relative to the cheeks, and how far they are from the cheeks' colour towards grey."""
_TEETH_STRENGTH = 0.9
_GAPS, _GAP, _GAP_DARK = (0.0, 0.34, 0.61, 0.88), 0.07, 0.12
"""Where one tooth ends and the next begins, in halves of the mouth's width (a central incisor is 8.5 mm wide, a mouth
some 50), how wide that looks, and the light that it lacks."""
_ROUND = 0.4
"""What the light falls by towards the corners."""
_CHEEKS = (50, 280, 205, 425)

CONSTANTS = (
    _FEATHER,
    _DARK,
    _LINE,
    *_RED,
    _DEEP,
    _SHADE,
    *_PARTED,
    _TEETH_BELOW,
    _TEETH_EDGE,
    _TEETH_BRIGHT,
    _TEETH_GREY,
    _TEETH_STRENGTH,
    *_GAPS,
    _GAP,
    _GAP_DARK,
    _ROUND,
)


@dataclass(frozen=True, slots=True)
class MouthLook:
    """Colours that the pivot suggests: RGB (3,) in [0, 255]."""

    lips: Map
    teeth: Map
    inside: Map
    """The pivot and, as fourth colour, 255 where it looks into the mouth: (S, S, 4)."""
    axes: Map
    """(2, 2): positions times these are across the mouth, in halves of its width, and down, in eye distances."""


def mouth_look(pivot: Image, base: Map, face: FaceModel) -> MouthLook:
    """`base` (S, S, 2) are the positions of the pivot's pixels."""
    side = len(pivot)

    def colour(indices: tuple[int, ...]) -> Array:
        at = to_pixels(face.mesh[list(indices), :2], side, side).round().astype(int).clip(0, side - 1)
        return np.asarray(np.median(pivot[at[:, 1], at[:, 0]].astype(np.float64), axis=0))

    lips = np.minimum(colour(INNER_LOWER_LIP), colour((0, 17, 37, 267, 84, 314))) * np.array(_RED)
    cheeks = colour(_CHEEKS)
    grey = cheeks.mean() * np.array([1.03, 1.0, 0.95])
    teeth = _TEETH_BRIGHT * (cheeks + _TEETH_GREY * (grey - cheeks))

    inside = np.dstack([pivot, np.zeros((side, side), np.uint8)]).astype(np.float32)
    window = hole_window(face.mesh, face, MOUTH, side)
    if window is not None:
        depth = depth_inside(base[window.slices], outline(face.mesh, MOUTH))
        gap = math.dist(face.mesh[14, :2], face.mesh[13, :2]) / face.unit
        parted = float(smooth((gap - _PARTED[0]) / (_PARTED[1] - _PARTED[0])))
        inside[(*window.slices, 3)] = 255.0 * parted * depth_share(depth + face.unit * _FEATHER, face.unit * _FEATHER)
    mesh = face.mesh.astype(np.float64)
    down = mesh[152, :2] - mesh[10, :2]
    down /= np.linalg.norm(down)
    half = np.linalg.norm(mesh[308, :2] - mesh[78, :2]) / 2.0
    axes = np.stack([np.array([-down[1], down[0]]) / half, down / face.unit], axis=1)
    return MouthLook(lips.astype(np.float32), teeth.astype(np.float32), inside, axes.astype(np.float32))


def paint_mouth(result: Map, base: Map, face: FaceModel, look: MouthLook, motion: Motion) -> None:
    """Fills the parted lips in `result` (S, S, 3), from the back to the front: dark, painted teeth, then what the
    pivot's own mouth shows, its lower half moving with the jaw and its upper half with the skull."""
    window = hole_window(motion.moved, face, MOUTH, len(result), margin=0.0)
    if window is None:
        return
    where = base[window.slices]
    depth = depth_inside(where, outline(motion.moved, MOUTH))
    share = depth_share(depth, face.unit * _FEATHER)
    if not share.any():
        return
    # lower teeth go down as far as the lower lip does
    drop = (motion.moved[14, :2] - motion.posed[14, :2]).astype(np.float32)
    sources = back_to_pivot(np.concatenate([where - drop, where]), motion, face, MOUTH)
    with_skull = sources[len(where) :]

    light = _LINE + (_DARK - _LINE) * depth_share(depth, face.unit * _DEEP)
    inside = look.lips * light[..., None]
    local = ((with_skull - face.mesh[13, :2]).reshape(-1, 2) @ look.axes).reshape(with_skull.shape)
    teeth = look.teeth * _relief(local)[..., None]
    inside += _teeth_share(local, depth, face)[..., None] * (teeth - inside)
    # between lips that nearly touch it is dark, whatever shone there when they were apart
    gap = math.dist(motion.moved[14, :2], motion.moved[13, :2]) / face.unit
    shown = 1.0 - closing(face, motion, 13, 14) * (1.0 - float(smooth(gap / _SHADE)))
    for own in np.split(sample(look.inside, sources), 2):
        inside += shown * depth_share(own[..., 3:], 255.0) * (own[..., :3] - inside)
    part = result[window.slices]
    part += share[..., None] * (inside - part)


def _teeth_share(local: Map, depth: Map, face: FaceModel) -> Map:
    """How much of a painted upper tooth shows at each pixel, `local` (h, w, 2) in look.axes' units: (h, w)."""
    above_end = depth_share(_TEETH_BELOW - local[..., 1], _TEETH_EDGE)
    centre = np.maximum(1.0 - np.square(local[..., 0]), 0.0)
    lip_shadow = depth_share(depth, face.unit * 0.03)
    return np.asarray(_TEETH_STRENGTH * above_end * centre * lip_shadow)


def _relief(local: Map) -> Map:
    """Light on the row of teeth: less in the gaps between them and towards the corners: (h, w)."""
    across = np.abs(local[..., 0])
    gaps = np.minimum.reduce([np.abs(across - gap) for gap in _GAPS])
    between = np.maximum(1.0 - gaps / _GAP, 0.0)
    return np.asarray((1.0 - _GAP_DARK * between) * (1.0 - _ROUND * np.square(across)))
