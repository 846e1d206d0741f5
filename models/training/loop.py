"""The training loop behind every `avcall train PART`. One process or several, CPU or GPU, the same code.

Order of reading: `train` starts the processes, `_run` is one of them, `Trainer.step` is one step.
Several processes are started here (`processes`) or by torchrun (which sets WORLD_SIZE); each draws its own samples, and
either gradients are averaged at every step or weights every few steps.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing.spawn import start_processes

from avcall.common.errors import CheckpointError, ConfigError, OutputError
from avcall.models.checkpoint import read_weights
from avcall.models.training.batches import DrawnAhead
from avcall.models.training.state import Checkpoint
from avcall.models.training.task import Task
from avcall.models.training.train_config import RunConfig
from avcall.models.training.trainer import LAST, Trainer

_log = logging.getLogger(__name__)


def train(config: RunConfig, make_task: Callable[[RunConfig], Task]) -> Path:
    """Trains and returns the last checkpoint's path. Other processes call `make_task` too, so it is a function of a
    module, and what it raises is raised before anything is written.

    Raises:
        ConfigError, DeviceError: flags that do not fit together or this machine.
        OutputError: --out holds a run already and --resume is not given.
        CheckpointError: a damaged checkpoint.
    """
    make_task(config)
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
        _run(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), config, make_task)
    elif config.processes > 1:
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "127.0.0.1", str(_free_port())
        start_processes(_run, (config.processes, config, make_task), config.processes, start_method="spawn")  # type: ignore[no-untyped-call]
    else:
        _run(0, 1, config, make_task)
    return last


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(rank: int, world: int, config: RunConfig, make_task: Callable[[RunConfig], Task]) -> None:
    """One process of the run."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    if not cuda:
        torch.set_num_threads(1)
    if world > 1:
        distributed.init_process_group("nccl" if cuda else "gloo", rank=rank, world_size=world)
    local = int(os.environ.get("LOCAL_RANK", rank))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    trainer = Trainer(make_task(config), config, rank, world, device)
    if config.resume:
        trainer.restore(Checkpoint.load(config.out / LAST))
    elif config.start is not None:
        _start_from(config.start, trainer)
    if config.loaders:
        trainer.batches = DrawnAhead(make_task, config, rank, trainer.steps_done)
    trainer.run()
    if world > 1:
        distributed.destroy_process_group()


def _start_from(path: Path, trainer: Trainer) -> None:
    """Takes over all tensors of a checkpoint's average or of a weights file whose names and shapes fit.

    Raises:
        CheckpointError: neither, or nothing in it fits.
    """
    try:
        given = Checkpoint.load(path).average
    except CheckpointError:
        given = read_weights(path).tensors
    own = trainer.network.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise CheckpointError(f"--start {path}: nothing in it fits this network")
    _log.info("--start: %d of %d tensors taken over", len(fitting), len(own))
    trainer.network.load_state_dict(own | fitting)
    trainer.average.load_state_dict(trainer.network.state_dict())
