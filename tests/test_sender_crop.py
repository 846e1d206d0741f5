"""The crop rule in literal numbers."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoints import from_pixels
from avcall.sender.crop import HOLD_MS, REST_MS, Crop, CropController, FaceBox, ideal_crop, is_well_inside


def face(x: float, y: float, height: float) -> FaceBox:
    """A face with its middle at (x, y)."""
    return FaceBox(x - 0.38 * height, y - height / 2, x + 0.38 * height, y + height / 2, height)


def test_a_face_takes_half_of_the_crop() -> None:
    assert ideal_crop(face(640, 360, 150), 1280, 720) == Crop(490, 222, 300)


def test_a_clip_that_is_already_cropped_is_taken_whole() -> None:
    assert ideal_crop(face(128, 120, 110), 256, 256) == Crop(0, 0, 256)


def test_a_large_face_takes_the_short_side() -> None:
    assert ideal_crop(face(800, 360, 320), 1280, 720) == Crop(440, 0, 720)


@pytest.mark.parametrize(("x", "y"), [(5, 5), (1275, 5), (5, 715), (1275, 715), (640, 700)])
def test_the_crop_never_leaves_the_picture(x: float, y: float) -> None:
    crop = ideal_crop(face(x, y, 150), 1280, 720)
    assert crop.x >= 0
    assert crop.y >= 0
    assert crop.x + crop.side <= 1280
    assert crop.y + crop.side <= 720


def test_the_edge_of_the_picture_is_no_reason_to_move() -> None:
    assert is_well_inside(face(128, 250, 120), Crop(0, 0, 256), 256, 256)
    assert not is_well_inside(face(128, 250, 120), Crop(0, 0, 256), 512, 512)


def test_small_movements_move_nothing() -> None:
    controller = CropController()
    crops = {
        controller.update(
            face(640 + 30 * np.sin(t / 5), 360 + 15 * np.cos(t / 7), 150 + 8 * np.sin(t / 9)), 1280, 720, 40.0 * t
        )
        for t in range(500)
    }
    assert len(crops) == 1


def test_a_head_that_walks_away_moves_the_crop_once() -> None:
    controller = CropController()
    crops, leaving = [], []
    for t in range(200):
        x = 640 if t < 50 else 900
        crops.append(controller.update(face(x, 360, 150), 1280, 720, 40.0 * t))
        leaving.append(controller.leaving)
    changes = [t for t in range(1, 200) if crops[t] != crops[t - 1]]
    assert changes == [50 + round(HOLD_MS / 40)]
    assert [t for t in range(200) if leaving[t]] == list(range(50, changes[0]))
    assert crops[-1] == Crop(750, 222, 300)


def test_a_nod_moves_nothing() -> None:
    controller = CropController()
    first = controller.update(face(640, 360, 150), 1280, 720, 0.0)
    for t in range(1, 100):
        y = 450 if t % 25 < 8 else 360
        assert controller.update(face(640, y, 150), 1280, 720, 40.0 * t) == first


def test_coming_nearer_changes_the_scale_once() -> None:
    controller = CropController()
    sides = [controller.update(face(640, 360, min(150 + t, 260)), 1280, 720, 40.0 * t).side for t in range(300)]
    assert len(set(sides)) <= 3
    assert sides[0] == 300
    assert 260 / sides[-1] <= 0.66


def test_moves_keep_their_distance_in_time() -> None:
    controller = CropController()
    crops = [controller.update(face(300 + (t // 30 % 2) * 600, 360, 150), 1280, 720, 40.0 * t) for t in range(400)]
    changes = [40.0 * t for t in range(1, 400) if crops[t] != crops[t - 1]]
    assert len(changes) > 2
    assert min(np.diff(changes)) >= REST_MS


def test_another_picture_size_starts_anew() -> None:
    controller = CropController()
    controller.update(face(640, 360, 150), 1280, 720, 0.0)
    assert controller.update(face(320, 240, 100), 640, 480, 40.0) == Crop(220, 148, 200)


@pytest.mark.parametrize("side", [128, 256, 400])
def test_landmarks_land_where_the_pixels_do(side: int) -> None:
    """A bright dot in the picture is where the mapped landmark says it is, at any scale."""
    picture = np.zeros((720, 1280, 3), dtype=np.uint8)
    picture[300:305, 500:505] = 255
    crop = Crop(450, 250, side)
    small = crop.cut(picture, 256)[:, :, 0].astype(float)
    yy, xx = np.mgrid[:256, :256]
    centre = np.array([[(small * xx).sum(), (small * yy).sum()]]) / small.sum()
    mapped = crop.map(np.array([[502.0, 302.0, 10.0]], dtype=np.float32), 256)
    assert mapped[0, :2] == pytest.approx(from_pixels(centre, 256, 256)[0], abs=0.003)
    assert mapped[0, 2] == pytest.approx(10.0 * 256 / side * 2 / 255)


def test_the_face_box_of_a_mesh() -> None:
    points = np.full((468, 3), 100.0, dtype=np.float32)
    points[10] = (100, 50, 0)
    points[152] = (100, 170, 0)
    points[234], points[454] = (60, 110, 0), (150, 110, 0)
    assert FaceBox.around(points) == FaceBox(60.0, 50.0, 150.0, 170.0, 120.0)
