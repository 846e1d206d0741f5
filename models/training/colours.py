"""Other light and other skins for the same pair: what a network must not take for the person."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""Of BT.601."""


def recoloured(amount: float, generator: np.random.Generator, *pictures: Tensor) -> tuple[Tensor, ...]:
    """Pictures (N, 3, H, W) of the same N pairs, each pair's colours changed alike: saturation by up to a share of
    twice `amount`, each channel's gain and all channels' offset by up to `amount`."""
    count = len(pictures[0])
    saturation = 1.0 + 2.0 * amount * generator.uniform(-1, 1, (count, 1, 1))
    gain = 1.0 + amount * generator.uniform(-1, 1, (count, 3, 1))
    offset = amount * generator.uniform(-1, 1, (count, 1, 1, 1))
    grey = np.broadcast_to(np.array(_LUMA), (3, 3))
    mixing = gain * (saturation * np.eye(3) + (1.0 - saturation) * grey)
    mix = torch.from_numpy(mixing.astype(np.float32)).to(pictures[0].device)
    # about the middle grey, so that dark pictures are not all clipped
    shift = torch.from_numpy((offset + 0.5 * (1.0 - gain[..., None])).astype(np.float32)).to(pictures[0].device)
    with torch.autocast(mix.device.type, enabled=False):
        return tuple((torch.einsum("nij,njhw->nihw", mix, picture) + shift).clamp(0.0, 1.0) for picture in pictures)
