"""The training loop: `avcall train reenactment`. One process or several, CPU or GPU, the same code.

Order of reading: `train` starts the processes, `_run` is one of them, `Trainer.step` is one step.
Several processes are started here (`processes`) or by torchrun (which sets WORLD_SIZE); each draws its own pairs, and
either gradients are averaged at every step or weights every few steps.
"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing.spawn import start_processes

from avcall.common.errors import ConfigError, OutputError
from avcall.models.training.pairs import Pack
from avcall.models.training.state import Checkpoint
from avcall.models.training.train_config import TrainConfig
from avcall.models.training.trainer import LAST, Trainer

__all__ = ["TrainConfig", "train"]


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
