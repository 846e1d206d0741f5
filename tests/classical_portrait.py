"""The sample's portrait (NASA, public domain) and its face mesh, for tests of the classical warp."""

from __future__ import annotations

import functools
from importlib.resources import as_file, files

import cv2
import numpy as np

from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.classical_face import FaceModel, build_face
from avcall.models.face_mesh import FaceMesh


@functools.cache
def portrait() -> Image:
    """(256, 256, 3), the head in the middle; not to be written to."""
    with as_file(files("avcall.bench") / "assets" / "portrait.jpg") as path:
        whole = cv2.imread(str(path))
    assert whole is not None
    image = np.asarray(cv2.resize(whole[0:230, 110:340, ::-1], (256, 256), interpolation=cv2.INTER_AREA))
    image.flags.writeable = False
    return image


@functools.cache
def portrait_landmarks() -> Landmarks:
    """(468, 3); not to be written to."""
    mesh = FaceMesh(video=False)
    found = mesh.find(portrait())
    mesh.close()
    assert found is not None
    found.flags.writeable = False
    return found


def portrait_keypoints() -> Keypoints:
    """(10, 2), a fresh copy."""
    return portrait_landmarks()[list(MESH_INDICES), :2].copy()


@functools.cache
def portrait_face() -> FaceModel:
    return build_face(portrait_landmarks(), portrait_keypoints())
