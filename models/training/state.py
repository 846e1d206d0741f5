"""A training run in one safetensors file: weights, moving average, Adam's moments, step and elapsed time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from avcall.common.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an exact continuation needs; the pairs follow from seed and step."""

    size: str
    step: int
    elapsed_s: float
    network: dict[str, Tensor]
    average: dict[str, Tensor]
    moments: dict[str, Tensor]
    critic: dict[str, Tensor]
    """Empty where there is none."""

    @classmethod
    def take(
        cls,
        network: nn.Module,
        average: nn.Module,
        optimiser: torch.optim.Optimizer,
        size: str,
        step: int,
        elapsed_s: float,
        critic: nn.Module | None = None,
    ) -> Checkpoint:
        """Copies the state of a run."""
        moments = {
            f"{index}.{name}": value.detach().cpu().clone()
            for index, state in optimiser.state_dict()["state"].items()
            for name, value in state.items()
        }
        held = (network, average, *([critic] if critic else []))
        copies = [{k: v.detach().cpu().clone() for k, v in module.state_dict().items()} for module in held]
        return cls(size, step, elapsed_s, copies[0], copies[1], moments, copies[2] if critic else {})

    def put(
        self,
        network: nn.Module,
        average: nn.Module,
        optimiser: torch.optim.Optimizer,
        critic: nn.Module | None = None,
    ) -> None:
        """Puts the state back; a critic that the checkpoint does not know starts anew.

        Raises:
            CheckpointError: it is that of another network.
        """
        try:
            network.load_state_dict(self.network)
            average.load_state_dict(self.average)
            if critic is not None and self.critic:
                critic.load_state_dict(self.critic)
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint is of another network than --size {self.size} asks for") from error
        state: dict[int, dict[str, Tensor]] = {}
        parameters = [*network.parameters(), *(critic.parameters() if critic is not None else ())]
        for key, value in self.moments.items():
            index, name = key.split(".", 1)
            if int(index) >= len(parameters):
                continue  # the checkpoint had a critic and this run has none
            like = parameters[int(index)]
            # the fused Adam walks memory: moments must lie as their parameter lies (the file holds plain order)
            laid = torch.empty_like(like).copy_(value) if value.shape == like.shape else value.clone()
            state.setdefault(int(index), {})[name] = laid
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        tensors = {
            f"{part}/{name}": value.contiguous()
            for part, values in (
                ("network", self.network),
                ("average", self.average),
                ("moments", self.moments),
                ("critic", self.critic),
            )
            for name, value in values.items()
        }
        about = {"size": self.size, "step": self.step, "elapsed_s": self.elapsed_s}
        partial = path.with_suffix(".part")
        save_file(tensors, partial, {"avcall_training": json.dumps(about)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Reads a run's file.

        Raises:
            CheckpointError: missing, damaged, or no training checkpoint.
        """
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "moments": {}, "critic": {}}
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["avcall_training"])
                for key in file.keys():  # noqa: SIM118  (no mapping)
                    part, name = key.split("/", 1)
                    parts[part][name] = file.get_tensor(key)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is no whole training checkpoint ({error}): start the run again") from error
        return cls(about["size"], about["step"], about["elapsed_s"], **parts)


def channels_last(module: nn.Module) -> None:
    """Lays the kernels out as the fast convolutions of CPUs (AMX) and GPUs (tensor cores) want them."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the exponential moving average towards the network's weights; statistics of norms are taken as they are."""
    held = [p.data for p in average.parameters()]
    torch._foreach_lerp_(held, [p.data for p in network.parameters()], 1.0 - decay)
    for buffer, own in zip(average.buffers(), network.buffers(), strict=True):
        buffer.copy_(own)
