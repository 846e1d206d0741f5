"""Trains the keypoint detector as a student of the mesh points, steadier than they are.

The target is the mesh point, smoothed over three frames where the face hardly moves, so that the mesh's jitter is not
learned. The anchor is the mesh point with noise, so that the network must look at the picture to find the point. Every
picture is seen under a random affine deformation together with its target, which makes the detector equivariant: the
points of a moved picture are the moved points.
"""

from __future__ import annotations

import json
import logging
import time
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
from avcall.common.errors import InputError
from avcall.common.keypoints import MESH_INDICES
from avcall.models.checkpoint import write_weights
from avcall.models.precision import mixed
from avcall.models.reenactment.detector import DetectorConfig, DetectorNetwork, five_channels
from avcall.models.segmentation import SIDE
from avcall.models.training.pairs import MIRROR
from avcall.models.training.state import average_into, channels_last

STILL_PX = 0.8
"""A point whose second difference stays below this many pixels (at 256) hardly moves: there the target is smoothed."""
PIXELS = 127.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorTrainConfig:
    """`avcall train detector`."""

    data: Path = flag(Path(), "training pack, made by avcall prepare", metavar="DIR", required=True)
    out: Path = flag(Path(), "file to write the weights to", metavar="FILE.safetensors", required=True)
    minutes: float = flag(4.0, "how long to train", metavar="MINUTES")
    steps: int = flag(0, "train for this many steps instead of by time; 0 means by time", metavar="N")
    batch: int = flag(32, "pictures a step", metavar="N")
    learning_rate: float = flag(2e-3, "largest learning rate of Adam", metavar="RATE")
    mesh: bool = flag(True, "see mesh and segmentation besides RGB, anchored to the mesh")
    anchor_noise_px: float = flag(0.7, "deviation of the anchors' noise in pixels at 256", metavar="PIXELS")
    name: str = flag("lite-detector", "name of the weights", metavar="NAME")
    seed: int = flag(0, "seed of weights and pictures", metavar="N")


@dataclass(frozen=True, slots=True)
class DetectorData:
    """One split: channels uint8 (n, 64, 64, 5), mesh points and targets float32 (n, K, 2), the clip of each frame."""

    channels: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    steady: NDArray[np.float32]
    clip: NDArray[np.int32]


def train_detector(config: DetectorTrainConfig) -> Path:
    """Trains, writes the weights, logs the figures on val, and returns the path of the weights.

    Raises:
        InputError: no pack in `data`. OutputError: the weights cannot be written.
    """
    data, val = load_split(config.data, "train"), load_split(config.data, "val")
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    shape = DetectorConfig(mesh=config.mesh)
    network, average = DetectorNetwork(shape), DetectorNetwork(shape)
    average.load_state_dict(network.state_dict())
    channels_last(network)
    channels_last(average)
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.9, 0.99), fused=True)
    start, step, progress = time.monotonic(), 0, 0.0
    while progress < 1.0:
        generator = np.random.default_rng([config.seed, step])
        rate = config.learning_rate * min(1.0, (step + 1) / 100) * (0.02 + 0.49 * (1 + np.cos(np.pi * progress)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        channels, anchors, targets = draw(data, generator, config.batch, config.anchor_noise_px)
        with mixed("cpu"):
            found = network(channels if config.mesh else channels[:, :3], anchors)
        loss = functional.smooth_l1_loss(found * PIXELS, targets * PIXELS, beta=0.5)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        average_into(average, network, min(0.995, (1 + step) / (10 + step)))
        step += 1
        progress = step / config.steps if config.steps else (time.monotonic() - start) / (60 * config.minutes)
        if step % 200 == 0:
            _log.info("step %d %.0f%% loss %.4f", step, 100 * progress, float(loss.detach()))
    figures = judge(average, val)
    figures |= {"steps": step, "pictures": step * config.batch, "minutes": round((time.monotonic() - start) / 60, 1)}
    write_weights(config.out, config.name, "detector", shape, average.state_dict())
    _log.info("val %s", json.dumps(figures))
    return config.out


def load_split(folder: Path, split: str) -> DetectorData:
    """All frames of a split at 64x64.

    Raises:
        InputError: no pack there, or an empty split.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        names = [clip["name"] for clip in manifest["clips"] if clip["split"] == split]
        parts = [_load_clip(folder / split / name, number) for number, name in enumerate(names)]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"--data {folder} is no training pack ({error}): make one with avcall prepare") from error
    if not parts:
        raise InputError(f"--data {folder} has no {split} clips: make the pack again with avcall prepare")
    return DetectorData(*(np.concatenate([getattr(part, name) for part in parts]) for name in DetectorData.__slots__))


def _load_clip(folder: Path, number: int) -> DetectorData:
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    landmarks, segmentation = np.load(folder / "landmarks.npy"), np.load(folder / "segmentation.npy")
    channels = np.stack(
        [five_channels(np.asarray(frames[i]), landmarks[i], segmentation[i]) for i in range(len(frames))]
    )
    mesh = np.ascontiguousarray(landmarks[:, list(MESH_INDICES), :2])
    return DetectorData(channels, mesh, steady(mesh), np.full(len(frames), number, dtype=np.int32))


def steady(mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points (n, K, 2) of consecutive frames, averaged over three where they hardly move."""
    result = mesh.copy()
    middle = mesh[1:-1]
    smoothed = 0.25 * mesh[:-2] + 0.5 * middle + 0.25 * mesh[2:]
    bend = np.linalg.norm(mesh[:-2] - 2 * middle + mesh[2:], axis=-1, keepdims=True) * PIXELS
    weight = np.clip(2.0 - bend / STILL_PX, 0.0, 1.0)
    result[1:-1] = weight * smoothed + (1.0 - weight) * middle
    return result


def draw(
    data: DetectorData, generator: np.random.Generator, count: int, noise_px: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Channels (N, 5, 64, 64) in [0, 1], anchors and targets (N, K, 2), each under a random affine deformation."""
    chosen = generator.integers(0, len(data.channels), count)
    points = np.stack([data.mesh[chosen], data.steady[chosen]])
    pictures, moved = [], []
    for number, index in enumerate(chosen):
        angle, scale = generator.normal(scale=0.12), np.exp(generator.normal(scale=0.12))
        shift = generator.normal(scale=0.08, size=2)
        stretch = np.exp(generator.normal(scale=0.05, size=2))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * stretch
        picture, pair = data.channels[index], points[:, number]
        if generator.random() < 0.5:
            picture, pair = picture[:, ::-1], pair[:, list(MIRROR)] * np.array([-1.0, 1.0])
        half = (SIDE - 1) / 2
        # points in cells: the corner cells' centres lie a little inside those of the corner pixels
        unit = half * (255 / 256) * SIDE / (SIDE - 1)
        offset = half + unit * shift - turn @ np.array([half, half])
        matrix = np.concatenate([turn, offset[:, None]], 1)
        pictures.append(
            cv2.warpAffine(np.ascontiguousarray(picture), matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        )
        moved.append(pair @ turn.T + shift)
    both = np.stack(moved, 1)
    anchors = both[0] + generator.normal(size=both[0].shape) * (noise_px / PIXELS) * generator.random((count, 1, 1))
    channels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255.0
    gain = torch.from_numpy(generator.uniform(0.8, 1.2, (count, 3, 1, 1))).float()
    channels[:, :3] = (channels[:, :3] * gain).clamp(0, 1)
    return channels, torch.from_numpy(anchors).float(), torch.from_numpy(both[1]).float()


@torch.inference_mode()
def judge(network: DetectorNetwork, data: DetectorData) -> dict[str, Any]:
    """Distance to the mesh, and the jitter (second difference) of both in still stretches, in pixels at 256."""
    found = []
    for start in range(0, len(data.channels), 64):
        part = slice(start, start + 64)
        channels = torch.from_numpy(data.channels[part]).permute(0, 3, 1, 2).float() / 255.0
        anchors = torch.from_numpy(data.mesh[part])
        found.append(network(channels if network.config.mesh else channels[:, :3], anchors).numpy())
    points = np.concatenate(found)
    bends = [np.linalg.norm(p[:-2] - 2 * p[1:-1] + p[2:], axis=-1) * PIXELS for p in (data.mesh, points)]
    still = (data.clip[:-2] == data.clip[2:])[:, None] & (bends[0] < STILL_PX)
    distance = np.linalg.norm(points - data.mesh, axis=-1) * PIXELS
    return {
        "distance_px": round(float(distance.mean()), 3),
        "mesh_jitter_px": round(float(bends[0][still].mean()), 3),
        "jitter_px": round(float(bends[1][still].mean()), 3),
    }
