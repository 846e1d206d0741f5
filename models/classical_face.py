"""Where all 468 mesh points of a pivot go when only ten of them are told: pose, jaw, then what is left over.

The ten points are few, so they are explained in three steps, each taking what the one before left:

1. a rigid turn of the pivot's three-dimensional mesh (weak perspective) together with an opening of the jaw,
   a regularised Gauss-Newton fit that trusts eye corners and nose more than lips and chin;
2. the remainder of eye corners, nose, mouth corners and chin, spread smoothly over the skin (kriging with
   Gaussian covariances);
3. the remainder of the inner lips and upper lids, moved by shapes that know what hangs together: a whole lid goes
   down to the lower lid, a whole lip moves with its middle and not its corners.

Driven points are met exactly (but for lids and lips on the point of closing, and for nonsense), so the pivot's own
keypoints give the pivot's own mesh.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from avcall.common.keypoints import (
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MESH_INDICES,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE,
    UPPER_LIP,
    Keypoints,
    Landmarks,
)
from avcall.models.classical_shapes import (
    BROAD,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LIDS,
    LOWER_LIP_BODY,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    OVAL,
    SHAPE_CONSTANTS,
    UPPER_LIP_BODY,
    Array,
    broad_weights,
    frontal,
    held_depth,
    jaw_shape,
    lid_weights,
    lip_weights,
    smooth,
)

_TRUST = {EYE_LEFT: 1.0, EYE_RIGHT: 1.0, NOSE: 1.0, LID_LEFT: 0.3, LID_RIGHT: 0.3}
_TRUST |= {MOUTH_LEFT: 0.3, MOUTH_RIGHT: 0.3, UPPER_LIP: 0.4, CHIN: 0.4, LOWER_LIP: 0.1}
_LID_TRUST_DOWN = 0.05
"""Lids blink: their height says little about the pose."""
_POINT_SPREAD = 0.04
"""Standard deviation of a fully trusted point about the model, in outer-eye-corner distances."""
_PRIOR = np.array([0.3, 0.5, 0.3, 0.08, 1.0, 1.0, 0.25])
"""Standard deviations of turn about x, y, z (radians), log scale, shift x, y (face units), jaw (radians)."""
_TURN_LIMIT = 1.0
_SCALE_LIMIT = 0.5
_FIT_LOW = np.array([*[-_TURN_LIMIT] * 3, -_SCALE_LIMIT, -np.inf, -np.inf, -0.2])
_FIT_HIGH = np.array([*[_TURN_LIMIT] * 3, _SCALE_LIMIT, np.inf, np.inf, 0.6])
_FIT_ROUNDS = 3
_STRAY = 0.5
"""No driven point strays farther than this, in eye distances, from where pose and jaw put it: no face does."""
_BLINK = (0.85, 0.71)
"""The mesh follows a lid only half way down: a lid this far open (relative to the pivot's) begins to close, and this
far is closed."""
_SEALED = 0.03
"""Gap between the inner lips, in eye distances, below which they are drawn together."""
_EYE_NOISE = 0.06
_LID_PITCH = 0.36
"""How much wider the mesh opens the eyes, relatively, for a radian of nodding (the mean over some real clips)."""
_LID_TURN = (0.25, 0.3)
"""Turn of the head in radians from which lids are followed less, and over which they cease to be."""
_DRIVEN = np.array(MESH_INDICES)
_BROAD, _LIPS, _LIDS = np.array(BROAD), np.array((UPPER_LIP, LOWER_LIP)), np.array((LID_LEFT, LID_RIGHT))
_NUDGE = 1e-4
_NUDGES = np.vstack([np.zeros(3), _NUDGE * np.eye(3)])
"""No turn, and a small one about each axis."""
_PRECISION = np.diag(_PRIOR**-2)
_INNER_UPPER, _INNER_LOWER = np.array(INNER_UPPER_LIP[1:-1]), np.array(INNER_LOWER_LIP[1:-1])
_UPPER_LIP_RINGS, _LOWER_LIP_RINGS = (
    tuple((np.array(ring), follow) for ring, follow in ((inner, 1.0), (body[9:], 0.9), (body[:9], 0.75), (outer, 0.6)))
    for inner, body, outer in (
        (INNER_UPPER_LIP[1:-1], UPPER_LIP_BODY, OUTER_UPPER_LIP[1:-1]),
        (INNER_LOWER_LIP[1:-1], LOWER_LIP_BODY, OUTER_LOWER_LIP[1:-1]),
    )
)
"""Points of a closing lip, and how far they follow its edge."""
_UNTURNED = np.eye(3)
_CROSS = np.zeros((3, 9))
_CROSS[range(3), [7, 2, 3]], _CROSS[range(3), [5, 6, 1]] = 1.0, -1.0
"""An axis (3) times this is the matrix (3, 3), in one row, of the cross product with it."""
_UPPER_LID_MIDDLES, _LOWER_LID_MIDDLES = np.array([[upper[4], lower[4]] for upper, lower in LIDS]).T

CONSTANTS = (
    *(_TRUST, _LID_TRUST_DOWN, _POINT_SPREAD, _PRIOR.tolist(), _TURN_LIMIT, _SCALE_LIMIT),
    *(_STRAY, _BLINK, _SEALED, _EYE_NOISE, _LID_PITCH, _LID_TURN, SHAPE_CONSTANTS),
)
"""What defines the model, for its id."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where the mesh goes: (468, 3) positions in the keypoint convention (z in the scale of x)."""

    pose: Array
    """Turn about x, y, z in radians, log of the scale, shift (2) in face units, jaw in radians, from the pivot's."""
    posed: Array
    """By the head's turn alone: what is fixed to the skull (eyeballs, upper teeth) goes there."""
    moved: Array
    """By all there is: the skin."""


@dataclass(frozen=True, slots=True)
class FaceModel:
    """A pivot's mesh and the shapes in which it moves; made once a pivot by `build_face`."""

    mesh: Landmarks
    """(468, 3), its ten driven points being exactly the pivot's keypoints."""
    centre: Array
    unit: float
    """Distance of the outer eye corners, in keypoint units."""
    jaw_shape: Array
    """(468, 3) displacement for a radian of jaw."""
    broad: Array
    """(468, 6) weights of the `BROAD` points."""
    lips: Array
    """(468, 2) weights of upper and lower lip."""
    lids: Array
    """(468, 2) weights of left and right lid."""
    held_depth: Array
    """(468,) depth (z) of the mesh with sides that stop going back where the pivot hardly shows them."""
    outward: Array
    """(468, 2) unit vectors in the picture from the face's middle line to its sides."""


def build_face(mesh: Landmarks, keypoints: Keypoints) -> FaceModel:
    """Prepares the pivot's mesh (468, 3) whose driven points were measured as `keypoints` (10, 2)."""
    mesh64 = mesh.astype(np.float64)
    face = frontal(mesh64)
    unit = float(np.linalg.norm(mesh64[263] - mesh64[33]))
    model = FaceModel(
        mesh=mesh,
        centre=mesh64[np.array(OVAL)].mean(axis=0),
        unit=unit,
        jaw_shape=jaw_shape(mesh64, face),
        broad=broad_weights(face),
        lips=lip_weights(face),
        lids=lid_weights(face),
        held_depth=held_depth(mesh64, face),
        outward=np.sign(face[:, :1]) * (mesh64[263] - mesh64[33])[None, :2] / unit,
    )
    # the keypoints were measured on another (uncoded, tracked) picture than this mesh: the mesh bends to meet them
    snapped = mesh64.copy()
    snapped[:, :2] += _spread(model, keypoints.astype(np.float64) - mesh64[_DRIVEN, :2])
    return replace(model, mesh=snapped.astype(np.float32))


def move_face(model: FaceModel, keypoints: Keypoints) -> Motion:
    """Moves the mesh so that its driven points lie at `keypoints` (10, 2)."""
    target = keypoints.astype(np.float64)
    mesh = model.mesh.astype(np.float64)
    fit = _fit_pose(model, mesh, target)
    turn = _grown_turn(fit)
    posed = _turned(mesh, turn, fit, model)
    moved = posed + fit[6] * (model.jaw_shape @ turn)
    residual = target - moved[_DRIVEN, :2]
    far = np.sqrt((residual * residual).sum(axis=1, keepdims=True)) / (_STRAY * model.unit)
    moved[:, :2] += _spread(model, residual / np.maximum(far, 1.0))
    _close_lips(model, posed, moved)
    _close_lids(model, fit, posed, moved)
    _hold_unseen(model, mesh, turn, moved)
    return Motion(fit, posed, moved)


def carry(model: FaceModel, motion: Motion, points: Array) -> Array:
    """Where other points (N, 3) of the pivot's head go when they are fixed to the skull."""
    return _turned(points, _grown_turn(motion.pose), motion.pose, model)


def _close_lips(model: FaceModel, posed: Array, moved: Array) -> None:
    """Closes a mouth that was open in the pivot along its whole width, in the measure in which its middle closes."""
    gap = math.dist(moved[14, :2], moved[13, :2])
    was = math.dist(posed[14, :2], posed[13, :2])
    if gap >= was:
        return
    share = float(smooth((1.0 - gap / was) * 1.25))
    # lips that touch are still a little apart for the mesh
    left = gap / was * (1.0 + share * (float(smooth(gap / model.unit / _SEALED)) - 1.0))
    upper, lower = moved[_INNER_UPPER], moved[_INNER_LOWER]
    half = left * (posed[_INNER_LOWER] - posed[_INNER_UPPER]) / 2.0
    middle = (upper + lower) / 2.0
    for rings, shift in (
        (_UPPER_LIP_RINGS, share * (middle - half - upper)),
        (_LOWER_LIP_RINGS, share * (middle + half - lower)),
    ):
        for ring, follow in rings:
            moved[ring] += follow * shift


def _close_lids(model: FaceModel, fit: Array, posed: Array, moved: Array) -> None:
    """Shuts the eyes that the driving lids say are shut."""
    open_now, open_posed = (
        np.hypot(*(points[_UPPER_LID_MIDDLES, :2] - points[_LOWER_LID_MIDDLES, :2]).T) for points in (moved, posed)
    )
    ratio = open_now / np.maximum(open_posed, 1e-6) - _LID_PITCH * fit[0]
    # one eye's reading is noisy and eyes mostly blink together; a wink differs by more than the noise
    ratio = ratio + np.minimum(np.maximum(ratio.sum() / 2.0 - ratio, -_EYE_NOISE), _EYE_NOISE)
    shut = smooth((_BLINK[0] - ratio) / (_BLINK[0] - _BLINK[1]))
    # far from the pivot's pose the reading is worth little, and a face that shuts its eyes for long is worse than one
    # that misses a blink
    shut *= 1.0 - smooth((math.hypot(fit[0], fit[1]) - _LID_TURN[0]) / _LID_TURN[1])
    for eye, (upper, lower) in enumerate(LIDS):
        if shut[eye] == 0.0:
            continue
        way = shut[eye] * (moved[list(lower)] - moved[list(upper)])
        above = model.lids[:, eye, None] * way[4]
        above[list(upper)] = way
        above[list(lower)] = 0.0
        moved += above


def _hold_unseen(model: FaceModel, mesh: Array, turn: Array, moved: Array) -> None:
    """Where the head turns a side into view that the pivot hardly shows, moves it like a flat plate instead of
    stretching a few pixels of edge over a cheek. `turn` is `_grown_turn`."""
    # the plate, the mesh at the depth that is held, differs from the mesh in nothing but depth
    beyond = (mesh[:, 2] - model.held_depth) * (model.outward @ turn[2, :2])
    moved[:, :2] -= np.maximum(beyond, 0.0)[:, None] * model.outward


def _spread(model: FaceModel, residual: Array) -> Array:
    """(468, 2): what the ten residuals (10, 2) do to every point."""
    shift: Array = model.broad @ residual[_BROAD]
    for weights, at in ((model.lips, _LIPS), (model.lids, _LIDS)):
        shift += weights @ (residual[at] - shift[_DRIVEN[at]])
    return shift


def _grown_turn(fit: Array) -> Array:
    """What a fit (7,) multiplies positions (N, 3) about the face's centre by: turn and scale, (3, 3)."""
    return np.asarray(math.exp(fit[3]) * _rotation(fit[:3]).T)


def _turned(points: Array, turn: Array, fit: Array, model: FaceModel) -> Array:
    """Points (N, 3) turned, scaled and shifted by a fit (7,), of which `turn` is the `_grown_turn`."""
    moved = (points - model.centre) @ turn + model.centre
    moved[:, :2] += fit[4:6] * model.unit
    return np.asarray(moved)


def _fit_pose(model: FaceModel, mesh: Array, target: Array) -> Array:
    """Turn (3), log scale, shift (2) in face units, jaw: the most plausible that brings the points to `target`."""
    points, shape = mesh[_DRIVEN] - model.centre, model.jaw_shape[_DRIVEN]
    trust = _weights() / (_POINT_SPREAD * model.unit)
    goal = target - model.centre[:2]
    fit = np.zeros(7)
    slopes = np.zeros((7, *target.shape))
    slopes[4, :, 0] = slopes[5, :, 1] = model.unit
    for _ in range(_FIT_ROUNDS):
        # by the turn the slopes are differences, by the rest they are known
        turns = math.exp(fit[3]) * _rotation(fit[:3] + _NUDGES).swapaxes(-1, -2)[..., :2]
        places = (points + fit[6] * shape) @ turns
        now = places[0]
        slopes[:3] = (places[1:] - now) / _NUDGE
        slopes[3] = now
        slopes[6] = shape @ turns[0]
        rows = (slopes * trust).reshape(7, -1)
        left = ((goal - fit[4:6] * model.unit - now) * trust).ravel()
        # the prior keeps it well conditioned
        fit = fit + np.linalg.solve(rows @ rows.T + _PRECISION, rows @ left - _PRECISION @ fit)
        fit = np.minimum(np.maximum(fit, _FIT_LOW), _FIT_HIGH)
    return fit


@functools.cache
def _weights() -> Array:
    """Trust (10, 2) in each driven point, across and down."""
    trust = np.array([[_TRUST[i], _TRUST[i]] for i in range(len(_DRIVEN))])
    trust[[LID_LEFT, LID_RIGHT], 1] = _LID_TRUST_DOWN
    return trust


def _rotation(turn: Array) -> Array:
    """Rodrigues' formula: (..., 3, 3) of turns (..., 3)."""
    angle = np.sqrt((turn * turn).sum(axis=-1))[..., None, None]
    cross = (turn / np.maximum(angle[..., 0], 1e-9)) @ _CROSS
    cross = cross.reshape(*turn.shape, 3)
    return np.asarray(_UNTURNED + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross)
