"""The face measures on drawn meshes whose answer is plain, and on a real clip against itself."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from avcall.models.face_mesh import FaceMesh
from avcall.models.metrics_face import (
    EYES,
    LIPS,
    blink_times_s,
    eye_aspect_ratio,
    hold_last,
    landmark_distance_px,
    matched_share,
    mesh_array,
    mouth_correlation,
    mouth_lag_ms,
    mouth_opening,
)


def speech(frames: int) -> NDArray[np.float64]:
    """A mouth opening that repeats itself at no lag below a second."""
    t = np.arange(frames) / 25
    return np.asarray(0.1 + 0.05 * np.sin(2 * np.pi * 0.9 * t) + 0.04 * np.sin(2 * np.pi * 0.37 * t + 1))


def open_eyes(frames: int) -> NDArray[np.float64]:
    return np.full(frames, 0.3)


def test_every_point_of_lips_and_eyes_is_named_once() -> None:
    assert len(set(LIPS)) == len(LIPS) == 40
    assert len(set(EYES)) == len(EYES) == 32
    assert max(*LIPS, *EYES) < 468


def test_landmark_distance_in_pixels_at_256() -> None:
    original = np.zeros((2, 468, 3), np.float32)
    shown = original.copy()
    shown[0, :, 0] += 2 / 255  # one pixel to the right
    shown[1, 13, 1] += 40 * 2 / 255
    shown[:, :, 2] = 9  # depth is not in the plane
    assert landmark_distance_px(original, shown).tolist() == pytest.approx([1.0, 40 / 468])
    assert landmark_distance_px(original, shown, LIPS).tolist() == pytest.approx([1.0, 1.0])
    assert landmark_distance_px(original, shown, EYES)[1] == 0


def test_frames_without_a_face() -> None:
    face = np.ones((468, 3), np.float32)
    mesh = mesh_array([None, face, None, face * 2, None])
    assert np.isnan(mesh[[0, 2, 4]]).all()
    assert hold_last(mesh)[:, 0, 0].tolist() == [1, 1, 1, 2, 2]
    nobody = mesh_array([None, None])
    assert np.isnan(hold_last(nobody)).all()
    assert np.isnan(landmark_distance_px(mesh, hold_last(mesh)))[
        [0, 2, 4]
    ].all()  # the original's gaps are not measured


def test_mouth_opening_is_measured_in_eye_distances() -> None:
    mesh = np.zeros((1, 468, 3), np.float32)
    mesh[0, 33], mesh[0, 263] = (-0.3, 0, 0), (0.3, 0, 0.8)  # a turned head: one unit apart in space
    mesh[0, 14] = (0, 0.25, 0)
    assert mouth_opening(mesh)[0] == pytest.approx(0.25)


@pytest.mark.parametrize("late", [-3, 0, 4])
def test_lag_of_a_late_mouth(late: int) -> None:
    series = speech(160)
    assert mouth_lag_ms(series[20:140], series[20 - late : 140 - late]) == late * 40
    assert mouth_correlation(series, series) == pytest.approx(1)


def test_mouths_that_do_not_move() -> None:
    silent = 0.02 + 0.005 * np.sin(np.arange(100.0))
    assert np.isnan(mouth_correlation(silent, speech(100)))
    assert mouth_correlation(speech(100), np.full(100, 0.1)) == 0  # frozen while the original speaks
    assert np.isnan(mouth_lag_ms(speech(100), np.full(100, 0.1)))
    gaps = speech(100)
    gaps[10:20] = np.nan
    assert mouth_correlation(gaps, speech(100)) == pytest.approx(1)


def test_eye_aspect_ratio() -> None:
    mesh = np.zeros((1, 468, 3), np.float32)
    for p1, p2, p3, p4, p5, p6 in ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380)):
        mesh[0, [p1, p4], 0] = 0, 0.4
        mesh[0, [p2, p3], 1] = -0.05
        mesh[0, [p5, p6], 1] = 0.05
    assert eye_aspect_ratio(mesh)[0] == pytest.approx(0.25)


def test_blinks_are_short_deep_and_end() -> None:
    ratio = open_eyes(250)
    ratio[50:55] = 0.15  # a blink in the middle of frame 52
    ratio[80] = 0.1  # one frame of jitter
    ratio[100:140] = 0.15  # a look downwards
    ratio[180:185] = 0.27  # a twitch
    ratio[247:] = 0.1  # closing as the clip ends
    assert blink_times_s(ratio) == [pytest.approx(52 / 25)]
    ratio[:] = np.nan
    assert blink_times_s(ratio) == []


def test_blinks_match_within_80_ms() -> None:
    assert matched_share([1.0, 2.0], [1.08, 2.1]) == 0.5
    assert matched_share([1.0], []) == 0
    assert np.isnan(matched_share([], [1.0]))


@pytest.mark.clips
def test_a_real_clip_against_itself(clips_dir: Path) -> None:
    with av.open(str(clips_dir / "test" / "p003_01.mp4")) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)][:100]
    mesh = FaceMesh(video=True)
    points = mesh_array([mesh.find(frame) for frame in frames])
    mesh.close()
    assert float(landmark_distance_px(points, points).max()) == 0
    assert mouth_correlation(mouth_opening(points), mouth_opening(points)) == pytest.approx(1)
    blinks = blink_times_s(eye_aspect_ratio(points))
    assert [round(time * 25) for time in blinks] == [37, 67, 86]  # seen by eye: the lids are shut in these frames
    assert matched_share(blinks, blinks) == 1
