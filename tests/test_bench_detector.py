"""The detector's bench: what counts as jitter, and a run on a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avcall.bench.detector import PIXELS, blink_px_and_ms, blinks, coded_bytes, jitter_px, measure_detectors, still
from avcall.common.errors import InputError


def _points(path: np.ndarray) -> np.ndarray:
    """(n, 10, 2) of points that all follow x = path, in pixels."""
    return np.stack([np.broadcast_to(path[:, None], (len(path), 10)), np.zeros((len(path), 10))], -1) / PIXELS


def test_a_zigzag_is_jitter_and_a_walk_is_not_still() -> None:
    zigzag = _points(np.array([0.0, 0.3] * 10))
    assert still(zigzag).all()
    assert jitter_px(zigzag, still(zigzag)) == pytest.approx(0.6)
    walk = _points(np.arange(20.0))
    assert not still(walk).any()
    assert np.isnan(jitter_px(walk, still(walk)))
    drift = _points(0.2 * np.arange(20.0))
    assert still(drift).all()
    assert jitter_px(drift, still(drift)) == pytest.approx(0.0, abs=1e-9)


def test_stillness_is_the_meshs_and_jitter_the_detectors() -> None:
    mesh, other = _points(np.concatenate([np.zeros(20), 5.0 * np.arange(20)])), _points(np.array([0.0, 1.0] * 20))
    where = still(mesh)
    assert where[:15].all()
    assert not where[-15:].any()
    assert jitter_px(other, where) == pytest.approx(2.0)


def test_blinks_are_found_and_lateness_is_seen() -> None:
    lids = np.zeros(40)
    lids[19:22] = (2.0, 4.0, 2.0)
    points, late = np.zeros((2, 40, 10, 2))
    points[:, 6:8, 1] = lids[:, None] / PIXELS
    late[1:] = points[:-1] / 2
    assert blinks(points) == [20]
    assert blinks(np.zeros((40, 10, 2))) == []
    depth, when = blink_px_and_ms(points, 20)
    less, later = blink_px_and_ms(late, 20)
    assert depth == pytest.approx(4.0)
    assert less == pytest.approx(2.0)
    assert later - when == pytest.approx(40.0)


def test_jitter_costs_bytes() -> None:
    generator = np.random.default_rng(0)
    still_points = np.broadcast_to(generator.uniform(-0.5, 0.5, (1, 10, 2)), (30, 10, 2)).astype(np.float32)
    noisy = still_points + generator.normal(scale=0.5 / PIXELS, size=still_points.shape).astype(np.float32)
    assert 0 < coded_bytes(still_points) < coded_bytes(noisy) < 40


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(InputError, match="no clip shows a face"):
        measure_detectors([], (), 6.0, print)


@pytest.mark.clips
def test_a_real_clip_has_jitter_and_a_time(clips_dir: Path) -> None:
    path = sorted((clips_dir / "test").glob("*.mp4"))[0]
    results = measure_detectors([path], (), 2.0, print)
    row, carried = results["rows"]
    assert row["distance_to_mesh_px"] == row["shift_px"] == 0.0
    assert 0.0 < carried["jitter_px"] < row["jitter_px"] < 5.0
    assert 0.0 < carried["coded_bytes"] <= row["coded_bytes"] < 40.0
    assert 0.0 < row["error_px"] < 2.0
    assert carried["shift_px"] < 0.2
    assert 0.0 < row["detect_path_ms"] < carried["detect_path_ms"]
