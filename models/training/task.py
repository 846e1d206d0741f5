"""What one training run trains. `Trainer` owns everything else: optimiser, moving average, schedule, checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Forward:
    """One batch's outcome: loss terms, already weighted; training lowers their sum."""

    terms: dict[str, Tensor]
    made: Tensor | None = None
    """Pictures (N, 3, H, W) in [0, 1] that the critic judges against `truth`; None where there is nothing to judge."""
    truth: Tensor | None = None


class Task(Protocol):
    """One network with its batches, losses and judge. Made anew in every process, from the run's configuration."""

    @property
    def kind(self) -> str:
        """What the weights file says it holds, such as "reenactor"."""

    @property
    def name(self) -> str:
        """Of the weights, and of their file in --out."""

    @property
    def shape(self) -> Any:
        """The frozen dataclass of the network's dimensions; the weights file carries it."""

    def build(self) -> nn.Module:
        """A fresh network."""

    def to(self, device: torch.device) -> None:
        """Moves what the task itself holds (perceptual networks, grids)."""

    def draw(self, generator: np.random.Generator, count: int) -> Any:
        """One batch, which must follow from the generator alone: a resumed run sees what an unbroken one would."""

    def forward(self, network: nn.Module, batch: Any, generator: np.random.Generator) -> Forward:
        """The losses of one batch; runs under `avcall.models.precision.mixed`."""

    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        """Figures on the val clips, and a sheet of sample pictures written to `sheet`."""
