"""From a frame to keypoints in the crops that are asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avcall.common.frames import VideoFrame
from avcall.common.keypoints import NOSE, Image
from avcall.sender.analysis import LATE_MS, Analysis, FaceAnalyser
from avcall.sender.crop import Crop
from tests.sender_fakes import BlobMesh, Face, MeshPoints, paint


def analyser() -> FaceAnalyser:
    return FaceAnalyser(BlobMesh, MeshPoints(), 256, lambda: 0.0)


def look(tool: FaceAnalyser, face: Face, at_ms: float, also: Crop | None = None) -> Analysis | None:
    return tool.analyse(VideoFrame(paint(1280, 720, face), at_ms), also)


def test_one_crop_while_nothing_moves() -> None:
    seen = look(analyser(), (640, 360, 150), 0.0)
    assert seen is not None
    assert list(seen.views) == [seen.current.crop]
    assert seen.current.image.shape == (256, 256, 3)
    assert seen.current.keypoints.shape == (10, 2)
    assert seen.current.crop.side == pytest.approx(300, abs=6)
    assert seen.current.keypoints[NOSE] == pytest.approx([0.0, 0.02], abs=0.03)


def test_both_crops_while_an_old_pivot_is_in_use() -> None:
    seen = look(analyser(), (640, 360, 150), 0.0, also=Crop(440, 160, 400))
    assert seen is not None
    assert len(seen.views) == 2
    old = seen.views[Crop(440, 160, 400)]
    assert old.keypoints[NOSE] == pytest.approx([0.0, 15 / 200], abs=0.02)
    assert not np.allclose(old.keypoints, seen.current.keypoints, atol=0.01)


def test_no_face() -> None:
    assert look(analyser(), None, 0.0) is None


def test_a_face_that_comes_back_is_not_filtered_with_where_it_was() -> None:
    tool = analyser()
    look(tool, (640, 360, 150), 0.0)
    for number in range(1, 11):
        look(tool, None, 40.0 * number)
    back, fresh = look(tool, (650, 360, 150), 440.0), look(analyser(), (650, 360, 150), 440.0)
    assert back is not None
    assert fresh is not None
    shift = 2 * (fresh.current.crop.x - back.current.crop.x) / back.current.crop.side
    assert back.current.keypoints[:, 0] == pytest.approx(fresh.current.keypoints[:, 0] + shift, abs=0.01)


def test_close_frees_the_mesh_and_may_come_before_any_frame() -> None:
    closed = []

    class Closing(BlobMesh):
        def close(self) -> None:
            closed.append(True)

    tool = FaceAnalyser(Closing, MeshPoints(), 256, lambda: 0.0)
    tool.close()
    assert closed == []
    tool.prepare()
    tool.close()
    tool.close()
    assert closed == [True]


class EdgesOnly:
    """A person everywhere but in the left third."""

    closed = 0

    def segment(self, image: Image) -> NDArray[np.uint8]:
        mask = np.full((64, 64), 255, np.uint8)
        mask[:, :21] = 0
        return mask

    def close(self) -> None:
        self.closed += 1


def test_a_late_frame_leaves_the_scene_where_it_was() -> None:
    now_ms = 0.0
    tool = FaceAnalyser(BlobMesh, MeshPoints(), 256, lambda: now_ms, EdgesOnly())
    noise = np.random.default_rng(0).uniform(0, 255, (720, 1280, 3))
    wall = np.clip((cv2.GaussianBlur(noise, (0, 0), 14.0) - 127.5) * 9.0 + 60.0, 0, 120).astype(np.uint8)
    scenes = []
    for number, waited_ms in enumerate([0.0] * 10 + [LATE_MS + 1.0] * 3 + [0.0]):
        picture = paint(1280, 720, (640, 360, 150))
        blank = (picture == picture[0, 0]).all(-1)
        picture[blank] = np.roll(wall, 2 * number, axis=1)[blank]
        now_ms = 40.0 * number + waited_ms
        seen = tool.analyse(VideoFrame(picture, 40.0 * number), Crop(440, 160, 400))
        assert seen is not None
        assert seen.late == (waited_ms > 0.0)
        scenes.append(seen.views[Crop(440, 160, 400)].scene)
    assert scenes[8] != scenes[9] == scenes[10] == scenes[12] != scenes[13]


def test_the_scene_is_followed_in_each_crop() -> None:
    segmenter = EdgesOnly()
    tool = FaceAnalyser(BlobMesh, MeshPoints(), 256, lambda: 0.0, segmenter)
    noise = np.random.default_rng(0).uniform(0, 255, (720, 1280, 3))
    wall = np.clip((cv2.GaussianBlur(noise, (0, 0), 14.0) - 127.5) * 9.0 + 60.0, 0, 120).astype(np.uint8)
    seen = []
    for number in range(12):
        picture = paint(1280, 720, (640, 360, 150))
        blank = (picture == picture[0, 0]).all(-1)
        picture[blank] = np.roll(wall, 2 * number, axis=1)[blank]
        seen.append(tool.analyse(VideoFrame(picture, 40.0 * number), Crop(440, 160, 400)))
    first, last = seen[0], seen[-1]
    assert first is not None
    assert last is not None
    for crop, view in last.views.items():
        moved_px = view.scene.since(first.views[crop].scene).background.shift.real * crop.side / 2
        assert moved_px == pytest.approx(22.0, abs=1.5)
    epochs = {view.scene.epoch for view in last.views.values()}
    assert len(epochs) == 2
    tool.close()
    assert segmenter.closed == 1
