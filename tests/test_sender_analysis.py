"""From a frame to keypoints in the crops that are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.frames import VideoFrame
from avcall.common.keypoints import NOSE
from avcall.sender.analysis import Analysis, FaceAnalyser
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
