"""The trained network behind the `Interpolator` protocol: numpy in, numpy out."""

from __future__ import annotations

import math
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import Weights, fill, load_weights, rebuild_config
from avcall.models.interpolation.checks import check_between
from avcall.models.interpolation.config import InterpolationConfig
from avcall.models.interpolation.network import CELL, InterpolationNetwork

Floats: TypeAlias = NDArray[np.float32]
LITE = "lite-interpolator"
WORKING_SIDE = 256
"""Motion of larger pictures is found at about this size; their own pixels are moved by it."""
LARGEST_WORKING_SIDE = 384
"""Up to this the motion is found at the pictures' own size."""


class NetworkInterpolator:
    """Finds the motion in bf16 where the processor multiplies it natively, else in float32; warps with OpenCV.

    Pictures of any size: sides that are no multiple of the network's cells are padded with their edges.
    """

    def __init__(self, weights: Weights, device: str) -> None:
        """
        Raises:
            CheckpointError: the weights are not those of an interpolation network.
        """
        if weights.kind != "interpolator":
            raise CheckpointError(f"weights {weights.name!r} hold a {weights.kind}, not an interpolator")
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(1)  # more threads gain little here, and starve capture and codecs
        self._bf16 = device == "cuda" or bool(torch.cpu._is_avx512_bf16_supported())
        network = InterpolationNetwork(rebuild_config(InterpolationConfig, weights))
        fill(network, weights)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            if self._bf16:
                parameter.data = parameter.data.to(torch.bfloat16)  # autocast would do it again for every frame
        self._network = network.to(self._device).eval()

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        """The picture at `fraction` in [0, 1] of the way; at 0 and 1 the pictures themselves.

        Raises:
            ValueError: not two uint8 RGB pictures of one size, or a fraction outside [0, 1].
            ArithmeticError: the network gave something that is not a number.
        """
        check_between(before, after, fraction)
        if fraction in (0.0, 1.0):
            return (after if fraction else before).copy()
        height, width = before.shape[:2]
        longest = max(height, width)
        share = 1.0 if longest <= LARGEST_WORKING_SIDE else WORKING_SIDE / longest
        size = max(1, round(width * share)), max(1, round(height * share))
        flow, mask = self._motion(_tensor(before, size), _tensor(after, size), fraction)
        flow, mask = (cv2.resize(maps, None, fx=2, fy=2)[: size[1], : size[0]] for maps in (flow, mask))
        if share < 1.0:
            flow, mask = (cv2.resize(maps, (width, height)) for maps in (flow, mask))
            flow *= np.float32([width / size[0], height / size[1]] * 2)
        x = np.arange(width, dtype=np.float32)
        y = np.arange(height, dtype=np.float32)[:, None]
        shown = [_moved(image, x + flow[..., at], y + flow[..., at + 1]) for image, at in ((before, 0), (after, 2))]
        return np.asarray(cv2.blendLinear(shown[0], shown[1], mask, 1.0 - mask), dtype=np.uint8)

    @torch.inference_mode()
    def _motion(
        self, before: Tensor, after: Tensor, fraction: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Flow (h/2, w/2, 4) in pixels and mask (h/2, w/2), both float32."""
        time = torch.tensor([fraction], device=self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            motion = self._network(before.to(self._device), after.to(self._device), time)[-1]
        flow = motion.flow[0].permute(1, 2, 0).contiguous().cpu().numpy()
        mask = motion.mask[0, 0].cpu().numpy()
        if not (math.isfinite(float(flow.sum())) and math.isfinite(float(mask.sum()))):
            raise ArithmeticError("the interpolation network gave something that is not a number")
        return flow, mask


def load_interpolator(device: str, name: str = LITE) -> NetworkInterpolator:
    """The shipped network on "cpu" or "cuda".

    Raises:
        CheckpointError: its weights are missing or damaged.
    """
    return NetworkInterpolator(load_weights(name), device)


def _moved(image: Image, x: Floats, y: Floats) -> Image:
    """The picture whose pixels are taken from (x, y) of `image`."""
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


def _tensor(image: Image, size: tuple[int, int]) -> Tensor:
    """(1, 3, h, w) in [0, 1], resized to (width, height) and padded to whole cells with its edges."""
    width, height = size
    if (image.shape[1], image.shape[0]) != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if width % CELL or height % CELL:
        image = cv2.copyMakeBorder(image, 0, -height % CELL, 0, -width % CELL, cv2.BORDER_REPLICATE)
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0
