"""Which precision a device computes fastest in: the one place that asks."""

from __future__ import annotations

import torch


def native_bf16(device: str | torch.device) -> bool:
    """True where bf16 is multiplied natively. A processor that emulates it (AVX2 alone) takes ten times as long as in
    float32."""
    return torch.device(device).type == "cuda" or bool(torch.cpu._is_avx512_bf16_supported())


def mixed(device: str | torch.device) -> torch.autocast:
    """Autocast to bf16 where that is native; float32 elsewhere."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=native_bf16(device))
