"""The weightless reenactor on a public-domain portrait (NASA's astronaut, from scikit-image)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from avcall.common.keypoints import (
    CHIN,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MESH_INDICES,
    NOSE,
    UPPER_LIP,
    Image,
    Keypoints,
    Landmarks,
)
from avcall.common.residual_flow import WAVES, around_features
from avcall.common.scene import SceneMotion, Similarity
from avcall.models.classical import ClassicalReenactor, MeshDetector, rounded
from avcall.models.face_mesh import FaceMesh
from tests.classical_portrait import portrait as load_portrait
from tests.classical_portrait import portrait_keypoints, portrait_landmarks


@pytest.fixture
def portrait() -> Image:
    return load_portrait()


@pytest.fixture
def landmarks() -> Landmarks:
    return portrait_landmarks()


@pytest.fixture
def keypoints() -> Keypoints:
    return portrait_keypoints()


@pytest.fixture(scope="module")
def reenactor() -> ClassicalReenactor:
    return ClassicalReenactor("cpu")


def test_detector_gives_the_mesh_points(portrait: Image, landmarks: Landmarks) -> None:
    keypoints = MeshDetector().detect(portrait, landmarks)
    assert keypoints.shape == (10, 2)
    assert keypoints.dtype == np.float32
    assert np.array_equal(keypoints, landmarks[list(MESH_INDICES), :2])


def test_both_share_one_id(reenactor: ClassicalReenactor) -> None:
    assert reenactor.model == MeshDetector().model
    assert reenactor.model.name == "classical"
    assert len(bytes.fromhex(reenactor.model.weights)) == 4
    assert reenactor.device == "cpu"


def test_own_keypoints_give_the_pivot_back(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    shown = reenactor.drive(reenactor.encode(portrait, keypoints), keypoints)
    assert shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - portrait).max() <= 2


@pytest.mark.parametrize("side", [64, 200, 512, 1024])
def test_any_square_size(reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints, side: int) -> None:
    pivot = np.asarray(cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA))
    shown = reenactor.drive(reenactor.encode(pivot, keypoints), keypoints + np.float32(0.03))
    assert shown.shape == (side, side, 3)
    assert np.abs(shown.astype(int) - pivot).mean() > 0.3


def test_far_background_does_not_move(reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints) -> None:
    shown = reenactor.drive(reenactor.encode(portrait, keypoints), keypoints + np.array([0.06, 0.02], np.float32))
    assert np.array_equal(shown[:, :12], portrait[:, :12])
    assert np.array_equal(shown[:, -12:], portrait[:, -12:])
    assert not np.array_equal(shown, portrait)


def test_a_flow_moves_all_but_mouth_and_eyes(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    flow = (80.0, *[0.0] * (2 * WAVES - 1))  # from 8 pixels to the right
    panned = SceneMotion(background=Similarity(shift=0.02 + 0j))
    encoded = reenactor.encode(portrait, keypoints)
    moved = reenactor.move(encoded, keypoints, replace(panned, flow=flow))
    still = reenactor.move(encoded, keypoints, panned)
    gained = (moved.displacement - still.displacement).numpy() * 127.5
    assert gained[8, 8] == pytest.approx([40 * 127.5 / 640, 0.0], abs=0.05)
    for point in keypoints[[UPPER_LIP, LID_LEFT, LID_RIGHT]]:
        x, y = np.rint((point + 1) * 127.5).astype(int)
        assert np.abs(gained[y, x]).max() < 0.3
    assert np.abs(moved.picture.numpy()[:, 4:12, :-16] - still.picture.numpy()[:, 4:12, 8:-8]).mean() < 1.0


def test_a_flow_leaves_a_background_that_stands_still_alone(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    flow = (80.0, *[0.0] * (2 * WAVES - 1))
    encoded = reenactor.encode(portrait, keypoints)
    moved = reenactor.move(encoded, keypoints, SceneMotion(flow=flow))
    gained = (moved.displacement - reenactor.move(encoded, keypoints).displacement).numpy() * 127.5
    assert gained[64, 128, 0] > 6.0  # the forehead
    assert np.abs(gained[:40, :24]).max() < 0.3
    assert np.array_equal(rounded(moved.picture.numpy().transpose(1, 2, 0))[:40, :16], portrait[:40, :16])


def test_a_sketch_is_the_driven_picture_but_for_mouth_and_eyes(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    driving = keypoints + np.array([0.05, 0.02], np.float32)
    driving[LOWER_LIP, 1] += 0.08
    encoded = reenactor.encode(portrait, keypoints)
    driven, sketch = (show(encoded, driving).astype(int) for show in (reenactor.drive, reenactor.sketch))
    away = around_features(driving, len(portrait)) == 1.0
    assert np.abs(driven - sketch)[away].mean() < 1.5
    assert np.abs(driven - portrait)[away].mean() > 3.0
    assert np.array_equal(reenactor.sketch(encoded, np.zeros_like(driving)), portrait)


def test_a_lowered_lid_changes_its_eye_only(
    reenactor: ClassicalReenactor, portrait: Image, landmarks: Landmarks, keypoints: Keypoints
) -> None:
    driving = keypoints.copy()
    driving[LID_LEFT, 1] = landmarks[145, 1]
    encoded = reenactor.encode(portrait, keypoints)
    change = np.abs(reenactor.drive(encoded, driving).astype(int) - portrait).mean(axis=2)

    def around(index: int) -> float:
        x, y = ((landmarks[index, :2] + 1) * 127.5).astype(int)
        return float(change[y - 3 : y + 4, x - 5 : x + 6].mean())

    assert around(159) > 8.0
    assert around(386) < 0.25 * around(159)
    assert around(1) < 1.0


def test_an_opened_mouth_is_dark_and_moves_the_chin(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    driving = keypoints.copy()
    driving[LOWER_LIP, 1] += 0.12
    driving[CHIN, 1] += 0.1
    shown = reenactor.drive(reenactor.encode(portrait, keypoints), driving)
    middle = (driving[:2].mean(axis=0) + 1) * 127.5
    x, y = middle.round().astype(int)
    assert shown[y - 1 : y + 2, x - 3 : x + 4].mean() < 90
    mesh = FaceMesh(video=False)
    found = mesh.find(shown)
    mesh.close()
    assert found is not None
    assert np.linalg.norm(found[14, :2] - found[13, :2]) > 0.5 * 0.12


@pytest.mark.parametrize(
    "driving",
    [
        np.zeros((10, 2), np.float32),
        np.full((10, 2), 40.0, np.float32),
        np.full((10, 2), np.nan, np.float32),
        np.zeros((3, 2), np.float32),
    ],
)
def test_senseless_keypoints_show_the_pivot(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints, driving: Keypoints
) -> None:
    shown = reenactor.drive(reenactor.encode(portrait, keypoints), driving)
    assert np.array_equal(shown, portrait)


def test_wild_keypoints_still_make_a_picture(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    encoded = reenactor.encode(portrait, keypoints)
    random = np.random.default_rng(3)
    for size in (0.05, 0.2, 0.6):
        shown = reenactor.drive(encoded, keypoints + random.normal(0, size, keypoints.shape).astype(np.float32))
        assert shown.shape == portrait.shape


def test_a_mesh_of_another_face_is_not_used(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    elsewhere = keypoints * np.float32(0.5) + np.float32(0.6)
    driving = elsewhere + np.array([-0.05, 0.0], np.float32)
    shown = reenactor.drive(reenactor.encode(portrait, elsewhere), driving)
    face = (slice(70, 140), slice(70, 150))
    assert np.array_equal(shown[face], portrait[face])


def test_several_pivots_are_alive_at_once(reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints) -> None:
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    mirrored_keypoints = keypoints[[0, 1, 3, 2, 4, 5, 7, 6, 9, 8]] * np.array([-1, 1], np.float32)
    first, second = reenactor.encode(portrait, keypoints), reenactor.encode(mirrored, mirrored_keypoints)
    driving = keypoints + np.float32(0.02)
    before = reenactor.drive(first, driving)
    assert np.abs(reenactor.drive(second, mirrored_keypoints).astype(int) - mirrored).max() <= 2
    assert np.array_equal(reenactor.drive(first, driving), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_cuda_shows_what_the_cpu_shows(reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints) -> None:
    on_gpu = ClassicalReenactor("cuda")
    assert on_gpu.device == "cuda"
    driving = keypoints + np.array([0.05, 0.02], np.float32)
    driving[LOWER_LIP, 1] += 0.05
    a = reenactor.drive(reenactor.encode(portrait, keypoints), driving)
    b = on_gpu.drive(on_gpu.encode(portrait, keypoints), driving)
    assert np.abs(a.astype(int) - b).mean() < 0.2


def test_without_a_face_a_spline_carries_the_points(reenactor: ClassicalReenactor, keypoints: Keypoints) -> None:
    drawing = np.full((256, 256, 3), 200, np.uint8)
    for x, y in ((keypoints + 1) * 127.5).round().astype(int):
        cv2.circle(drawing, (int(x), int(y)), 3, (20, 20, 160), -1)
    encoded = reenactor.encode(drawing, keypoints)
    assert np.abs(reenactor.drive(encoded, keypoints).astype(int) - drawing).max() <= 2
    driving = keypoints + np.array([0.1, 0.05], np.float32)
    shown = reenactor.drive(encoded, driving)
    for x, y in ((driving + 1) * 127.5).round().astype(int):
        assert shown[y, x, 0] < 120
    assert np.array_equal(shown[:, 0], drawing[:, 0])


@pytest.mark.clips
def test_a_real_face_is_followed_better_than_by_repeating_the_pivot(
    reenactor: ClassicalReenactor, clips_dir: Path
) -> None:
    path = sorted((clips_dir / "test").glob("*.mp4"))[0]
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = [np.asarray(frame, dtype=np.uint8) for frame in decoded[:100:3]]
    mesh, detector = FaceMesh(video=False), MeshDetector()
    truth = [mesh.find(frame) for frame in frames]
    assert truth[0] is not None
    encoded = reenactor.encode(frames[0], detector.detect(frames[0], truth[0]))
    repeated, shown = [], []
    for frame, points in zip(frames[1:], truth[1:], strict=True):
        assert points is not None
        found = mesh.find(reenactor.drive(encoded, detector.detect(frame, points)))
        assert found is not None
        repeated.append(np.linalg.norm(truth[0][:, :2] - points[:, :2], axis=1).mean() * 127.5)
        shown.append(np.linalg.norm(found[:, :2] - points[:, :2], axis=1).mean() * 127.5)
    mesh.close()
    assert np.mean(shown) < 0.4 * np.mean(repeated)
    assert np.mean(shown) < 2.0


def test_a_pan_moves_the_background_and_leaves_the_face(
    reenactor: ClassicalReenactor, portrait: Image, keypoints: Keypoints
) -> None:
    encoded = reenactor.encode(portrait, keypoints)
    still = reenactor.drive(encoded, keypoints).astype(int)
    panned = reenactor.drive(encoded, keypoints, SceneMotion(Similarity(shift=16 / 127.5 + 0j)))
    chin, nose = ((keypoints[point] + 1.0) * 127.5 for point in (CHIN, NOSE))
    face = np.s_[int(nose[1]) : int(chin[1]), int(nose[0]) - 10 : int(nose[0]) + 10]
    assert np.abs(panned[face] - still[face]).max() <= 1
    wall, before = np.s_[2:60, 24:50], np.s_[2:60, 8:34]
    assert np.abs(panned[wall] - still[before]).mean() < 0.5 * np.abs(still[wall] - still[before]).mean()
