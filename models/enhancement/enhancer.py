"""The trained enhancement network behind the `Enhancer` protocol, and its weightless twin."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.enhancement.network import EnhancementNetwork, EnhancementShape
from avcall.models.precision import native_bf16

KIND = "enhancer"
SIDE = 256
"""The longer side of the pictures that the network was trained on. Larger ones are judged at this size, and get the
enlarged residual: their faults are of that scale, and a large picture costs no more than a small one."""
PIVOT_SIDE = 512
"""Of pivots, which are repaired once: large ones at their own size."""
SMALLEST = 16
"""Pictures with a shorter side have no face to repair and are left as they are."""


class UnsharpEnhancer:
    """Unsharp masking: the honest baseline of a network that sharpens. Grey pictures and alpha as NetworkEnhancer."""

    def __init__(self, amount: float = 0.3, sigma: float = 1.0) -> None:
        self._amount, self._sigma = amount, sigma

    def enhance(self, image: Image) -> Image:
        picture = as_rgb(image)
        blurred = cv2.GaussianBlur(picture, (0, 0), self._sigma)
        return np.asarray(cv2.addWeighted(picture, 1.0 + self._amount, blurred, -self._amount, 0.0), dtype=np.uint8)


class NetworkEnhancer:
    """Runs an `EnhancementNetwork`, in bf16 where the processor multiplies it natively, else in float32."""

    def __init__(self, weights: Weights, device: str, side: int = SIDE) -> None:
        """`side` is the longer side up to which pictures are judged at their own size.

        Raises:
            CheckpointError: the weights are not those of an enhancement network.
        """
        if weights.kind != KIND:
            raise CheckpointError(f"weights {weights.name!r} hold a {weights.kind}, not an {KIND}")
        self._side = side
        self._device = torch.device(device)
        bf16 = native_bf16(device)
        self._dtype = torch.bfloat16 if bf16 else torch.float32
        network = EnhancementNetwork(rebuild_config(EnhancementShape, weights))
        fill(network, weights)
        self._network = network.to(self._device, self._dtype, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.inference_mode()
    def enhance(self, image: Image) -> Image:
        """The repaired picture, uint8 (H, W, 3) of any size; grey becomes RGB, alpha is dropped.

        Raises:
            FloatingPointError: the network gave no finite numbers.
            ValueError: no picture.
        """
        picture = as_rgb(image).copy()  # what came through shared memory cannot be written to, which torch wants
        height, width = picture.shape[:2]
        if min(height, width) < SMALLEST:
            return picture
        scale = min(1.0, self._side / max(height, width))
        small = picture
        if scale < 1.0:
            sides = (max(SMALLEST, round(width * scale)), max(SMALLEST, round(height * scale)))
            small = np.asarray(cv2.resize(picture, sides, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        residual = self._residual(small)
        if scale < 1.0:
            residual = functional.interpolate(residual, (height, width), mode="bilinear", align_corners=False)
        planes = torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None]
        shown = (planes + residual * 255.0).round_().clamp_(0.0, 255.0)
        return np.ascontiguousarray(shown[0].to(torch.uint8).permute(1, 2, 0).cpu().numpy())

    def _residual(self, picture: Image) -> Tensor:
        """(1, 3, H, W) in units of the whole range."""
        height, width = picture.shape[:2]
        planes = torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None].to(self._dtype) / 255.0
        multiple = self._network.shape.multiple
        padding = (0, -width % multiple, 0, -height % multiple)
        if any(padding):
            planes = functional.pad(planes, padding, mode="replicate")
        residual = self._network(planes.contiguous(memory_format=torch.channels_last))[..., :height, :width].float()
        if not bool(torch.isfinite(residual).all()):
            raise FloatingPointError("the enhancement network gave NaN or infinity")
        return torch.as_tensor(residual)


def as_rgb(image: Image) -> Image:
    """uint8 (H, W, 3) of a picture that may be grey, (H, W) or (H, W, 1), or have alpha, (H, W, 4).

    Raises:
        ValueError: neither of them, or empty.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"no picture: {image.dtype} {image.shape}")
    if image.ndim == 2:
        image = image[:, :, None]
    channels = image.shape[2]
    if channels not in (1, 3, 4):
        raise ValueError(f"no picture: {channels} channels")
    return np.ascontiguousarray(image.repeat(3, 2) if channels == 1 else image[:, :, :3])
