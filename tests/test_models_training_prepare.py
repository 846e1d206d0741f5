"""Any folder of talking videos becomes a pack, and folders without faces say so."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from avcall.common.errors import InputError, OutputError
from avcall.common.keypoints import Image
from avcall.models.face_mesh import FaceMesh
from avcall.models.training.clips import Clip, face_crops, read_frames
from avcall.models.training.coded_pivots import code_chains
from avcall.models.training.pairs import Pack
from avcall.models.training.prepare import PrepareConfig, prepare


def _write(path: Path, frames: list[Image], fps: int = 25) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _numbered(count: int) -> list[Image]:
    return [np.full((64, 64, 3), 20 + 4 * i, dtype=np.uint8) for i in range(count)]


@pytest.mark.parametrize(("fps", "count", "expected"), [(25, 20, 20), (50, 40, 20), (12, 12, 24)])
def test_every_rate_becomes_25_frames_a_second(tmp_path: Path, fps: int, count: int, expected: int) -> None:
    frames = read_frames(_write(tmp_path / "a.mp4", _numbered(count), fps), 25.0)
    assert abs(len(frames) - expected) <= 2
    levels = [int(frame.mean()) for frame in frames]
    assert levels == sorted(levels)


def test_a_crop_past_the_edge_repeats_it() -> None:
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[:, :10] = 200
    cut = Clip(0, 1, left=-10, top=-5, side=40).cut(image, 40)
    assert cut.shape == (40, 40, 3)
    assert (cut[:, :20] == 200).all()
    assert (cut[:, 20:] == 0).all()
    assert Clip(0, 1, 0, 0, 40).cut(image, 20).shape == (20, 20, 3)


def test_coded_pivots_show_their_frames() -> None:
    ramp = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8)
    images = [np.stack([np.roll(ramp, i, 1)] * 3, -1) for i in range(30)]
    scheduling = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    coded, index = code_chains(images, 10)
    assert index.tolist() == list(range(0, 30, 2)), "five chains, each with a picture every ten"
    for picture, at in zip(coded, index, strict=True):
        assert np.abs(picture.astype(int) - images[at]).mean() < 12
    if scheduling is not None:
        assert os.sched_getscheduler(0) == scheduling


def test_folders_that_cannot_be_used_are_refused_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        prepare(PrepareConfig(videos=tmp_path / "absent", out=tmp_path / "pack"))
    (tmp_path / "videos").mkdir()
    with pytest.raises(InputError, match="no videos"):
        prepare(PrepareConfig(videos=tmp_path / "videos", out=tmp_path / "pack"))
    for name in ("a", "b"):
        _write(tmp_path / "videos" / f"{name}.mp4", _numbered(15))
    (tmp_path / "videos" / "c.mp4").write_bytes(b"no video at all")
    with pytest.raises(InputError, match="0 usable clips of 3 videos"):
        prepare(PrepareConfig(videos=tmp_path / "videos", out=tmp_path / "pack", processes=1))
    assert not (tmp_path / "pack").exists()


@pytest.mark.clips
def test_real_clips_become_a_pack(clips_dir: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in sorted((clips_dir / "val").glob("*.mp4"))[:2]:
        _write(videos / path.name, read_frames(path, 25.0)[:40])
    config = PrepareConfig(videos=videos, out=tmp_path / "pack", step=2, processes=1)
    manifest = prepare(config)
    assert [clip["split"] for clip in manifest["clips"]].count("val") >= 1
    for split in ("train", "val"):
        clip = Pack(tmp_path / "pack", split).clips[0]
        assert clip.frames.shape[1:] == (256, 256, 3)
        mesh = FaceMesh(video=False)
        found = mesh.find(np.array(clip.frames[5]))
        mesh.close()
        assert found is not None
        assert np.abs(found[1, :2] - clip.keypoints[5, 5]).max() < 0.05
        ratio = 10 * np.log10(255**2 / np.mean((clip.coded[0].astype(float) - clip.frames[clip.coded_index[0]]) ** 2))
        assert 28 < ratio < 45
    with pytest.raises(OutputError, match="already holds a pack"):
        prepare(config)


@pytest.mark.clips
def test_a_face_in_a_wide_picture_is_found_and_cropped(clips_dir: Path) -> None:
    clip = read_frames(sorted((clips_dir / "val").glob("*.mp4"))[0], 25.0)[:60]
    wide = [np.asarray(cv2.copyMakeBorder(frame, 20, 60, 250, 90, cv2.BORDER_REPLICATE)) for frame in clip]
    crops = face_crops(wide, 25.0)
    assert len(crops) == 1
    assert (crops[0].start, crops[0].end) == (0, 60)
    inside = crops[0].cut(wide[30], 256)
    mesh = FaceMesh(video=False)
    found = mesh.find(inside)
    mesh.close()
    assert found is not None
    assert np.abs(found[:, :2]).max() < 1.0
