"""Lids that shut where the eyes dip below what is usual for them."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoints import LID_LEFT, LID_RIGHT, MESH_INDICES, Keypoints, Landmarks
from avcall.models.interfaces import ModelId
from avcall.models.metrics_face import eye_aspect_ratio
from avcall.models.reenactment.reenactor import PointDetector
from avcall.models.reenactment.shut_lids import FOLLOW, USUAL_FRAMES, ShutLids
from tests.classical_portrait import eyes, portrait


def points(mesh: Landmarks) -> Keypoints:
    return mesh[list(MESH_INDICES), :2].copy()


def gap(keypoints: Keypoints, mesh: Landmarks) -> float:
    """Of the left lid's point to the lower lid, relative to the mesh's."""
    lower = mesh[145, :2]
    return float(np.linalg.norm(keypoints[LID_LEFT] - lower) / np.linalg.norm(mesh[159, :2] - lower))


@pytest.fixture
def lids() -> ShutLids:
    """Has seen open eyes for a while."""
    made = ShutLids()
    for _ in range(30):
        made.shut(points(eyes(1.0)), eyes(1.0))
    return made


def test_open_eyes_are_left_alone(lids: ShutLids) -> None:
    assert eye_aspect_ratio(eyes(0.9)[None])[0] == pytest.approx(0.9 * eye_aspect_ratio(eyes(1.0)[None])[0], rel=0.02)
    for share in (1.0, 0.9, 1.2):
        assert np.array_equal(lids.shut(points(eyes(share)), eyes(share)), points(eyes(share)))


def test_eyes_that_dip_are_shut_and_nothing_else_moves(lids: ShutLids) -> None:
    mesh = eyes(0.7)
    shut = lids.shut(points(mesh), mesh)
    assert gap(shut, mesh) == pytest.approx(1.0 - FOLLOW, abs=0.01)
    others = np.delete(shut - points(mesh), (LID_LEFT, LID_RIGHT), axis=0)
    assert not others.any()
    assert 0.3 < gap(lids.shut(points(eyes(0.8)), eyes(0.8)), eyes(0.8)) < 0.8


def test_the_first_frame_is_usual_and_so_is_what_lasts(lids: ShutLids) -> None:
    narrow = eyes(0.6)
    assert np.array_equal(ShutLids().shut(points(narrow), narrow), points(narrow))
    for _ in range(USUAL_FRAMES):
        last = lids.shut(points(narrow), narrow)
    assert np.array_equal(last, points(narrow)), "eyes that stay narrow are narrow eyes"


def test_a_mesh_that_makes_no_sense_changes_nothing(lids: ShutLids) -> None:
    broken = np.full_like(eyes(1.0), np.nan)
    assert np.array_equal(lids.shut(points(eyes(1.0)), broken), points(eyes(1.0)))


def test_the_detector_of_a_call_shuts_lids_and_that_of_single_pictures_does_not() -> None:
    model = ModelId("points", "0" * 8)
    call, single = PointDetector(model), PointDetector(model, carry=False)
    for _ in range(10):
        call.detect(portrait(), eyes(1.0))
    assert gap(call.detect(portrait(), eyes(0.7)), eyes(0.7)) < 0.3
    assert np.array_equal(single.detect(portrait(), eyes(0.7)), points(eyes(0.7)))
