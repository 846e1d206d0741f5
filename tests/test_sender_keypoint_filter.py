"""The One-Euro filter: steady when still, quick when not."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoints import COUNT, EYE_LEFT, LID_LEFT, NOSE, Keypoints
from avcall.sender.keypoint_filter import KeypointFilter


def run(track: list[Keypoints], step_ms: float = 40.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    steady = KeypointFilter()
    return np.array([steady.filter(points, step_ms * number) for number, points in enumerate(track)])


def still(count: int) -> list[Keypoints]:
    return [np.linspace(-0.5, 0.5, 2 * COUNT, dtype=np.float32).reshape(COUNT, 2) for _ in range(count)]


def test_a_still_noisy_track_gets_steadier() -> None:
    rng = np.random.default_rng(0)
    noisy = [points + rng.normal(0, 0.003, points.shape).astype(np.float32) for points in still(200)]
    out = run(noisy)
    before = np.abs(np.diff(np.array(noisy)[50:], axis=0)).mean(axis=(0, 2))
    after = np.abs(np.diff(out[50:], axis=0)).mean(axis=(0, 2))
    assert after[NOSE] < 0.4 * before[NOSE]
    assert after[EYE_LEFT] < 0.4 * before[EYE_LEFT]
    assert after[LID_LEFT] < 0.75 * before[LID_LEFT]
    assert np.abs(out[-100:].mean(axis=0) - still(1)[0]).max() < 0.001


def test_a_blink_of_100_ms_keeps_its_amplitude() -> None:
    track = still(60)
    shape = {30: 0.6, 31: 1.0, 32: 0.5}  # closes and opens within 100 ms at 25 fps
    for number, part in shape.items():
        track[number][LID_LEFT, 1] += 0.035 * part
    lid = run(track)[:, LID_LEFT, 1] - still(1)[0][LID_LEFT, 1]
    assert lid.max() >= 0.85 * 0.035
    assert np.argmax(lid) == 31


def test_a_turning_head_is_followed_within_a_pixel() -> None:
    track = still(80)
    for number in range(80):
        track[number] += np.float32(0.004 * number)  # half a crop in 10 s... 12 pixels of 256 a second
    behind = np.abs(run(track)[20:] - np.array(track)[20:]).max()
    assert behind < 2.0 / 255


def test_reset_and_pauses_begin_anew() -> None:
    steady = KeypointFilter()
    a, b = still(1)[0], still(1)[0] + np.float32(0.5)
    steady.filter(a, 0.0)
    assert np.abs(steady.filter(b, 40.0) - b).max() > 0.0
    steady.reset()
    assert np.array_equal(steady.filter(a, 80.0), a)
    assert np.array_equal(steady.filter(b, 2000.0), b)
    assert np.array_equal(steady.filter(a, 1000.0), a)


def test_output_is_float32_and_its_own() -> None:
    steady = KeypointFilter()
    points = still(1)[0]
    out = steady.filter(points, 0.0)
    points[:] = 9.0
    assert out.dtype == np.float32
    assert out.max() == pytest.approx(0.5)
