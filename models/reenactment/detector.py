"""The keypoint detector: heat maps and soft-argmax as in FOMM, on five channels, anchored to the face mesh.

The five channels are those of the thesis: RGB, a drawing of mediapipe's face mesh, mediapipe's segmentation, at 64x64.
Each heat map is multiplied by a Gaussian around its mesh point, so the network refines a point within a few pixels and
cannot lose it; an untrained network gives the mesh points back. The variant of three channels (`mesh=False`) sees RGB
alone and has no anchor: it is there to show what the prior is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.keypoints import COUNT, MESH_INDICES, Image, Keypoints, Landmarks, to_pixels
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.interfaces import ModelId
from avcall.models.reenactment.motion import cell_centres, convolution, double, silence
from avcall.models.segmentation import SIDE, Segmenter

IMAGE_SIDE = 256
"""Cells are those of a picture of this side: the convention of keypoints depends on it by a hair."""
_SHIFT = 4
"""OpenCV draws at sixteenths of a pixel."""
_ANCHOR_CELLS = 1.0
"""Deviation of the anchor's Gaussian in cells (of 4 pixels at 256)."""
_LIPS = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)
_INNER_LIPS = (78, 81, 13, 311, 308, 402, 14, 178)
_EYES = ((33, 160, 159, 158, 133, 153, 145, 144), (362, 385, 386, 387, 263, 373, 374, 380))
_OVAL = (10, 297, 284, 389, 454, 361, 397, 379, 400, 152, 176, 150, 172, 132, 234, 162, 54, 67)
_NOSE_AND_BROWS = ((168, 197, 1), (70, 105, 107), (336, 334, 300))


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorConfig:
    keypoints: int = COUNT
    channels: tuple[int, int, int] = (16, 32, 48)
    mesh: bool = True
    """Whether it sees mesh and segmentation besides RGB, and is anchored to the mesh."""


class DetectorNetwork(nn.Module):
    """A small UNet that gives one heat map a keypoint."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.channels
        self.enter = convolution(5 if config.mesh else 3, first)
        self.down = nn.Sequential(convolution(first, second, 2), convolution(second, second))
        self.deep = nn.Sequential(convolution(second, third, 2), convolution(third, third), nn.Conv2d(third, second, 1))
        self.up = nn.Sequential(convolution(2 * second, second), nn.Conv2d(second, first, 1))
        self.heat = nn.Sequential(convolution(2 * first, first), nn.Conv2d(first, config.keypoints, 3, 1, 1))
        silence(self.heat[1])

    def forward(self, channels: Tensor, anchors: Tensor) -> Tensor:
        """Keypoints (N, K, 2) from the channels (N, 5 or 3, 64, 64) and the mesh's own points (N, K, 2)."""
        first = self.enter(channels)
        second = self.down(first)
        x = self.up(torch.cat([double(self.deep(second)), second], 1))
        logits = self.heat(torch.cat([double(x), first], 1)).float()
        grid = cell_centres(IMAGE_SIDE, SIDE, channels.device)
        if not self.config.mesh:
            heat = torch.softmax(logits.flatten(2), -1)
            return torch.einsum("nkp,pc->nkc", heat, grid.reshape(-1, 2))
        cell = float(grid[0, 1, 0] - grid[0, 0, 0])
        distance = (grid[None, None] - anchors[:, :, None, None]).square().sum(-1)
        heat = torch.softmax((logits - distance / (2 * (_ANCHOR_CELLS * cell) ** 2)).flatten(2), -1)
        return torch.einsum("nkp,pc->nkc", heat, grid.reshape(-1, 2))


def draw_mesh(landmarks: Landmarks) -> NDArray[np.uint8]:
    """The mesh's lips, eyes, brows, nose and outline as lines, uint8 (64, 64)."""
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    pixels = np.round(to_pixels(landmarks[:, :2], SIDE, SIDE) * (1 << _SHIFT)).astype(np.int32)
    for parts, closed in (((_LIPS, _INNER_LIPS, *_EYES, _OVAL), True), (_NOSE_AND_BROWS, False)):
        lines = [pixels[list(part)] for part in parts]
        cv2.polylines(canvas, lines, closed, (255,), thickness=1, lineType=cv2.LINE_AA, shift=_SHIFT)
    return canvas


def five_channels(image: Image, landmarks: Landmarks, segmentation: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (64, 64, 5): the picture at 64x64, the drawn mesh, the segmentation (64, 64)."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.dstack([small, draw_mesh(landmarks), segmentation])


class NetworkDetector:
    """The trained detector behind the `KeypointDetector` protocol."""

    def __init__(self, weights: Weights, model: ModelId) -> None:
        """`model` is the id that it shares with its reenactor.

        Raises:
            CheckpointError: the weights are not those of a detector.
        """
        self._model = model
        network = DetectorNetwork(rebuild_config(DetectorConfig, weights))
        fill(network, weights)
        self._network = network.eval()
        self._segmenter = Segmenter() if network.config.mesh else None
        torch.set_num_threads(1)

    @property
    def model(self) -> ModelId:
        return self._model

    @torch.inference_mode()
    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        """`landmarks` (468, 3) of the crop `image`; returns (10, 2)."""
        if self._segmenter is not None:
            stacked = five_channels(image, landmarks, self._segmenter.segment(image))
        else:
            stacked = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        channels = torch.from_numpy(np.ascontiguousarray(stacked)).permute(2, 0, 1)[None].float() / 255.0
        anchors = torch.from_numpy(np.ascontiguousarray(landmarks[list(MESH_INDICES), :2]))[None]
        return np.asarray(functional.hardtanh(self._network(channels, anchors), -4, 4)[0].numpy(), dtype=np.float32)
