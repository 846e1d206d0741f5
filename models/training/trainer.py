"""One process of a training run: weights, their moving average, the optimiser and the clock."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from avcall.models.checkpoint import write_weights
from avcall.models.precision import mixed
from avcall.models.training.batches import Batches, DrawnHere
from avcall.models.training.critic import PatchCritic, critic_loss, fooling_loss, frozen, ramp
from avcall.models.training.state import Checkpoint, average_into, channels_last
from avcall.models.training.task import Task
from avcall.models.training.train_config import RunConfig

LAST = "last.safetensors"
WARM_UP_STEPS = 200
FINAL_RATE = 0.02
CLIP_NORM = 1.0
EMA_DECAY = 0.998
_log = logging.getLogger(__name__)


def learning_rate(config: RunConfig, step: int, progress: float) -> float:
    """Warm-up, then half a cosine over `progress` in [0, 1] of the time (or of the steps)."""
    rise = min(1.0, (step + 1) / WARM_UP_STEPS)
    fall = FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * rise * fall


def spread(targets: Sequence[Tensor | None], flat: Tensor) -> None:
    """Copies one long vector into tensors, in their order."""
    start = 0
    for target in targets:
        assert target is not None
        target.copy_(flat[start : start + target.numel()].view_as(target))
        start += target.numel()


class Trainer:
    """Weights, their moving average, the optimiser and the clock of one process."""

    def __init__(self, task: Task, config: RunConfig, rank: int, world: int, device: torch.device) -> None:
        self.task, self.config, self.rank, self.world, self.device = task, config, rank, world, device
        task.to(device)
        self.batches: Batches = DrawnHere(task, config, rank)
        torch.manual_seed(config.seed)
        self.network = task.build().to(device)
        self.average = task.build().to(device)
        self.average.load_state_dict(self.network.state_dict())
        for module in (self.network, self.average):
            channels_last(module)
        self.critic = PatchCritic().to(device) if config.adversarial > 0 else None
        self.parameters = [*self.network.parameters(), *(self.critic.parameters() if self.critic else ())]
        self.optimiser = torch.optim.Adam(self.parameters, config.learning_rate, betas=(0.9, 0.99), fused=True)
        self.steps_done = 0
        self.elapsed_s = 0.0
        self.progress = 0.0
        self.terms: dict[str, float] = {}

    def step(self) -> float:
        """One step on a fresh batch; returns the process's own loss."""
        samples, generator = self.batches(self.steps_done)
        with mixed(self.device, self.config.precision):
            forward = self.task.forward(self.network, samples, generator)
            terms = dict(forward.terms)
            if self.critic is not None and forward.made is not None:
                frozen(self.critic, True)
                share = self.config.adversarial * ramp(self.steps_done, self.config.adversarial_from)
                terms["adversarial"] = share * fooling_loss(self.critic, forward.made)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.critic is not None and forward.made is not None and forward.truth is not None:
            frozen(self.critic, False)
            with mixed(self.device, self.config.precision):
                terms["critic"] = critic_loss(self.critic, forward.made, forward.truth)
            terms["critic"].backward()  # type: ignore[no-untyped-call]
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

    def _own_progress(self) -> float:
        if self.config.steps:
            return self.steps_done / self.config.steps
        return self.elapsed_s / (60.0 * self.config.minutes)

    def run(self) -> None:
        """Steps until the time (or the steps) are used up; saves, judges and logs on the way."""
        saved = judged = logged = self.elapsed_s
        before, clock = self.steps_done, time.monotonic()
        while self.progress < 1.0 and not (self.config.steps and self.steps_done >= self.config.steps):
            self.step()
            now = time.monotonic()
            self.elapsed_s += now - clock
            clock = now
            if self.rank != 0:
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
                self._judge()
                judged = self.elapsed_s
        if self.rank == 0:
            self.snapshot().save(self.config.out / LAST)
            self._judge()

    def _judge(self) -> None:
        """Figures and sample pictures on val, and the averaged weights as a file."""
        task = self.task
        path = self.config.out / f"{task.name}.safetensors"
        write_weights(path, task.name, task.kind, task.shape, self.average.state_dict())
        figures = task.judge(self.average, self.config.out / f"sample_{self.steps_done:06d}.png")
        record: dict[str, Any] = {"step": self.steps_done, "elapsed_s": round(self.elapsed_s), **figures}
        samples = self.steps_done * self.config.batch * self.world
        record |= {"samples": samples, "loss": {name: round(value, 5) for name, value in self.terms.items()}}
        with (self.config.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
        _log.info("val %s", json.dumps(figures))

    def snapshot(self) -> Checkpoint:
        """Everything that an exact continuation needs."""
        state = (self.config.size, self.steps_done, self.elapsed_s)
        return Checkpoint.take(self.network, self.average, self.optimiser, *state, self.critic)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues where a snapshot was taken."""
        checkpoint.put(self.network, self.average, self.optimiser, self.critic)
        self.steps_done, self.elapsed_s = checkpoint.step, checkpoint.elapsed_s
        self.progress = self._own_progress()
