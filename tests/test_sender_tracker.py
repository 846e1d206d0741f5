"""Searching and following a face."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from avcall.common.keypoints import Image, Landmarks
from avcall.models.face_mesh import FaceMesh
from avcall.sender.tracker import SEARCH_SIDE, WINDOW_SIDE, FaceTracker, holds, search_windows, window_around


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
        half = np.sqrt(grey.sum() / grey.max()) * 0.8  # a face is larger than the mark on it
        corners = np.array([(x - half, y - half, 0), (x + half, y + half, 0)], dtype=np.float32)
        corners[:, 0] = corners[:, 0] * 2 / (grey.shape[1] - 1) - 1
        corners[:, 1] = corners[:, 1] * 2 / (grey.shape[0] - 1) - 1
        return corners

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
    for _ in range(3):  # searched once, then followed in a window
        found = tracker.track(image)
        assert found is not None
        assert found[:, :2].mean(axis=0) == pytest.approx([x, y], abs=0.6)
        assert np.ptp(found[:, 0]) == pytest.approx(40.0, abs=3.0)
    assert max(mesh.shapes[0]) <= SEARCH_SIDE
    assert max(mesh.shapes[2]) <= WINDOW_SIDE
    assert len(mesh.shapes) == 3


def test_the_window_moves_only_when_the_face_leaves_it() -> None:
    mesh = MarkMesh()
    tracker = FaceTracker(mesh)
    for step in range(20):
        tracker.track(picture(1280, 720, 600 + step % 3 * 4, 300))
    assert mesh.resets == 1  # from the search to the window
    for step in range(20):
        found = tracker.track(picture(1280, 720, 600 + step * 8, 300))
        assert found is not None
        assert found[:, 0].mean() == pytest.approx(600 + step * 8, abs=0.6)
    assert 2 <= mesh.resets <= 8


def test_a_face_that_jumped_is_found_in_the_same_frame() -> None:
    tracker = FaceTracker(MarkMesh())
    tracker.track(picture(1280, 720, 300, 300))
    tracker.track(picture(1280, 720, 300, 300))
    found = tracker.track(picture(1280, 720, 1000, 300))
    assert found is not None
    assert found[:, 0].mean() == pytest.approx(1000, abs=0.6)


def test_a_picture_that_changes_its_size_is_searched_anew() -> None:
    tracker = FaceTracker(MarkMesh())
    tracker.track(picture(1280, 720, 1000, 600))
    found = tracker.track(picture(640, 480, 300, 200))
    assert found is not None
    assert found[:, :2].mean(axis=0) == pytest.approx([300, 200], abs=0.6)


def test_an_empty_picture_has_no_face() -> None:
    tracker = FaceTracker(MarkMesh())
    dark = np.zeros((720, 1280, 3), dtype=np.uint8)
    assert tracker.track(dark) is None
    assert tracker.track(picture(1280, 720, 600, 300)) is not None
    assert tracker.track(dark) is None


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


def test_the_window_is_a_square_around_the_face_inside_the_picture() -> None:
    assert window_around((600, 300, 680, 400), 2.4, 1280, 720) == (520, 230, 760, 470)
    assert window_around((40, 40, 200, 210), 2.4, 256, 256) == (0, 0, 256, 256)
    assert window_around((1300, -90, 1400, -10), 2.4, 1280, 720) == (1230, 0, 1280, 70)


def test_when_a_window_holds_a_face() -> None:
    window = (500, 200, 1100, 800)
    assert holds(window, (650, 350, 900, 620), 1920, 1080)
    assert not holds(window, (520, 350, 770, 620), 1920, 1080)  # at its edge
    assert not holds(window, (750, 450, 830, 550), 1920, 1080)  # too small in it
    assert not holds(window, (550, 250, 1000, 740), 1920, 1080)  # too large
    assert holds((0, 0, 256, 256), (2, 2, 250, 250), 256, 256)  # nothing better to be had


@pytest.mark.clips
def test_a_small_face_in_a_large_picture_is_found_where_it_is(clips_dir: Path) -> None:
    """The same frame alone and as a part of a 1080p picture: the points agree within a pixel of the clip."""
    with av.open(str(clips_dir / "test" / "p122_01.mp4")) as container:
        clip = next(iter(container.decode(video=0))).to_ndarray(format="rgb24")
    large = np.full((1080, 1920, 3), 90, dtype=np.uint8)
    large[300:812, 900:1412] = cv2.resize(clip, (512, 512), interpolation=cv2.INTER_CUBIC)
    alone, placed = FaceTracker(FaceMesh(video=True)), FaceTracker(FaceMesh(video=True))
    for _ in range(20):
        small, found = alone.track(clip), placed.track(large)
    assert small is not None
    assert found is not None
    back = (found[:, :2] - (900, 300) + 0.5) / 2 - 0.5
    assert np.abs(back - small[:, :2]).mean() < 1.0
