"""The keypoint detector: heat maps and soft-argmax as in FOMM, on five channels, anchored to the face mesh.

The five channels are those of the thesis: RGB, a drawing of mediapipe's face mesh, mediapipe's segmentation. They are
seen in two windows of 64x64, one on the eyes and one from nose to chin: a cell is then some 1.4 pixels at 256, not 4.
Each heat map is multiplied by a Gaussian around its mesh point, so the network refines a point within a few pixels and
cannot lose it; an untrained network gives the mesh points back. The variant of three channels (`mesh=False`) sees RGB
alone, the whole picture at 64x64, and has no anchor: it is there to show what the prior is worth.

The mean of what the network corrects is taken away, so that a person's points stay the mesh's, and what is found is
steadied along the picture's motion (carried_points.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avcall.common.keypoints import (
    COUNT,
    EYE_LEFT,
    EYE_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    MESH_INDICES,
    Image,
    Keypoints,
    Landmarks,
    to_pixels,
)
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.interfaces import ModelId
from avcall.models.reenactment.carried_points import KEPT, CarriedPoints
from avcall.models.reenactment.motion import cell_centres, convolution, double, sample, silence
from avcall.models.segmentation import SIDE, Segmenter

IMAGE_SIDE = 256
"""Cells are those of a picture of this side: the convention of keypoints depends on it by a hair."""
_SHIFT = 4
"""OpenCV draws at sixteenths of a pixel."""
_ANCHOR_CELLS = 1.5
"""Deviation of the anchor's Gaussian in cells."""
_REACH = 3
"""Cells from the anchor to the edge of its heat map, which lies where the anchor lies, not on whole cells: what is seen
around a point that is found well looks always the same, and a little error is a little shift."""
EYES = np.isin(np.arange(COUNT), (LID_LEFT, LID_RIGHT, EYE_LEFT, EYE_RIGHT))
"""Keypoints of the first window; the others are found in the second."""
_MARGIN = 1.5
"""Side of a window in units of its keypoints' extent, and at least _FACE_SHARE of the whole mesh's extent."""
_FACE_SHARE = 0.5
_MASK_USES = 10
"""Frames that one segmentation may serve."""
_USUAL_SHARE = 0.04
"""Of a frame in the mean of the corrections: one second."""
_SIDE_STEP = 0.1
"""Windows change in steps, so that a still face has still windows: their side by a tenth, their place by 1/16."""
_LIPS = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)
_INNER_LIPS = (78, 81, 13, 311, 308, 402, 14, 178)
_EYES = ((33, 160, 159, 158, 133, 153, 145, 144), (362, 385, 386, 387, 263, 373, 374, 380))
_OVAL = (10, 297, 284, 389, 454, 361, 397, 379, 400, 152, 176, 150, 172, 132, 234, 162, 54, 67)
_NOSE_AND_BROWS = ((168, 197, 1), (70, 105, 107), (336, 334, 300))


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorConfig:
    keypoints: int = COUNT
    channels: tuple[int, int, int] = (12, 24, 32)
    mesh: bool = True
    """Whether it sees mesh and segmentation besides RGB, and is anchored to the mesh."""


class DetectorNetwork(nn.Module):
    """A small UNet that gives one heat map a keypoint: 7x7 places around its anchor, or the whole grid without one."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.channels
        self.enter = convolution(5 if config.mesh else 3, first)
        self.down = nn.Sequential(convolution(first, second, 2), convolution(second, second))
        self.deep = nn.Sequential(convolution(second, third, 2), convolution(third, third), nn.Conv2d(third, second, 1))
        self.up = nn.Sequential(convolution(2 * second, second), nn.Conv2d(second, first, 1))
        self.squeeze = nn.Sequential(nn.Conv2d(2 * first, first, 1), nn.LeakyReLU(0.1, inplace=True))
        if config.mesh:
            places = (2 * _REACH + 1) ** 2
            self.heat: Tensor = nn.Parameter(torch.zeros(config.keypoints, places * first, places))
        else:
            self.heat_map = nn.Conv2d(first, config.keypoints, 3, 1, 1)
            silence(self.heat_map)

    def forward(self, channels: Tensor, anchors: Tensor) -> Tensor:
        """Keypoints (N, K, 2) from the channels (N, 5 or 3, 64, 64) and the mesh's own points (N, K, 2)."""
        first = self.enter(channels)
        second = self.down(first)
        x = self.up(torch.cat([double(self.deep(second)), second], 1))
        features = self.squeeze(torch.cat([double(x), first], 1))
        grid = cell_centres(IMAGE_SIDE, SIDE, channels.device)
        if not self.config.mesh:
            heat = torch.softmax(self.heat_map(features).float().flatten(2), -1)
            return torch.einsum("nkp,pc->nkc", heat, grid.reshape(-1, 2))
        axis = torch.arange(-_REACH, _REACH + 1, device=channels.device, dtype=torch.float32)
        cells = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2)
        offsets = cells * (grid[0, 1, 0] - grid[0, 0, 0])
        around = sample(features, anchors[:, :, None] + offsets, IMAGE_SIDE)  # (N, C, K, places)
        seen = around.permute(0, 2, 1, 3).flatten(2)
        logits = torch.einsum("nkf,kfp->nkp", seen, self.heat.float())
        heat = torch.softmax(logits - cells.square().sum(-1) / (2 * _ANCHOR_CELLS**2), -1)
        return anchors + torch.einsum("nkp,pc->nkc", heat, offsets)


@dataclass(frozen=True, slots=True)
class Window:
    """A square of a picture, in its keypoint units; places in it are given as if it were a picture of its own."""

    centre: NDArray[np.float64]
    half: float

    def inside(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Points (..., 2) of the picture in the window's own units."""
        return np.asarray((points - self.centre) / self.half, dtype=np.float32)

    def outside(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The inverse of `inside`."""
        return np.asarray(points * self.half + self.centre, dtype=np.float32)


def windows(landmarks: NDArray[np.floating[Any]]) -> list[Window]:
    """The two windows on a face, of its mesh (468, 2 or 3)."""
    face = float(np.ptp(landmarks[:, :2], axis=0).max())
    points = landmarks[list(MESH_INDICES), :2]
    found = []
    for part in (points[EYES], points[~EYES]):
        low, high = part.min(0), part.max(0)
        half = max(_FACE_SHARE * face, _MARGIN * float((high - low).max()), 1e-3) / 2
        half = float(np.exp(np.ceil(np.log(half) / _SIDE_STEP) * _SIDE_STEP))
        step = half / 16
        found.append(Window(np.round((low + high) / 2 / step) * step, half))
    return found


def draw_mesh(landmarks: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The lips, eyes, brows, nose and outline of a mesh in a window's units as lines, uint8 (64, 64)."""
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    pixels = np.round(to_pixels(landmarks[:, :2], SIDE, SIDE) * (1 << _SHIFT)).astype(np.int32)
    for parts, closed in (((_LIPS, _INNER_LIPS, *_EYES, _OVAL), True), (_NOSE_AND_BROWS, False)):
        lines = [pixels[list(part)] for part in parts]
        cv2.polylines(canvas, lines, closed, (255,), thickness=1, lineType=cv2.LINE_AA, shift=_SHIFT)
    return canvas


def look(
    image: Image,
    segmentation: NDArray[np.uint8],
    drawn: NDArray[np.uint8],
    where: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """The five channels, uint8 (64, 64, 5): picture (S, S, 3) and segmentation (64, 64) at the places (64, 64, 2), in
    the picture's keypoint units, with the drawn mesh between them."""
    inside = where * ((image.shape[0] - 1) / image.shape[0]) + 1.0  # 0 and 2 at the picture's edges
    seen = [at(source, inside * (source.shape[0] / 2) - 0.5) for source in (image, segmentation)]
    return np.dstack([seen[0], drawn, seen[1]])


def at(source: NDArray[np.uint8], cells: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """A picture or a mask (S, S, ...) at the places (H, W, 2), in its own pixels; its edge is repeated."""
    x, y = (np.ascontiguousarray(cells[..., axis], dtype=np.float32) for axis in (0, 1))
    return np.asarray(cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


def five_channels(
    image: Image, landmarks: Landmarks, segmentation: NDArray[np.uint8], window: Window
) -> NDArray[np.uint8]:
    """uint8 (64, 64, 5): what a window shows of a picture, its mesh and its segmentation (64, 64)."""
    where = window.outside(cell_centres(IMAGE_SIDE, SIDE).numpy())
    return look(image, segmentation, draw_mesh(window.inside(landmarks[:, :2])), where)


class NetworkDetector:
    """The trained detector behind the `KeypointDetector` protocol."""

    def __init__(self, weights: Weights, model: ModelId, carry: bool = True) -> None:
        """`model` is the id that it shares with its reenactor; without `carry` the points are not steadied by the
        pictures before.

        Raises:
            CheckpointError: the weights are not those of a detector.
        """
        self._model = model
        network = DetectorNetwork(rebuild_config(DetectorConfig, weights))
        fill(network, weights)
        self._network = network.eval()
        self._segmenter = Segmenter() if network.config.mesh else None
        self._carried = CarriedPoints() if carry else None
        self._masks: list[_Mask] = []
        self._frames = 0
        self._usual = np.zeros((COUNT, 2), dtype=np.float32)
        torch.set_num_threads(1)

    @property
    def model(self) -> ModelId:
        return self._model

    @torch.inference_mode()
    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        """`landmarks` (468, 3) of the crop `image`; returns (10, 2)."""
        small = image
        if max(image.shape[:2]) > IMAGE_SIDE:
            small = np.asarray(cv2.resize(image, (IMAGE_SIDE, IMAGE_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
        if self._segmenter is None:
            seen = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            points = self._network(as_input(seen[None]), torch.empty(1, COUNT, 2))[0].numpy()
        else:
            places = windows(landmarks)
            segmentation = self._segment(image, places)
            channels = np.stack([five_channels(small, landmarks, segmentation, place) for place in places])
            own = landmarks[list(MESH_INDICES), :2]
            anchors = torch.from_numpy(np.stack([place.inside(own) for place in places]))
            eyes, rest = self._network(as_input(channels), anchors).numpy()
            points = own + self._settled(
                np.where(EYES[:, None], places[0].outside(eyes), places[1].outside(rest)) - own
            )
        points = np.clip(points, -4.0, 4.0).astype(np.float32)
        return points if self._carried is None else self._carried.steady(small, points)

    def _settled(self, correction: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a correction of the mesh points has beyond its own mean: the mean is what the network thinks of a
        person's points, and what the mesh thinks of them counts."""
        self._frames += 1
        self._usual += max(_USUAL_SHARE, 1.0 / self._frames) * (correction - self._usual)
        return correction - self._usual

    def _segment(self, image: Image, places: list[Window]) -> NDArray[np.uint8]:
        """Segmentation (64, 64): the last one again while the windows stand still, which saves half of the time."""
        assert self._segmenter is not None
        where = tuple((*place.centre, place.half) for place in places)
        for mask in self._masks:
            if mask.where == where and mask.uses < _MASK_USES:
                mask.uses += 1
                return mask.segmentation
        segmentation = self._segmenter.segment(image)
        kept = [mask for mask in self._masks if mask.where != where]
        self._masks = [_Mask(where, segmentation), *kept][:KEPT]
        return segmentation


@dataclass(slots=True)
class _Mask:
    """A segmentation, the windows it was made for, and how often it served."""

    where: tuple[tuple[float, ...], ...]
    segmentation: NDArray[np.uint8]
    uses: int = 1


def as_input(channels: NDArray[np.uint8]) -> Tensor:
    """float32 (N, C, 64, 64) in [0, 1] of uint8 (N, 64, 64, C)."""
    return torch.from_numpy(np.ascontiguousarray(channels)).permute(0, 3, 1, 2).float() / 255.0
