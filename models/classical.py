"""The weightless reenactor: the pivot's own pixels, moved by the ten points and what can be derived from them.

It is used in every call until a network is ready, stands in where one fails, and is every network's honest baseline.
`encode` fits mediapipe's face mesh to the pivot; `drive` moves the mesh (`avcall.models.classical_face`), turns it
into a backward map (`avcall.models.classical_warp`), and opens and closes eyes and mouth
(`avcall.models.classical_openings`, `avcall.models.classical_mouth`). Without a face mesh in the pivot (a drawing, an animal) a thin-plate spline
through the ten points does what it can.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models import classical_face, classical_mouth, classical_openings
from avcall.models.classical_face import OVAL, Array, FaceModel, Motion, build_face, move_face
from avcall.models.classical_mouth import MouthLook, mouth_look, paint_mouth
from avcall.models.classical_openings import (
    CONTOURS,
    MOUTH,
    fill_corners,
    fill_triangles,
    hole_window,
    near_triangles,
    paint_eye,
    strip_sources,
)
from avcall.models.classical_tps import spline_displacement
from avcall.models.classical_warp import base_grid, enlarge, mesh_displacement, sample
from avcall.models.face_mesh import POINTS, FaceMesh, mesh_triangles
from avcall.models.interfaces import Encoded, ModelId

_RINGS = ((1.12, 0.95), (1.35, 0.6), (1.65, 0.22), (2.0, 0.0))
"""(distance from the face's centre relative to its outline, share of the head's motion): hair, ears and neck."""
_FINEST_GRID, _COARSEST_GRID = 256, 64
"""The backward map is computed at half the picture's side within these bounds and enlarged."""
_EYES_APART = (0.4, 2.5)
"""Driving points whose outer eye corners are closer or farther than this times the pivot's are not believed."""
_REACH = 2.0
"""Nor are points farther out than this (1 is the picture's edge)."""

_PARTS = (classical_face.CONSTANTS, classical_openings.CONSTANTS, classical_mouth.CONSTANTS)
_CONSTANTS = (MESH_INDICES, _RINGS, _EYES_APART, _REACH, _PARTS)
_MODEL = ModelId("classical", hashlib.sha256(repr(_CONSTANTS).encode()).hexdigest()[:8])


class MeshDetector:
    """The ten mesh points themselves are the keypoints."""

    @property
    def model(self) -> ModelId:
        return _MODEL

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        """`landmarks` (468, 3) of the crop `image`; returns (10, 2)."""
        return np.ascontiguousarray(landmarks[np.array(MESH_INDICES), :2], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class EncodedPivot:
    """A pivot ready to be driven."""

    image: Image
    keypoints: Keypoints
    picture: Tensor
    """float32 (1, 3, H, W) in [0, 255] on the reenactor's device."""
    face: MovableFace | None
    """None where the pivot shows no face mesh."""


@dataclass(frozen=True, slots=True)
class MovableFace:
    """What is prepared of a pivot with a face."""

    model: FaceModel
    mouth: MouthLook
    near: tuple[Tensor, ...]
    """Of each hole of the mesh, the triangles around it."""


class ClassicalReenactor:
    """Warps the pivot. Computes on `device` ("cpu" or "cuda"); does not touch torch's thread settings."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._mesh = FaceMesh(video=False)
        self._triangles = torch.from_numpy(_all_triangles()).to(self._device)
        self._grids: dict[int, Tensor] = {}

    @property
    def model(self) -> ModelId:
        return _MODEL

    @property
    def device(self) -> str:
        return self._device.type

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        """`pivot` uint8 (S, S, 3) of any side, `keypoints` (10, 2) measured on it by the sender."""
        landmarks = self._mesh.find(pivot)
        planes = torch.from_numpy(np.ascontiguousarray(pivot)).to(self._device).permute(2, 0, 1)[None].float()
        face = None
        if landmarks is not None and _believable(keypoints, landmarks[np.array(MESH_INDICES), :2]):
            model = build_face(landmarks, keypoints)
            _, vertices = _vertices(model, move_face(model, keypoints))
            near = [near_triangles(model, self._triangles.cpu().numpy(), vertices, i) for i in range(len(CONTOURS))]
            near_tensors = tuple(torch.from_numpy(triangles).to(self._device) for triangles in near)
            face = MovableFace(model, mouth_look(pivot, model, self._device), near_tensors)
        return EncodedPivot(pivot.copy(), keypoints.copy(), planes.contiguous(), face)

    @torch.inference_mode()
    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to `keypoints` (10, 2); the pivot itself where they make no sense as a face."""
        assert isinstance(encoded, EncodedPivot)
        if not _believable(keypoints, encoded.keypoints):
            return encoded.image.copy()
        base = self._base(encoded.image.shape[0])
        if encoded.face is not None:
            return _to_image(self._drive_face(encoded.picture, encoded.face, keypoints, base))
        coarse = spline_displacement(encoded.keypoints, keypoints, self._base(_COARSEST_GRID))
        return _to_image(sample(encoded.picture, base + enlarge(coarse, len(base))))

    def _drive_face(self, picture: Tensor, face: MovableFace, keypoints: Keypoints, base: Tensor) -> Tensor:
        """(3, S, S) in about [0, 255]."""
        side = len(base)
        motion = move_face(face.model, keypoints)
        target, source = (self._tensor(points) for points in _vertices(face.model, motion))
        grid = min(max(side // 2, _COARSEST_GRID), _FINEST_GRID)
        coarse, _ = mesh_displacement(target, source, self._triangles, grid)
        displacement = enlarge(coarse, side)
        windows = [hole_window(motion, face.model, hole, side) for hole in range(len(CONTOURS))]
        for window, near in zip(windows, face.near, strict=True):
            if window is not None:  # lids and lips meet in seams that the coarse map would smear
                fine, covered = mesh_displacement(target, source, near, side, window)
                part = displacement[window.slices]
                part[covered] = fine[covered]
        result = sample(picture, base + displacement)
        for hole, window in enumerate(windows):
            if window is None:
                continue
            if hole == MOUTH:
                paint_mouth(result, picture, base, face.model, face.mouth, motion, window)
            else:
                paint_eye(result, picture, base, displacement[window.slices], face.model, motion, hole, window)
        return result

    def _base(self, side: int) -> Tensor:
        if side not in self._grids:
            self._grids[side] = base_grid(side, self._device)
        return self._grids[side]

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self._device)


def _believable(keypoints: Keypoints, pivot_keypoints: Keypoints) -> bool:
    if keypoints.shape != pivot_keypoints.shape or not np.isfinite(keypoints).all() or np.abs(keypoints).max() > _REACH:
        return False
    apart = float(np.linalg.norm(keypoints[EYE_RIGHT] - keypoints[EYE_LEFT]))
    pivot_apart = float(np.linalg.norm(pivot_keypoints[EYE_RIGHT] - pivot_keypoints[EYE_LEFT]))
    return _EYES_APART[0] * pivot_apart < apart < _EYES_APART[1] * pivot_apart


def _all_triangles() -> NDArray[np.int64]:
    """Rings first, so that the face lies over them; then the fillings of eyes and mouth; then the face."""
    count = len(OVAL)
    rings = []
    for ring in range(len(_RINGS)):
        inner = list(OVAL) if ring == 0 else [POINTS + (ring - 1) * count + i for i in range(count)]
        outer = [POINTS + ring * count + i for i in range(count)]
        for i in range(count):
            j = (i + 1) % count
            rings += [(inner[i], inner[j], outer[i]), (inner[j], outer[j], outer[i])]
    return np.concatenate(
        [np.array(rings[::-1]), np.array(fill_triangles(POINTS + len(_RINGS) * count)), mesh_triangles()]
    )


def _vertices(face: FaceModel, motion: Motion) -> tuple[Array, Array]:
    """Target and source positions (V, 2) of the mesh, the rings and the strips across eyes and mouth."""
    oval = np.array(OVAL)
    outline = face.mesh[oval, :2]
    centre = outline.mean(axis=0)
    shift = motion.moved[oval, :2] - outline
    skin, strips = strip_sources(face, motion)
    rings = [centre + reach * (outline - centre) for reach, _ in _RINGS]
    moved_rings = [ring + share * shift for ring, (_, share) in zip(rings, _RINGS, strict=True)]
    moved_strips = motion.moved[fill_corners(), :2]
    return np.concatenate([motion.moved[:, :2], *moved_rings, moved_strips]), np.concatenate([skin, *rings, strips])


def _to_image(planes: Tensor) -> Image:
    return planes.round().clamp(0.0, 255.0).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
