"""Searching and following a face."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from avcall.common.keypoints import Image, Landmarks
from avcall.models.face_mesh import FaceMesh
from avcall.sender.crop import Crop
from avcall.sender.tracker import SEARCH_SIDE, WINDOW_SIDE, FaceTracker, search_windows, window_around


class MarkMesh:
    """Finds the brightest spot instead of a face, in the keypoint convention."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.resets = 0

    def find(self, image: Image) -> Landmarks | None:
        self.shapes.append(image.shape[:2])
        grey = image[:, :, 0].astype(np.float64)
        if grey.max() < 40:
            return None
        yy, xx = np.mgrid[: grey.shape[0], : grey.shape[1]]
        x, y = (grey * xx).sum() / grey.sum(), (grey * yy).sum() / grey.sum()
        point = (2 * x / (grey.shape[1] - 1) - 1, 2 * y / (grey.shape[0] - 1) - 1, 2.0 / grey.shape[1])
        return np.array([point], dtype=np.float32)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None: ...


def picture(width: int, height: int, x: int, y: int) -> Image:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[y - 12 : y + 13, x - 12 : x + 13] = 255
    return image


@pytest.mark.parametrize(("width", "height"), [(256, 256), (640, 480), (1280, 720), (1920, 1080), (720, 1280)])
def test_points_come_back_in_the_pictures_pixels(width: int, height: int) -> None:
    mesh = MarkMesh()
    tracker = FaceTracker(mesh)
    x, y = round(0.55 * width), round(0.48 * height)
    image = picture(width, height, x, y)
    searched = tracker.track(image, None)
    followed = tracker.track(image, Crop(x - 100, y - 100, 200))
    for found in (searched, followed):
        assert found is not None
        assert found[0, :2] == pytest.approx([x, y], abs=0.1)
    assert max(mesh.shapes[0]) <= SEARCH_SIDE
    assert max(mesh.shapes[1]) <= max(WINDOW_SIDE, 280)


def test_a_window_that_moves_resets_the_mesh_and_one_that_stays_does_not() -> None:
    mesh = MarkMesh()
    tracker = FaceTracker(mesh)
    image = picture(1280, 720, 600, 300)
    tracker.track(image, None)
    for _ in range(3):
        tracker.track(image, Crop(500, 200, 200))
    assert mesh.resets == 1
    tracker.track(image, Crop(510, 200, 200))
    assert mesh.resets == 2


def test_a_face_that_left_the_window_is_searched_in_the_picture() -> None:
    tracker = FaceTracker(MarkMesh())
    found = tracker.track(picture(1280, 720, 200, 300), Crop(900, 200, 200))
    assert found is not None
    assert found[0, :2] == pytest.approx([200, 300], abs=0.1)


def test_an_empty_picture_has_no_face() -> None:
    tracker = FaceTracker(MarkMesh())
    assert tracker.track(np.zeros((720, 1280, 3), dtype=np.uint8), None) is None
    assert tracker.track(np.zeros((720, 1280, 3), dtype=np.uint8), Crop(0, 0, 400)) is None


@pytest.mark.parametrize(("width", "height"), [(256, 256), (1280, 720), (1080, 1920)])
def test_search_windows_cover_the_picture_and_stay_inside(width: int, height: int) -> None:
    windows = search_windows(width, height)
    assert windows[0] == (0, 0, width, height)
    covered = np.zeros((height, width), dtype=bool)
    for left, top, right, bottom in windows[1:]:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered[top:bottom, left:right] = True
    if min(width, height) > 600:
        assert covered[:, width // 2].mean() > 0.5


def test_the_window_has_a_margin_inside_the_picture() -> None:
    assert window_around(Crop(500, 200, 200), 1280, 720) == (460, 160, 740, 440)
    assert window_around(Crop(0, 0, 256), 256, 256) == (0, 0, 256, 256)


@pytest.mark.clips
def test_a_small_face_in_a_large_picture_is_found_where_it_is(clips_dir: Path) -> None:
    """The same frame alone and as a part of a 1080p picture: the points agree within a pixel of the clip."""
    with av.open(str(clips_dir / "test" / "p122_01.mp4")) as container:
        clip = next(iter(container.decode(video=0))).to_ndarray(format="rgb24")
    large = np.full((1080, 1920, 3), 90, dtype=np.uint8)
    large[300:812, 900:1412] = cv2.resize(clip, (512, 512), interpolation=cv2.INTER_CUBIC)
    alone, placed = FaceTracker(FaceMesh(video=True)), FaceTracker(FaceMesh(video=True))
    crop = Crop(900, 300, 512)
    for _ in range(12):
        small, found = alone.track(clip, Crop(0, 0, 256)), placed.track(large, None)
        if found is not None:
            break
    assert found is not None
    found = placed.track(large, crop)
    assert small is not None
    assert found is not None
    back = (found[:, :2] - (900, 300) + 0.5) / 2 - 0.5
    assert np.abs(back - small[:, :2]).mean() < 1.0
