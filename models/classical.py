"""The weightless reenactor: the pivot's own pixels, moved by the ten points and what can be derived from them.

It is used in every call until a network is ready, stands in where one fails, and is every network's honest baseline.
`encode` fits mediapipe's face mesh to the pivot. `drive` moves it (`avcall.models.classical_face`), hangs hair and neck
on it (`classical_sheet`), turns that into a backward map (`classical_warp`) which leaves the background alone
(`classical_still`), and opens and closes eyes (`classical_openings`) and mouth (`classical_mouth`). Without a face mesh
in the pivot (a drawing, an animal) a thin-plate spline through the ten points (`classical_tps`) does what it can.

What a warp cannot do: open eyes that the pivot shows shut, show teeth or a cheek that the pivot hides (both are made
up), look elsewhere than the pivot, follow brows, hands and shoulders (the ten points do not tell). A good pivot has
open eyes, a face towards the camera and slightly parted lips.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models import (
    classical_borrowed,
    classical_face,
    classical_mouth,
    classical_openings,
    classical_pivot,
    classical_sheet,
    classical_still,
)
from avcall.models.classical_borrowed import (
    EDGE,
    Borrowed,
    choose,
    kept,
    lay_over_large,
    mouth_pose,
    mouth_share,
    toned,
)
from avcall.models.classical_face import Motion, build_face, move_face
from avcall.models.classical_mouth import mouth_look, paint_mouth
from avcall.models.classical_openings import (
    CONTOURS,
    MOUTH,
    hole_window,
    near_triangles,
    paint_eye,
)
from avcall.models.classical_pivot import EncodedPivot, MovableFace, believable, lent, same_face
from avcall.models.classical_shapes import Array
from avcall.models.classical_sheet import back_to_front, sheet_triangles, sheet_vertices
from avcall.models.classical_still import hold_background, person_masks
from avcall.models.classical_tps import spline_displacement
from avcall.models.classical_warp import Drawing, Window, base_grid, enlarge, mesh_displacements, sample
from avcall.models.face_mesh import FaceMesh
from avcall.models.interfaces import Detailed, Encoded, ModelId
from avcall.models.segmentation import Segmenter

_FINEST_GRID, _COARSEST_GRID = 256, 64
"""The backward map is computed at half the picture's side within these bounds and enlarged."""
DETAILED_SIDE = 256
"""A larger pivot can be driven in two parts: the picture at this side, and the pivot's own pixels for detail."""
_LIPS = 0.15
"""How far the lips reach around the mouth's edge, in eye distances."""

_PARTS = (classical_face, classical_openings, classical_mouth, classical_borrowed, classical_sheet, classical_still)
_CONSTANTS = (MESH_INDICES, *classical_pivot.CONSTANTS, *(part.CONSTANTS for part in _PARTS))
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
class _Loan:
    """Another pivot's mouth, before any pixel is touched."""

    number: int
    wanted: float
    """Its share in the picture, where it fits."""
    face: MovableFace
    motion: Motion
    window: Window


@dataclass(frozen=True, slots=True)
class _Moved:
    """`displacement` (S, S, 2) leads from each pixel to its place in the pivot; `motion` is None without a face."""

    displacement: Tensor
    motion: Motion | None
    loan: _Loan | None = None
    lent: tuple[Tensor, Tensor] | None = None
    """What `loan` moves: the displacement (h, w, 2) to its place in that pivot, and where there is one (h, w)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A driven picture, float32 (3, S, S) in about [0, 255], and the displacement (S, S, 2) from a pixel to its place
    in the pivot; painted lids and mouths come from elsewhere."""

    picture: Tensor
    displacement: Tensor
    borrowed: Borrowed | None = None
    """The mouth that is another pivot's."""


class ClassicalReenactor:
    """Warps the pivot. Computes on `device` ("cpu" or "cuda"); does not touch torch's thread settings. One thread
    may encode while another drives."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._mesh = FaceMesh(video=False)
        self._segmenter = Segmenter()
        self._grids: dict[int, Tensor] = {}

    @property
    def model(self) -> ModelId:
        return _MODEL

    @property
    def device(self) -> str:
        return self._device.type

    def encode(self, pivot: Image, keypoints: Keypoints) -> EncodedPivot:
        """`pivot` uint8 (S, S, 3) of any side, `keypoints` (10, 2) measured on it by the sender."""
        landmarks = self._mesh.find(pivot)
        if landmarks is not None and not same_face(keypoints, landmarks[np.array(MESH_INDICES), :2]):
            landmarks = None
        segmentation = None if landmarks is None else self._segmenter.segment(pivot.copy())
        return self.encode_known(pivot, keypoints, landmarks, segmentation)

    def encode_known(
        self,
        pivot: Image,
        keypoints: Keypoints,
        landmarks: Landmarks | None,
        segmentation: NDArray[np.uint8] | None,
    ) -> EncodedPivot:
        """As `encode`, for a pivot whose face mesh (468, 3) and segmentation (h, w) are known; None without a face."""
        image = pivot.copy()
        planes = self._planes(image)
        face = None
        if landmarks is not None and segmentation is not None:
            model = build_face(landmarks, keypoints)
            _, corners = sheet_vertices(model, move_face(model, keypoints))
            near = tuple(near_triangles(model, sheet_triangles(), corners, hole) for hole in range(len(CONTOURS)))
            around = near_triangles(model, sheet_triangles(), corners, MOUTH, further=EDGE)
            person = person_masks(segmentation, model, self._device)
            mouth = mouth_look(pivot, planes, self._base(len(pivot)), model)
            face = MovableFace(model, mouth, near, around, person)
        small = self._smaller(image, keypoints, face) if len(image) > DETAILED_SIDE else None
        return EncodedPivot(image, keypoints.copy(), mouth_pose(keypoints), planes, face, small)

    def _smaller(self, image: Image, keypoints: Keypoints, face: MovableFace | None) -> EncodedPivot:
        """All but the pixels is the same at any size."""
        reduced = cv2.resize(image, (DETAILED_SIDE, DETAILED_SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
        planes = self._planes(reduced)
        if face is not None:
            face = replace(face, mouth=mouth_look(reduced, planes, self._base(DETAILED_SIDE), face.model))
        return EncodedPivot(reduced, keypoints.copy(), mouth_pose(keypoints), planes, face)

    def follow(self, encoded: Encoded, before: Encoded) -> EncodedPivot:
        """See `FollowsPivots`."""
        assert isinstance(encoded, EncodedPivot)
        assert isinstance(before, EncodedPivot)
        others = kept((*before.others, lent(before, ())), lambda pivot: pivot.mouth)
        return lent(encoded, others)

    @torch.inference_mode()
    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to `keypoints` (10, 2); the pivot itself where they make no sense as a face."""
        return _to_image(self.move(encoded, keypoints).picture)

    def move(self, encoded: Encoded, keypoints: Keypoints) -> Moved:
        """What `drive` rounds, and how it came about: networks go on from it."""
        assert isinstance(encoded, EncodedPivot)
        base = self._base(encoded.image.shape[0])
        if not believable(keypoints, encoded.keypoints):
            return Moved(encoded.picture[0], torch.zeros_like(base))
        motion = self._moved(encoded, keypoints)
        result = sample(encoded.picture, base + motion.displacement)
        borrowed = self._paint(result, encoded, motion)
        return Moved(result, motion.displacement, borrowed)

    @torch.inference_mode()
    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints) -> Detailed | None:
        """The pivot moved at DETAILED_SIDE, and its own pixels along the same displacement. In these the eyes are those
        of the pivot within the moved lids; mouths are painted in the small picture only."""
        assert isinstance(encoded, EncodedPivot)
        small = encoded.small
        if small is None:
            return None
        if not believable(keypoints, encoded.keypoints):
            return Detailed(small.image.copy(), encoded.image.copy())
        side = len(encoded.image)
        motion = self._moved(small, keypoints)
        image = sample(small.picture, self._base(DETAILED_SIDE) + motion.displacement)
        borrowed = self._paint(image, small, motion)
        larger = replace(motion, displacement=enlarge(motion.displacement, side))
        sampled = sample(encoded.picture, self._base(side) + larger.displacement)
        self._paint_eyes(sampled, encoded, larger)
        reference = _to_image(sampled)
        if borrowed is not None:
            lay_over_large(reference, encoded.others[borrowed.number].image, borrowed, DETAILED_SIDE)
        return Detailed(_to_image(image), reference)

    def _moved(self, encoded: EncodedPivot, keypoints: Keypoints) -> _Moved:
        """What `keypoints` make of the pivot, before any pixel is touched."""
        face, side = encoded.face, len(encoded.image)
        if face is None:
            coarse = spline_displacement(encoded.keypoints, keypoints, self._base(_COARSEST_GRID))
            return _Moved(enlarge(coarse, side), None)
        motion = move_face(face.model, keypoints)
        loan = self._loan(encoded, face, motion, keypoints)
        moved, own = sheet_vertices(face.model, motion)
        order = back_to_front(moved)
        grid = min(max(side // 2, _COARSEST_GRID), _FINEST_GRID)
        drawings = [Drawing(self._triangles(order), grid, Window(0, 0, grid, grid))]
        for hole, near in enumerate(face.near):
            if hole == MOUTH and loan is not None and loan.wanted == 1.0:
                continue  # it is drawn over
            window = hole_window(motion.moved, face.model, hole, side)
            if window is not None:  # lids and lips meet in seams that the coarse map would smear
                drawings.append(Drawing(self._triangles(order[near[order]]), side, window))
        finer = drawings[1:]
        if loan is not None:
            lent, lent_own = sheet_vertices(loan.face.model, loan.motion)
            order = back_to_front(lent)
            triangles = self._triangles(order[loan.face.around_mouth[order]]) + len(moved)
            drawings.append(Drawing(triangles, side, loan.window))
            moved, own = np.concatenate([moved, lent]), np.concatenate([own, lent_own])
        (coarse, covered), *fine = mesh_displacements(self._tensor(moved[:, :2]), self._tensor(own), drawings)
        displacement = enlarge(hold_background(coarse, covered, face.person, self._base(grid)), side)
        for drawing, (field, covered) in zip(finer, fine, strict=False):
            part = displacement[drawing.window.slices]
            part.copy_(torch.where(covered[..., None], field, part))
        return _Moved(displacement, motion, loan, None if loan is None else fine[-1])

    def _loan(self, encoded: EncodedPivot, face: MovableFace, motion: Motion, keypoints: Keypoints) -> _Loan | None:
        """Whose mouth is to be borrowed; None where the pivot's own is best."""
        if not encoded.others:
            return None
        chosen = choose(mouth_pose(keypoints), encoded.mouth, [other.mouth for other in encoded.others])
        if chosen is None:
            return None
        other = encoded.others[chosen[0]]
        window = hole_window(motion.moved, face.model, MOUTH, len(encoded.image), margin=_LIPS + EDGE)
        if window is None or other.face is None or not believable(keypoints, other.keypoints):
            return None
        return _Loan(*chosen, other.face, move_face(other.face.model, keypoints), window)

    def _paint(self, result: Tensor, encoded: EncodedPivot, moved: _Moved) -> Borrowed | None:
        """Opens and closes eyes and mouth in `result` (3, S, S), about [0, 255]; returns whose mouth was borrowed."""
        face, motion = encoded.face, moved.motion
        if face is None or motion is None:
            return None
        self._paint_eyes(result, encoded, moved)
        lent = self._lent_mouth(result, encoded, moved)
        if lent is None or lent[0].whole < 1.0:
            paint_mouth(result, self._base(result.shape[-1]), face.model, face.mouth, motion)
        if lent is None:
            return None
        borrowed, drawn = lent
        part = result[(slice(None), *borrowed.window.slices)]
        part += borrowed.share * (drawn - part)
        return borrowed

    def _paint_eyes(self, result: Tensor, encoded: EncodedPivot, moved: _Moved) -> None:
        face, motion = encoded.face, moved.motion
        if face is None or motion is None:
            return
        base = self._base(result.shape[-1])
        for hole in range(len(CONTOURS)):
            if hole != MOUTH:
                paint_eye(result, encoded.picture, base, moved.displacement, face.model, motion, hole)

    def _lent_mouth(self, result: Tensor, encoded: EncodedPivot, moved: _Moved) -> tuple[Borrowed, Tensor] | None:
        """The borrowed mouth, (3, h, w) of a window of `result` (3, S, S); None where none is wanted, or none fits."""
        face, loan = encoded.face, moved.loan
        if face is None or moved.motion is None or loan is None or moved.lent is None:
            return None
        (field, covered), side = moved.lent, result.shape[-1]
        base, part = self._base(side), (slice(None), *loan.window.slices)
        drawn = torch.empty_like(result)
        drawn[part] = sample(encoded.others[loan.number].picture, base[loan.window.slices] + field)
        paint_mouth(drawn, base, loan.face.model, loan.face.mouth, loan.motion)
        share = (
            torch.from_numpy(mouth_share(loan.window, side, moved.motion, face.model.unit)).to(self._device) * covered
        )
        whole = loan.wanted * toned(result[part], drawn[part], share)
        return (Borrowed(loan.number, loan.window, field, whole * share, whole), drawn[part]) if whole > 0.0 else None

    def _planes(self, image: Image) -> Tensor:
        return torch.from_numpy(image).to(self._device).permute(2, 0, 1)[None].float().contiguous()

    def _base(self, side: int) -> Tensor:
        if side not in self._grids:
            self._grids[side] = base_grid(side, self._device)
        return self._grids[side]

    def _triangles(self, order: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(sheet_triangles()[order]).to(self._device)

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self._device)


def _to_image(planes: Tensor) -> Image:
    return planes.round().clamp(0.0, 255.0).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
