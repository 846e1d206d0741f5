"""Trains the keypoint detector as a student of the mesh, steadier than it.

The anchor is one of the teacher's views of a frame (detector_teacher.py), the target the mean of all its others: so the
network sees the mesh's own noise and learns what of it the picture gives away. Each frame is seen twice, under two
random deformations (an affine map and a thin-plate spline, as in FOMM) with two views as anchors: both must find the
same points, which is the thesis's equivariance, and steadiness too.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avcall.common.config import flag
from avcall.common.keypoints import COUNT, MESH_INDICES
from avcall.models.checkpoint import write_weights
from avcall.models.precision import mixed
from avcall.models.reenactment.detector import (
    EYES,
    IMAGE_SIDE,
    DetectorConfig,
    DetectorNetwork,
    Window,
    as_input,
    at,
    draw_mesh,
    look,
    windows,
)
from avcall.models.reenactment.motion import cell_centres
from avcall.models.segmentation import SIDE
from avcall.models.training.deformation import Deformation
from avcall.models.training.detector_teacher import Taught, load_taught
from avcall.models.training.pairs import MIRROR
from avcall.models.training.state import average_into, channels_last

PIXELS = 127.5
_NODES = 9
"""A deformation is computed at this many nodes of a window's side and is linear between them."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorTrainConfig:
    """`avcall train detector`."""

    data: Path = flag(Path(), "training pack, made by avcall prepare", metavar="DIR", required=True)
    out: Path = flag(Path(), "file to write the weights to", metavar="FILE.safetensors", required=True)
    teacher: Path = flag(Path(), "folder that keeps the teacher's answers for the next time", metavar="DIR")
    frames: int = flag(24, "frames of each clip to learn from; the teacher takes some 40 ms a frame", metavar="N")
    minutes: float = flag(10.0, "how long to train", metavar="MINUTES")
    steps: int = flag(0, "train for this many steps instead of by time; 0 means by time", metavar="N")
    batch: int = flag(6, "frames a step, each seen twice", metavar="N")
    learning_rate: float = flag(2e-3, "largest learning rate of Adam", metavar="RATE")
    mesh: bool = flag(True, "see mesh and segmentation besides RGB, anchored to the mesh")
    equivariance: float = flag(0.5, "weight of both deformations' agreement", metavar="WEIGHT")
    name: str = flag("lite-detector", "name of the weights", metavar="NAME")
    seed: int = flag(0, "seed of weights and pictures", metavar="N")


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames seen each twice, first all under one deformation, then all under another.

    Channels (2N, windows, C, 64, 64) in [0, 1]; anchors (2N, windows, K, 2) in the windows' units; centres
    (2N, windows, 2) and halves (2N, windows) of the windows; targets (2N, K, 2) in the deformed pictures.
    """

    channels: Tensor
    anchors: Tensor
    centres: Tensor
    halves: Tensor
    targets: Tensor
    deformation: Deformation


def train_detector(config: DetectorTrainConfig) -> Path:
    """Trains, writes the weights, logs the figures on val, and returns the path of the weights.

    Raises:
        InputError: no pack in `data`. OutputError: the weights or the teacher's answers cannot be written.
    """
    data, val = (load_taught(config.data, split, config.frames, config.teacher) for split in ("train", "val"))
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    shape = DetectorConfig(mesh=config.mesh)
    network, average = DetectorNetwork(shape), DetectorNetwork(shape)
    average.load_state_dict(network.state_dict())
    channels_last(network)
    channels_last(average)
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.9, 0.99), fused=True)
    start, step, progress, recent = time.monotonic(), 0, 0.0, np.zeros(3)
    while progress < 1.0:
        generator = np.random.default_rng([config.seed, step])
        rate = config.learning_rate * min(1.0, (step + 1) / 100) * (0.02 + 0.49 * (1 + np.cos(np.pi * progress)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = draw(data, generator, config.batch, config.mesh)
        with mixed("cpu"):
            found = find(network, batch)
        fit = functional.smooth_l1_loss(found * PIXELS, batch.targets * PIXELS, beta=0.5)
        own = functional.smooth_l1_loss(outside(batch, batch.anchors) * PIXELS, batch.targets * PIXELS, beta=0.5)
        first, second = batch.deformation.back(found).chunk(2)
        agreement = functional.smooth_l1_loss(first * PIXELS, second * PIXELS, beta=0.5)
        optimiser.zero_grad()
        (fit + config.equivariance * agreement).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        average_into(average, network, min(0.995, (1 + step) / (10 + step)))
        recent += float(fit.detach()), float(own), float(agreement.detach())
        step += 1
        progress = step / config.steps if config.steps else (time.monotonic() - start) / (60 * config.minutes)
        if step % 100 == 0:
            _log.info(
                "step %d %.0f%% fit %.4f (the anchors %.4f) agreement %.4f", step, 100 * progress, *(recent / 100)
            )
            recent[:] = 0.0
    figures = judge(average, val)
    minutes = round((time.monotonic() - start) / 60, 1)
    figures |= {"steps": step, "pictures": 2 * step * config.batch, "minutes": minutes}
    write_weights(config.out, config.name, "detector", shape, average.state_dict())
    _log.info("val %s", json.dumps(figures))
    return config.out


def find(network: DetectorNetwork, batch: Batch) -> Tensor:
    """Keypoints (2N, K, 2) in the deformed pictures."""
    channels = batch.channels.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    inside: Tensor = network(channels, batch.anchors.flatten(0, 1)).view(batch.anchors.shape)
    return outside(batch, inside)


def outside(batch: Batch, inside: Tensor) -> Tensor:
    """Keypoints (2N, K, 2) of the pictures, of what each window says (2N, windows, K, 2) in its own units."""
    points: Tensor = inside * batch.halves[..., None, None] + batch.centres[..., None, :]
    if points.shape[1] == 1:
        return points[:, 0]
    return torch.where(torch.from_numpy(EYES)[:, None], points[:, 0], points[:, 1])


def draw(data: Taught, generator: np.random.Generator, count: int, mesh: bool, deform: bool = True) -> Batch:
    """`count` frames, each twice; without `deform` as they are."""
    return _batch(data, generator.integers(0, len(data.frames), count), generator, mesh, deform)


def _batch(
    data: Taught, chosen: NDArray[np.integer[Any]], generator: np.random.Generator, mesh: bool, deform: bool
) -> Batch:
    count = len(chosen)
    deformation = Deformation.draw(generator, count) if deform else Deformation.none(2 * count)
    both = np.concatenate([chosen, chosen])
    views = data.views[both]
    rows = np.arange(2 * count)
    anchor = generator.integers(0, views.shape[1], 2 * count) if deform else np.zeros(2 * count, dtype=int)
    others = (views.sum(1) - views[rows, anchor]) / max(1, views.shape[1] - 1)
    sources = torch.from_numpy(np.concatenate([views[rows, anchor], others[:, list(MESH_INDICES)]], 1))
    moved = deformation.forth(sources).numpy()
    meshes, targets = moved[:, : views.shape[2]], moved[:, views.shape[2] :]
    own = meshes[:, list(MESH_INDICES)]
    places = [windows(each) if mesh else [Window(np.zeros(2), 1.0)] for each in meshes]
    centres = torch.from_numpy(np.array([[w.centre for w in row] for row in places], dtype=np.float32))
    halves = torch.from_numpy(np.array([[w.half for w in row] for row in places], dtype=np.float32))
    channels = [
        _look(data, int(index), mesh, meshes[row], places[row][number], where[number])
        for row, (index, where) in enumerate(zip(both, _wheres(deformation, centres, halves), strict=True))
        for number in range(len(places[row]))
    ]
    seen = as_input(np.stack(channels)).view(2 * count, -1, channels[0].shape[-1], SIDE, SIDE)
    anchors = torch.from_numpy(np.stack([[w.inside(p) for w in row] for row, p in zip(places, own, strict=True)]))
    mirrored = deformation.mirrored
    swap = torch.from_numpy(np.where(mirrored[:, None], np.array(MIRROR), np.arange(COUNT)))
    anchors = anchors.gather(2, swap[:, None, :, None].expand_as(anchors))
    aims = torch.from_numpy(targets)
    aims = aims.gather(1, swap[..., None].expand_as(aims))
    if deform:
        gain = torch.from_numpy(generator.uniform(0.8, 1.2, (2 * count, 1, 3, 1, 1))).float()
        seen[:, :, :3] = (seen[:, :, :3] * gain).clamp(0, 1)
    return Batch(seen, anchors, centres, halves, aims, deformation)


def _wheres(deformation: Deformation, centres: Tensor, halves: Tensor) -> Iterator[NDArray[np.float32]]:
    """For each picture the places (windows, 64, 64, 2) in its source that its windows' cells show."""
    count, parts = halves.shape
    edge = cell_centres(IMAGE_SIDE, SIDE)[0, 0, 0].abs()
    axis = torch.linspace(-1, 1, _NODES) * edge
    nodes = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(1, 1, -1, 2)
    there = nodes * halves[..., None, None] + centres[:, :, None]
    back = deformation.back(there.flatten(1, 2)).view(count * parts, _NODES, _NODES, 2).permute(0, 3, 1, 2)
    fine = functional.interpolate(back, (SIDE, SIDE), mode="bilinear", align_corners=True)
    yield from fine.permute(0, 2, 3, 1).reshape(count, parts, SIDE, SIDE, 2).contiguous().numpy()


def _look(
    data: Taught, index: int, mesh: bool, landmarks: NDArray[np.float32], window: Window, where: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """What a window shows of a deformed frame, five channels or RGB alone."""
    picture = np.asarray(data.frames[index])
    if mesh:
        return look(picture, data.segmentation[index], draw_mesh(window.inside(landmarks)), where)
    small = np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    cells = (where * ((IMAGE_SIDE - 1) / IMAGE_SIDE) + 1.0) * (SIDE / 2) - 0.5
    return at(small, cells)


@torch.inference_mode()
def judge(network: DetectorNetwork, data: Taught) -> dict[str, Any]:
    """Mean distances in pixels at 256, with the pack's mesh as the anchor: to the mesh, to the teacher, the mesh's own
    to the teacher, and the mean shift of a clip's points against its mesh."""
    found, aims = [], []
    for start in range(0, len(data.frames), 32):
        chosen = np.arange(start, min(start + 32, len(data.frames)))
        batch = _batch(data, chosen, np.random.default_rng(0), network.config.mesh, deform=False)
        found.append(find(network, batch)[: len(chosen)].numpy())
        aims.append(batch.targets[: len(chosen)].numpy())
    points, taught = np.concatenate(found), np.concatenate(aims)
    own = data.views[:, 0, list(MESH_INDICES)]
    shifts = [(points - own)[data.clip == clip].mean(0) for clip in np.unique(data.clip)]
    return {
        "to_mesh_px": _distance_px(points - own),
        "to_teacher_px": _distance_px(points - taught),
        "mesh_to_teacher_px": _distance_px(own - taught),
        "shift_px": _distance_px(np.array(shifts)),
    }


def _distance_px(difference: NDArray[np.floating[Any]]) -> float:
    return round(float(np.linalg.norm(difference, axis=-1).mean()) * PIXELS, 3)
