"""The trained network behind the `Interpolator` protocol: numpy in, numpy out."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import Weights, fill, load_weights, rebuild_config
from avcall.models.interpolation.checks import check_between
from avcall.models.interpolation.config import InterpolationConfig
from avcall.models.interpolation.flow import (
    Floats,
    coarse_flows,
    enlarged_flow,
    flow_estimator,
    moved,
    resized,
    working_size,
)
from avcall.models.interpolation.network import CELL, InterpolationNetwork
from avcall.models.precision import lay_out, mixed

LITE = "lite-interpolator"


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
        network = InterpolationNetwork(rebuild_config(InterpolationConfig, weights))
        fill(network, weights)
        lay_out(network, device)
        self._network = network
        self._estimator = flow_estimator()

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        """The picture at `fraction` in [0, 1] of the way; at 0 and 1 the pictures themselves.

        Raises:
            ValueError: not two uint8 RGB pictures of one size, or a fraction outside [0, 1].
            ArithmeticError: the network gave something that is not a number.
        """
        check_between(before, after, fraction)
        if fraction in (0.0, 1.0):
            return (after if fraction else before).copy()
        size = working_size(before)
        flow, mask = self._motion(resized(before, size), resized(after, size), fraction)
        whole = before.shape[1], before.shape[0]
        shown = [moved(image, enlarged_flow(flow[..., at : at + 2], whole)) for image, at in ((before, 0), (after, 2))]
        mask = np.asarray(cv2.resize(mask, whole), dtype=np.float32)
        return np.asarray(cv2.blendLinear(shown[0], shown[1], mask, 1.0 - mask), dtype=np.uint8)

    @torch.inference_mode()
    def _motion(self, before: Image, after: Image, fraction: float) -> tuple[Floats, Floats]:
        """Flow (h, w, 4) in pixels and mask (h, w)."""
        height, width = before.shape[:2]
        before, after = _padded(before), _padded(after)
        flows = coarse_flows(self._estimator, before, after, self._network.config.scales[0])
        time = torch.tensor([fraction], device=self._device)
        pictures = (_tensor(image).to(self._device) for image in (before, after))
        with mixed(self._device):
            motion = self._network(*pictures, torch.from_numpy(flows)[None].to(self._device), time)[-1]
        flow = motion.flow[0].permute(1, 2, 0).contiguous().cpu().numpy()
        mask = motion.mask[0, 0].cpu().numpy()
        if not (math.isfinite(float(flow.sum())) and math.isfinite(float(mask.sum()))):
            raise ArithmeticError("the interpolation network gave something that is not a number")
        flow, mask = (cv2.resize(maps, before.shape[1::-1])[:height, :width] for maps in (flow, mask))
        return flow, mask


def load_interpolator(device: str, name: str = LITE) -> NetworkInterpolator:
    """The shipped network on "cpu" or "cuda".

    Raises:
        CheckpointError: its weights are missing or damaged.
    """
    return NetworkInterpolator(load_weights(name), device)


def _padded(image: Image) -> Image:
    """To whole cells with its edges."""
    height, width = image.shape[:2]
    if not (width % CELL or height % CELL):
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, -height % CELL, 0, -width % CELL, cv2.BORDER_REPLICATE), np.uint8)


def _tensor(image: Image) -> Tensor:
    """(1, 3, h, w) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0
