"""Which precision a device computes fastest in: the one place that asks."""

from __future__ import annotations

import torch
from torch import nn


def native_bf16(device: str | torch.device) -> bool:
    """True where bf16 is multiplied faster than float32: on GPUs, and on processors with AMX. For the networks here one
    with AVX-512's bf16 instructions alone takes 1.2 to 1.6 times as long with it, one that emulates it (AVX2 alone) ten
    times as long."""
    return torch.device(device).type == "cuda" or bool(torch.cpu._is_amx_tile_supported())


def mixed(device: str | torch.device, precision: str = "auto") -> torch.autocast:
    """Autocast to bf16 where that is native and `precision` is not "float32"; float32 elsewhere."""
    enabled = precision == "auto" and native_bf16(device)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)


def lay_out(network: nn.Module, device: str | torch.device) -> None:
    """Readies a network for drawing on `device`: no gradients, kernels with channels last, and weights in bf16 where
    that is native (autocast would turn them into it again for every picture). It must not be trained on."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        if native_bf16(device):
            parameter.data = parameter.data.to(torch.bfloat16)
    network.to(device).eval()
