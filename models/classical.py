"""The weightless reenactor: the pivot's own pixels, moved by the ten points and what can be derived from them.

It is used in every call until a network is ready, stands in where one fails, and is every network's honest baseline.
`encode` fits mediapipe's face mesh to the pivot. `drive` moves it (`avcall.models.classical_face`), hangs hair and neck
on it (`classical_sheet`), turns that into a backward map (`classical_warp`) which leaves the background to the camera
(`classical_still`), and opens and closes eyes (`classical_openings`) and mouth (`classical_mouth`). Without a face mesh
in the pivot (a drawing, an animal) a thin-plate spline through the ten points (`classical_tps`) does what it can.

What a warp cannot do: open eyes that the pivot shows shut, show teeth or a cheek that the pivot hides (both are made
up), look elsewhere than the pivot, follow brows, hands and shoulders (the ten points do not tell). A good pivot has
open eyes, a face towards the camera and slightly parted lips.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from avcall.common import residual_flow
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.common.scene import STILL, SceneMotion
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
from avcall.models.classical_pivot import EncodedPivot, MovableFace, believable, lent
from avcall.models.classical_reader import Known, PivotReader
from avcall.models.classical_sheet import back_to_front, sheet_triangles, sheet_vertices
from avcall.models.classical_still import follows_flow, hold_background, person_masks
from avcall.models.classical_tps import spline_displacement
from avcall.models.classical_warp import Drawing, Map, Mask, Window, base_grid, enlarge, mesh_displacements, sample
from avcall.models.interfaces import Detailed, Encoded, ModelId

_FINEST_GRID, _COARSEST_GRID = 256, 64
"""The backward map is computed at half the picture's side within these bounds and enlarged."""
DETAILED_SIDE = 256
"""A larger pivot can be driven in two parts: the picture at this side, and the pivot's own pixels for detail."""
_LIPS = 0.15
"""How far the lips reach around the mouth's edge, in eye distances."""

_PARTS = (classical_face, classical_openings, classical_mouth, classical_borrowed, classical_sheet, classical_still)
_CONSTANTS = (MESH_INDICES, residual_flow.CONSTANTS, *classical_pivot.CONSTANTS, *(part.CONSTANTS for part in _PARTS))
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

    displacement: Map
    motion: Motion | None
    loan: _Loan | None = None
    lent: tuple[Map, Mask] | None = None
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
    """Warps the pivot, on the CPU; `device` ("cpu" or "cuda") is where `move` lays what networks go on from. One thread
    may encode while another drives."""

    moves_scene: ClassVar[Literal[True]] = True

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._reader = PivotReader()
        self._grids: dict[int, Map] = {}

    @property
    def model(self) -> ModelId:
        return _MODEL

    @property
    def device(self) -> str:
        return self._device.type

    def encode(self, pivot: Image, keypoints: Keypoints) -> EncodedPivot:
        """`pivot` uint8 (S, S, 3) of any side, `keypoints` (10, 2) measured on it by the sender."""
        return self.encode_known(pivot, keypoints, self._reader.read(pivot, keypoints))

    def encode_known(self, pivot: Image, keypoints: Keypoints, known: Known) -> EncodedPivot:
        """As `encode`, for a pivot that was read already."""
        image = pivot.copy()
        face = None
        landmarks, segmentation = known.landmarks, known.segmentation
        if landmarks is not None and segmentation is not None:
            model = build_face(landmarks, keypoints)
            _, corners = sheet_vertices(model, move_face(model, keypoints))
            near = tuple(near_triangles(model, sheet_triangles(), corners, hole) for hole in range(len(CONTOURS)))
            around = near_triangles(model, sheet_triangles(), corners, MOUTH, further=EDGE)
            person = person_masks(segmentation, model)
            mouth = mouth_look(image, self._base(len(image)), model)
            face = MovableFace(model, mouth, near, around, person)
        small = self._smaller(image, keypoints, face) if len(image) > DETAILED_SIDE else None
        return EncodedPivot(image, keypoints.copy(), mouth_pose(keypoints), image.astype(np.float32), face, small)

    def _smaller(self, image: Image, keypoints: Keypoints, face: MovableFace | None) -> EncodedPivot:
        """All but the pixels is the same at any size."""
        reduced = cv2.resize(image, (DETAILED_SIDE, DETAILED_SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
        if face is not None:
            face = replace(face, mouth=mouth_look(reduced, self._base(DETAILED_SIDE), face.model))
        return EncodedPivot(reduced, keypoints.copy(), mouth_pose(keypoints), reduced.astype(np.float32), face)

    def follow(self, encoded: Encoded, other: Encoded) -> EncodedPivot:
        """See `FollowsPivots`."""
        assert isinstance(encoded, EncodedPivot)
        assert isinstance(other, EncodedPivot)
        others = [lender for lender in (*other.others, lent(other, ())) if lender.picture is not encoded.picture]
        return lent(encoded, kept(others, lambda pivot: pivot.mouth))

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """The pivot moved to `keypoints` (10, 2); the pivot itself where they make no sense as a face."""
        assert isinstance(encoded, EncodedPivot)
        if not believable(keypoints, encoded.keypoints):
            return encoded.image.copy()
        return rounded(self._drawn(encoded, self._moved(encoded, keypoints, scene))[0])

    def sketch(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """See `Sketches`: in half the time of `drive`, with eyes and mouth as the coarse map has them."""
        assert isinstance(encoded, EncodedPivot)
        if not believable(keypoints, encoded.keypoints):
            return encoded.image.copy()
        moved = self._moved(encoded, keypoints, scene, finely=False)
        return rounded(sample(encoded.picture, self._base(len(encoded.image)) + moved.displacement, cv2.INTER_LINEAR))

    def flow_share(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion) -> Map:
        """See `SharesFlow`."""
        assert isinstance(encoded, EncodedPivot)
        around = residual_flow.around_features(keypoints, _COARSEST_GRID)
        if encoded.face is None:
            return around
        base = self._base(_COARSEST_GRID)
        return around * follows_flow(encoded.face.person, encoded.keypoints, keypoints, scene, base)

    def move(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Moved:
        """What `drive` rounds, and how it came about: networks go on from it."""
        assert isinstance(encoded, EncodedPivot)
        if not believable(keypoints, encoded.keypoints):
            return self._laid(encoded.picture, np.zeros_like(self._base(len(encoded.image))), None)
        moved = self._moved(encoded, keypoints, scene)
        picture, borrowed = self._drawn(encoded, moved)
        return self._laid(picture, moved.displacement, borrowed)

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Detailed | None:
        """The pivot moved at DETAILED_SIDE, and its own pixels along the same displacement. In these the eyes are those
        of the pivot within the moved lids; mouths are painted in the small picture only."""
        assert isinstance(encoded, EncodedPivot)
        small = encoded.small
        if small is None:
            return None
        if not believable(keypoints, encoded.keypoints):
            return Detailed(small.image.copy(), encoded.image.copy())
        side = len(encoded.image)
        moved = self._moved(small, keypoints, scene)
        picture, borrowed = self._drawn(small, moved)
        larger = replace(moved, displacement=enlarge(moved.displacement, side))
        sampled = sample(encoded.picture, self._base(side) + larger.displacement)
        self._paint_eyes(sampled, encoded, larger)
        reference = rounded(sampled)
        if borrowed is not None:
            lay_over_large(reference, encoded.others[borrowed.number].image, borrowed, DETAILED_SIDE)
        return Detailed(rounded(picture), reference)

    def _laid(self, picture: Map, displacement: Map, borrowed: Borrowed | None) -> Moved:
        planes = torch.from_numpy(picture).permute(2, 0, 1)
        return Moved(planes.to(self._device), torch.from_numpy(displacement).to(self._device), borrowed)

    def _moved(self, encoded: EncodedPivot, keypoints: Keypoints, scene: SceneMotion, finely: bool = True) -> _Moved:
        """What `keypoints` and the scene make of the pivot, before any pixel is touched; eyes and mouth to the pixel,
        or not so `finely`. Without a face mesh the scene stands still."""
        face, side = encoded.face, len(encoded.image)
        if face is None:
            coarse = spline_displacement(encoded.keypoints, keypoints, self._base(_COARSEST_GRID))
            return _Moved(enlarge(coarse, side), None)
        motion = move_face(face.model, keypoints)
        loan = self._loan(encoded, face, motion, keypoints) if finely else None
        moved, own = sheet_vertices(face.model, motion, scene.body)
        order = back_to_front(moved)
        grid = min(max(side // 2, _COARSEST_GRID), _FINEST_GRID)
        drawings = [Drawing(sheet_triangles()[order], grid, Window(0, 0, grid, grid))]
        for hole, near in enumerate(face.near if finely else ()):
            if hole == MOUTH and loan is not None and loan.wanted == 1.0:
                continue  # it is drawn over
            window = hole_window(motion.moved, face.model, hole, side)
            if window is not None:  # lids and lips meet in seams that the coarse map would smear
                drawings.append(Drawing(sheet_triangles()[order[near[order]]], side, window))
        finer = drawings[1:]
        if loan is not None:
            lent, lent_own = sheet_vertices(loan.face.model, loan.motion)
            order = back_to_front(lent)
            triangles = sheet_triangles()[order[loan.face.around_mouth[order]]] + len(moved)
            drawings.append(Drawing(triangles, side, loan.window))
            moved, own = np.concatenate([moved, lent]), np.concatenate([own, lent_own])
        (coarse, covered), *fine = mesh_displacements(moved[:, :2], own, drawings)
        held = hold_background(coarse, covered, face.person, self._base(grid), scene)
        if scene.flow:  # which leaves the finer drawings alone: they are of eyes and mouth
            share = self.flow_share(encoded, keypoints, scene)[..., None]
            held = held + enlarge(residual_flow.field(scene.flow, _COARSEST_GRID) * share, grid)
        displacement = enlarge(np.ascontiguousarray(held), side)
        for drawing, (field, covered) in zip(finer, fine, strict=False):
            np.copyto(displacement[drawing.window.slices], field, where=covered[..., None])
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

    def _drawn(self, encoded: EncodedPivot, moved: _Moved) -> tuple[Map, Borrowed | None]:
        """The moved picture (S, S, 3) in about [0, 255], eyes and mouth opened and closed, and whose mouth it is."""
        base = self._base(len(encoded.image))
        result = sample(encoded.picture, base + moved.displacement)
        face, motion = encoded.face, moved.motion
        if face is None or motion is None:
            return result, None
        self._paint_eyes(result, encoded, moved)
        lent = self._lent_mouth(result, encoded, moved)
        if lent is None or lent[0].whole < 1.0:
            paint_mouth(result, base, face.model, face.mouth, motion)
        if lent is None:
            return result, None
        borrowed, drawn = lent
        part = result[borrowed.window.slices]
        part += borrowed.share[..., None] * (drawn - part)
        return result, borrowed

    def _paint_eyes(self, result: Map, encoded: EncodedPivot, moved: _Moved) -> None:
        face, motion = encoded.face, moved.motion
        if face is None or motion is None:
            return
        base = self._base(len(result))
        for hole in range(len(CONTOURS)):
            if hole != MOUTH:
                paint_eye(result, encoded.picture, base, moved.displacement, face.model, motion, hole)

    def _lent_mouth(self, result: Map, encoded: EncodedPivot, moved: _Moved) -> tuple[Borrowed, Map] | None:
        """The borrowed mouth, (h, w, 3) of a window of `result` (S, S, 3); None where none is wanted, or none fits."""
        face, loan = encoded.face, moved.loan
        if face is None or moved.motion is None or loan is None or moved.lent is None:
            return None
        (field, covered), side = moved.lent, len(result)
        base, part = self._base(side), loan.window.slices
        drawn = np.empty_like(result)
        drawn[part] = sample(encoded.others[loan.number].picture, base[part] + field)
        paint_mouth(drawn, base, loan.face.model, loan.face.mouth, loan.motion)
        share = mouth_share(loan.window, side, moved.motion, face.model.unit) * covered
        whole = loan.wanted * toned(result[part], drawn[part], share)
        if whole == 0.0:
            return None
        return Borrowed(loan.number, loan.window, field, np.float32(whole) * share, whole), drawn[part]

    def _base(self, side: int) -> Map:
        if side not in self._grids:
            self._grids[side] = base_grid(side)
        return self._grids[side]


def rounded(picture: Map) -> Image:
    """A picture (S, S, 3) of about [0, 255] in whole levels."""
    return np.asarray(cv2.add(picture, np.zeros(3), dtype=cv2.CV_8U), dtype=np.uint8)
