"""What the warp must know of a pivot before it can move it: its face mesh, and who is a person in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.classical_pivot import same_face
from avcall.models.face_mesh import FaceMesh
from avcall.models.segmentation import Segmenter


@dataclass(frozen=True, slots=True)
class Known:
    """Of one pivot; nothing where it shows no face, or another than the sender measured."""

    landmarks: Landmarks | None = None
    """(468, 3)."""
    segmentation: NDArray[np.uint8] | None = None
    """As `Segmenter.segment` gives it."""


class PivotReader:
    """Loads mediapipe's networks when it is first asked. Not safe for use by two threads at once."""

    def __init__(self) -> None:
        self._networks: tuple[FaceMesh, Segmenter] | None = None

    def read(self, pivot: Image, keypoints: Keypoints) -> Known:
        """`pivot` uint8 (S, S, 3) of any side, `keypoints` (10, 2) measured on it by the sender."""
        if self._networks is None:
            self._networks = FaceMesh(video=False), Segmenter()
        mesh, segmenter = self._networks
        landmarks = mesh.find(pivot)
        if landmarks is None or not same_face(keypoints, landmarks[np.array(MESH_INDICES), :2]):
            return Known()
        return Known(landmarks, segmenter.segment(pivot.copy()))
