"""The sample's portrait (NASA, public domain) and its face mesh, for tests of the classical warp."""

from __future__ import annotations

import functools
from importlib.resources import as_file, files

import cv2
import numpy as np

from avcall.bench.sample_face import Expression, TalkingPortrait
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.classical_face import FaceModel, build_face
from avcall.models.face_mesh import FaceMesh

LIDS = {159: 145, 158: 153, 160: 144, 386: 374, 385: 380, 387: 373}
"""Upper mesh points of the eyes, and the lower ones below them."""


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


@functools.cache
def talking(opening: float) -> tuple[Image, Landmarks]:
    """The portrait with its mouth opened so far (1 is wide), and the mesh found in it."""
    picture = TalkingPortrait(portrait()).draw(Expression(opening=opening))
    mesh = FaceMesh(video=False)
    found = mesh.find(picture)
    mesh.close()
    assert found is not None
    return picture, found


def eyes(share: float) -> Landmarks:
    """The portrait's mesh, its eyes open by this share of what they are."""
    mesh = portrait_landmarks().copy()
    for upper, lower in LIDS.items():
        mesh[upper, :2] = mesh[lower, :2] + share * (mesh[upper, :2] - mesh[lower, :2])
    return mesh


def portrait_keypoints() -> Keypoints:
    """(10, 2), a fresh copy."""
    return portrait_landmarks()[list(MESH_INDICES), :2].copy()


@functools.cache
def portrait_face() -> FaceModel:
    return build_face(portrait_landmarks(), portrait_keypoints())
