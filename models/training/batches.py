"""The batches of one process of a run, step by step: made here, or ahead of time by processes of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from torch import set_num_threads
from torch.utils.data import DataLoader, Dataset

from avcall.models.training.task import Task
from avcall.models.training.train_config import RunConfig


class Batch(NamedTuple):
    """What a task drew, and the generator it drew with: what else the step leaves to chance goes on from there."""

    samples: Any
    generator: np.random.Generator


class Batches(Protocol):
    """Where a trainer's batches come from."""

    def __call__(self, step: int) -> Batch:
        """The batch of a step; it follows from seed, rank and step alone."""


class DrawnHere:
    """Makes each batch when it is asked for."""

    def __init__(self, task: Task, config: RunConfig, rank: int) -> None:
        self._task, self._config, self._rank = task, config, rank

    def __call__(self, step: int) -> Batch:
        generator = np.random.default_rng([self._config.seed, self._rank, step])
        return Batch(self._task.draw(generator, self._config.batch), generator)


class DrawnAhead:
    """Has `config.loaders` processes make the batches, in the order of steps: a GPU does not wait for one core."""

    def __init__(self, make_task: Callable[[RunConfig], Task], config: RunConfig, rank: int, first: int) -> None:
        """`first` is the step of the first batch. `make_task` is a function of a module, as every loader calls it."""
        self._step = first
        loader = DataLoader(
            _Draws(make_task, config, rank),
            batch_size=None,
            sampler=itertools.count(first),
            num_workers=config.loaders,
            multiprocessing_context="spawn",  # the parent may hold a GPU and threads already
            prefetch_factor=3,
            collate_fn=_unchanged,
        )
        self._drawn = iter(loader)

    def __call__(self, step: int) -> Batch:
        assert step == self._step, "batches come in the order of steps"
        self._step += 1
        batch: Batch = next(self._drawn)
        return batch


class _Draws(Dataset[Batch]):
    """One batch a step; each process makes its own task when it is first asked."""

    def __init__(self, make_task: Callable[[RunConfig], Task], config: RunConfig, rank: int) -> None:
        self._make_task, self._config, self._rank = make_task, config, rank
        self._here: DrawnHere | None = None

    def __getitem__(self, step: int) -> Batch:
        if self._here is None:
            set_num_threads(1)
            cv2.setNumThreads(1)
            self._here = DrawnHere(self._make_task(self._config), self._config, self._rank)
        return self._here(step)


def _unchanged(batch: Any) -> Any:
    return batch
