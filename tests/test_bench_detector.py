"""The detector's bench: what counts as jitter, and a run on a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avcall.bench.detector import PIXELS, jitter_px, measure_detectors, still
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


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(InputError, match="no clip shows a face"):
        measure_detectors([], (), 6.0, print)


@pytest.mark.clips
def test_a_real_clip_has_jitter_and_a_time(clips_dir: Path) -> None:
    path = sorted((clips_dir / "test").glob("*.mp4"))[0]
    results = measure_detectors([path], (), 2.0, print)
    (row,) = results["rows"]
    assert row["distance_to_mesh_px"] == 0.0
    assert 0.0 < row["jitter_px"] < 5.0
    assert row["detect_path_ms"] > 0.0
