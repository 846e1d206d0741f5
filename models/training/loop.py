"""The training loop: `avcall train reenactment`. One process or several, CPU or GPU, the same code.

Order of reading: `train` starts the processes, `_run` is one of them, `Trainer.step` is one step.
Several processes are started here (`processes`) or by torchrun (which sets WORLD_SIZE); each draws its own pairs, and
either gradients are averaged at every step or weights every few steps.
"""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import start_processes

from avcall.common.config import flag
from avcall.common.errors import ConfigError, OutputError
from avcall.models.lpips import Lpips
from avcall.models.reenactment.config import SIZES
from avcall.models.reenactment.generator import Crop, ReenactmentNetwork
from avcall.models.reenactment.motion import cell_centres
from avcall.models.training.judge import Judge
from avcall.models.training.losses import LossWeights, attention, reenactment_losses
from avcall.models.training.pairs import CROP_EIGHTHS, Pack, Pairs
from avcall.models.training.state import Checkpoint, average_into, channels_last

LAST = "last.safetensors"
WARM_UP_STEPS = 200
FINAL_RATE = 0.02
CLIP_NORM = 1.0
EMA_DECAY = 0.998
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """`avcall train reenactment`."""

    data: Path = flag(Path(), "training pack, made by avcall prepare", metavar="DIR", required=True)
    out: Path = flag(Path(), "folder for checkpoints, weights, samples and the log", metavar="DIR", required=True)
    size: str = flag("lite", "which network", choices=tuple(SIZES))
    minutes: float = flag(60.0, "how long to train; the learning rate falls to its end in this time", metavar="MINUTES")
    steps: int = flag(0, "train for this many steps instead of by time; 0 means by time", metavar="N")
    resolution: int = flag(256, "side of the pictures; must be the pack's", metavar="PIXELS")
    batch: int = flag(8, "pairs a step and process", metavar="N")
    processes: int = flag(1, "processes, each with one thread (CPU) or one GPU", metavar="N")
    average_every: int = flag(
        1, "average weights every n-th step instead of gradients every step: for slow links and busy cores", metavar="N"
    )
    device: str = flag("auto", "where to train", choices=("auto", "cpu", "cuda"))
    learning_rate: float = flag(1e-3, "largest learning rate of Adam", metavar="RATE")
    perceptual: float = flag(1.0, "weight of LPIPS", metavar="W")
    seed: int = flag(0, "seed of weights and pairs", metavar="N")
    resume: bool = flag(False, "go on from the last checkpoint in --out")
    start: Path | None = flag(None, "start from the weights of this checkpoint, with a fresh schedule", metavar="FILE")
    save_minutes: float = flag(3.0, "minutes between checkpoints", metavar="MINUTES")
    judge_minutes: float = flag(8.0, "minutes between evaluations on the val clips", metavar="MINUTES")


def train(config: TrainConfig) -> Path:
    """Trains and returns the last checkpoint's path.

    Raises:
        ConfigError, DeviceError: flags that do not fit together or this machine.
        InputError: no pack in --data. OutputError: --out holds a run already and --resume is not given.
        CheckpointError: a damaged checkpoint.
    """
    pack = Pack(config.data, "train")
    if pack.resolution != config.resolution:
        raise ConfigError(f"--resolution {config.resolution}: the pack holds {pack.resolution}; prepare it again")
    last = config.out / LAST
    if last.exists() and not config.resume:
        raise OutputError(f"--out {config.out} holds a run already: give --resume to go on, or another folder")
    if config.resume and not last.exists():
        raise ConfigError(f"--resume: no {LAST} in --out {config.out}")
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {config.out} cannot be made: {error.strerror}") from error
    if "WORLD_SIZE" in os.environ:  # under torchrun
        _run(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), config)
    elif config.processes > 1:
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "127.0.0.1", str(_free_port())
        start_processes(_run, (config.processes, config), config.processes, start_method="spawn")  # type: ignore[no-untyped-call]
    else:
        _run(0, 1, config)
    return last


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Warm-up, then half a cosine over `progress` in [0, 1] of the time (or of the steps)."""
    rise = min(1.0, (step + 1) / WARM_UP_STEPS)
    fall = FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * rise * fall


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(rank: int, world: int, config: TrainConfig) -> None:
    """One process of the run."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    if not cuda:
        torch.set_num_threads(1)
    if world > 1:
        distributed.init_process_group("nccl" if cuda else "gloo", rank=rank, world_size=world)
    local = int(os.environ.get("LOCAL_RANK", rank))
    trainer = Trainer(config, rank, world, torch.device("cuda", local) if cuda else torch.device("cpu"))
    if config.resume:
        trainer.restore(Checkpoint.load(config.out / LAST))
    elif config.start is not None:
        trainer.network.load_state_dict(Checkpoint.load(config.start).average)
        trainer.average.load_state_dict(trainer.network.state_dict())
    trainer.run()
    if world > 1:
        distributed.destroy_process_group()


def spread(targets: Sequence[Tensor | None], flat: Tensor) -> None:
    """Copies one long vector into tensors, in their order."""
    start = 0
    for target in targets:
        assert target is not None
        target.copy_(flat[start : start + target.numel()].view_as(target))
        start += target.numel()


class Trainer:
    """Weights, their moving average, the optimiser and the clock of one process."""

    def __init__(self, config: TrainConfig, rank: int, world: int, device: torch.device) -> None:
        self.config, self.rank, self.world, self.device = config, rank, world, device
        torch.manual_seed(config.seed)
        size = SIZES[config.size]
        self.network = ReenactmentNetwork(size).to(device)
        self.average = ReenactmentNetwork(size).to(device)
        self.average.load_state_dict(self.network.state_dict())
        self.lpips = Lpips("alex").to(device)
        for module in (self.network, self.average, self.lpips):
            channels_last(module)
        self.parameters = list(self.network.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, config.learning_rate, betas=(0.9, 0.99), fused=True)
        self.pack = Pack(config.data, "train")
        self.grid = cell_centres(config.resolution, config.resolution, device)
        self.weights = LossWeights(perceptual=config.perceptual)
        self.steps_done = 0
        self.elapsed_s = 0.0
        self.progress = 0.0
        self.terms: dict[str, float] = {}

    def step(self) -> float:
        """One step on fresh pairs; returns the process's own loss."""
        generator = np.random.default_rng([self.config.seed, self.rank, self.steps_done])
        pairs = self.pack.draw(generator, self.config.batch)
        terms = self._forward(pairs)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        flat = torch.cat([p.grad.reshape(-1) for p in self.parameters if p.grad is not None])
        together = self.config.average_every <= 1
        if together:
            flat = self._agree(flat)
        norm = float(flat.norm())
        if math.isfinite(norm):
            flat = flat * min(1.0, CLIP_NORM / max(norm, 1e-6))
            spread([parameter.grad for parameter in self.parameters], flat)
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.config, self.steps_done, self.progress)
            self.optimiser.step()
            average_into(self.average, self.network, min(EMA_DECAY, (1 + self.steps_done) / (10 + self.steps_done)))
        else:  # a step that overflowed in bf16 teaches nothing
            _log.warning("step %d: gradient is not finite, skipped", self.steps_done)
        self.optimiser.zero_grad()
        self.steps_done += 1
        if not together and self.steps_done % self.config.average_every == 0:
            weights = [parameter.data for parameter in self.parameters]
            spread(weights, self._agree(torch.cat([weight.reshape(-1) for weight in weights])))
        for name, term in terms.items():
            self.terms[name] = 0.98 * self.terms.get(name, float(term.detach())) + 0.02 * float(term.detach())
        return float(loss.detach())

    def _agree(self, values: Tensor) -> Tensor:
        """The mean of all processes' values. Progress rides along: clocks that differ must not make learning rates,
        or the step at which training ends, differ."""
        told = torch.cat([values, torch.tensor([self._own_progress()], device=self.device)])
        if self.world > 1:
            distributed.all_reduce(told)
            told /= self.world
        self.progress = float(told[-1])
        return told[:-1]

    def _forward(self, pairs: Pairs) -> dict[str, Tensor]:
        pivot = (pairs.pivot.to(self.device).permute(0, 3, 1, 2)).float() / 255.0
        driving = (pairs.driving.to(self.device).permute(0, 3, 1, 2)).float() / 255.0
        pivot_points, points = pairs.pivot_keypoints.to(self.device), pairs.driving_keypoints.to(self.device)
        crop = Crop(pairs.crop_left, pairs.crop_top, CROP_EIGHTHS)
        weights = crop.cut(attention(points, self.grid), 1)
        truth = crop.cut(driving, 1)
        with torch.autocast(self.device.type, torch.bfloat16):
            driven = self.network.drive(self.network.encode(pivot, pivot_points), points, crop)
            return reenactment_losses(driven, truth, weights, self.lpips, self.weights)

    def _own_progress(self) -> float:
        if self.config.steps:
            return self.steps_done / self.config.steps
        return self.elapsed_s / (60.0 * self.config.minutes)

    def run(self) -> None:
        """Steps until the time (or the steps) are used up; saves, judges and logs on the way."""
        judge = Judge(self.config.data, self.device) if self.rank == 0 else None
        saved = judged = logged = self.elapsed_s
        before, clock = self.steps_done, time.monotonic()
        while self.progress < 1.0 and not (self.config.steps and self.steps_done >= self.config.steps):
            self.step()
            now = time.monotonic()
            self.elapsed_s += now - clock
            clock = now
            if judge is None:
                continue
            if self.elapsed_s - logged >= 30.0:
                rate = (self.steps_done - before) / (self.elapsed_s - logged)
                terms = " ".join(f"{name} {value:.4f}" for name, value in self.terms.items())
                _log.info("step %d %.0f%% %.2f steps/s %s", self.steps_done, 100 * self.progress, rate, terms)
                before, logged = self.steps_done, self.elapsed_s
            if self.elapsed_s - saved >= 60 * self.config.save_minutes:
                self.snapshot().save(self.config.out / LAST)
                saved = self.elapsed_s
            if self.elapsed_s - judged >= 60 * self.config.judge_minutes:
                self._judge(judge)
                judged = self.elapsed_s
        if judge is not None:
            self.snapshot().save(self.config.out / LAST)
            self._judge(judge)

    def _judge(self, judge: Judge) -> None:
        figures = judge.judge(self.average, self.config.out / f"sample_{self.steps_done:06d}.png")
        record: dict[str, Any] = {"step": self.steps_done, "elapsed_s": round(self.elapsed_s), **figures}
        pairs = self.steps_done * self.config.batch * self.world
        record |= {"pairs": pairs, "loss": {name: round(value, 5) for name, value in self.terms.items()}}
        with (self.config.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
        _log.info("val %s", json.dumps(figures))

    def snapshot(self) -> Checkpoint:
        """Everything that an exact continuation needs."""
        return Checkpoint.take(
            self.network, self.average, self.optimiser, self.config.size, self.steps_done, self.elapsed_s
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues where a snapshot was taken."""
        checkpoint.put(self.network, self.average, self.optimiser)
        self.steps_done, self.elapsed_s = checkpoint.step, checkpoint.elapsed_s
        self.progress = self._own_progress()
