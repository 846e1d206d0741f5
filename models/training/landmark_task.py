"""`avcall train landmarks`: the student of the face mesh that the reenactment network's landmark loss asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avcall.models.training.landmark_network import (
    EYES,
    MOUTH,
    LandmarkConfig,
    LandmarkNetwork,
    Window,
    windows,
)
from avcall.models.training.loop import train
from avcall.models.training.pairs import Pack, TrainingClip
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig

JITTER = (0.12, 0.12, 0.12)
"""Deviation of the windows' shift (in half windows), of the logarithm of their size, and of their turn in radians."""
CODED_SHARE = 0.4
VAL_PICTURES = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkTrainConfig(RunConfig):
    """`avcall train landmarks`."""


@dataclass(frozen=True, slots=True)
class Faces:
    """Pictures uint8 (N, S, S, 3), their keypoints (N, 10, 2) and mesh points (N, P, 2) by window."""

    pictures: Tensor
    keypoints: Tensor
    points: tuple[Tensor, Tensor, Tensor]


def train_landmarks(config: LandmarkTrainConfig) -> Path:
    """Trains and returns the last checkpoint's path; raises as `avcall.models.training.loop.train`."""
    return train(config, make_task)


def make_task(config: RunConfig) -> LandmarkTask:
    return LandmarkTask(config)


class LandmarkTask:
    """Implements `avcall.models.training.task.Task`."""

    kind = "landmarks"
    name = "landmarks"
    shape = LandmarkConfig()

    def __init__(self, config: RunConfig) -> None:
        """
        Raises:
            InputError: no pack.
        """
        self._pack = Pack(config.data, "train")
        self._val = Pack(config.data, "val")
        self._device = torch.device("cpu")

    def build(self) -> nn.Module:
        return LandmarkNetwork(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device

    def draw(self, generator: np.random.Generator, count: int) -> Faces:
        rows = [_face(self._pack.any_clip(generator), generator) for _ in range(count)]
        return _collate(rows)

    def forward(self, network: nn.Module, batch: Faces, generator: np.random.Generator) -> Forward:
        assert isinstance(network, LandmarkNetwork)
        places = tuple(_jittered(window, generator) for window in windows(batch.keypoints))
        errors = self._errors(network, batch, places, generator)
        return Forward({"mouth": errors[0].mean(), "eyes": (errors[1] + errors[2]).mean()})

    @torch.inference_mode()
    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        """Mean distance to the mesh in pixels at 256, on val clips; the sheet shows the points found."""
        assert isinstance(average, LandmarkNetwork)
        generator = np.random.default_rng(0)
        clips = self._val.clips
        batch = _collate([_face(clips[i % len(clips)], generator) for i in range(VAL_PICTURES)])
        places = tuple(_jittered(window, generator) for window in windows(batch.keypoints))
        pictures = _planes(batch.pictures, self._device)
        found = average(pictures, tuple(_to(window, self._device) for window in places))
        scale = 127.5
        figures: dict[str, Any] = {}
        for name, told, window, truth, mirrored in zip(
            ("mouth_px", "left_eye_px", "right_eye_px"), found, places, batch.points, (False, False, True), strict=True
        ):
            error = (told.cpu() - _target(window, truth, mirrored)).norm(dim=-1).mean(1)
            figures[name] = round(float((error * window.half()).mean()) * scale, 3)
        _write_sheet(sheet, batch, places[0], found[0].cpu())
        return figures

    def _errors(
        self, network: LandmarkNetwork, batch: Faces, places: tuple[Window, ...], generator: np.random.Generator
    ) -> list[Tensor]:
        mouth, left, right = (_to(window, self._device) for window in places)
        pictures = _altered(_planes(batch.pictures, self._device), generator)
        found = network(pictures, (mouth, left, right))
        return [
            (told - _target(window, points.to(self._device), mirrored)).abs().mean((1, 2))
            for told, window, points, mirrored in zip(
                found, (mouth, left, right), batch.points, (False, False, True), strict=True
            )
        ]


def _face(clip: TrainingClip, generator: np.random.Generator) -> tuple[Any, ...]:
    if generator.random() < CODED_SHARE:
        number = int(generator.integers(len(clip.coded_index)))
        index, picture = int(clip.coded_index[number]), clip.coded[number]
    else:
        index = int(generator.integers(len(clip.frames)))
        if len(clip.closed) and generator.random() < 0.3:
            index = int(generator.choice(clip.closed))
        picture = clip.frames[index]
    mesh = clip.landmarks[index, :, :2]
    return np.asarray(picture), clip.keypoints[index], *(mesh[list(part)] for part in (MOUTH, *EYES))


def _collate(rows: list[tuple[Any, ...]]) -> Faces:
    pictures, keypoints, mouth, left, right = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    return Faces(pictures, keypoints, (mouth, left, right))


def _jittered(window: Window, generator: np.random.Generator) -> Window:
    count = len(window.origin)
    shift, size, turn = (torch.from_numpy(generator.normal(size=(count, n)).astype(np.float32)) for n in (2, 1, 1))
    origin = window.origin + JITTER[0] * shift * window.half()[:, None]
    angle = JITTER[2] * turn
    x, y = window.across[:, :1], window.across[:, 1:]
    turned = torch.cat([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], 1)
    return Window(origin, turned * torch.exp(JITTER[1] * size))


def _target(window: Window, points: Tensor, mirrored: bool) -> Tensor:
    """Mesh points (N, P, 2) in units of the window as the network sees it."""
    local = window.local(points)
    return local * torch.tensor([-1.0, 1.0], device=local.device) if mirrored else local


def _altered(pictures: Tensor, generator: np.random.Generator) -> Tensor:
    """Light and blur that generated pictures may have and filmed ones lack."""
    count = len(pictures)
    gain, lift = (torch.from_numpy(generator.normal(size=(count, 3, 1, 1)).astype(np.float32)) for _ in range(2))
    pictures = pictures * torch.exp(0.1 * gain.to(pictures)) + 0.04 * lift.to(pictures)
    if generator.random() < 0.4:
        factor = float(generator.uniform(0.35, 0.9))
        size = pictures.shape[-1]
        small = functional.interpolate(pictures, scale_factor=factor, mode="bilinear", align_corners=False)
        pictures = functional.interpolate(small, (size, size), mode="bilinear", align_corners=False)
    return pictures


def _planes(pictures: Tensor, device: torch.device) -> Tensor:
    return pictures.to(device).permute(0, 3, 1, 2).float() / 255.0


def _to(window: Window, device: torch.device) -> Window:
    return Window(window.origin.to(device), window.across.to(device))


def _write_sheet(path: Path, batch: Faces, window: Window, found: Tensor) -> None:
    rows: list[NDArray[np.uint8]] = []
    down = torch.stack([-window.across[:, 1], window.across[:, 0]], -1)
    places = window.origin[:, None] + found[..., :1] * window.across[:, None] + found[..., 1:] * down[:, None]
    side = batch.pictures.shape[1]
    for picture, points in zip(batch.pictures[:16].numpy(), places[:16].numpy(), strict=True):
        canvas = np.ascontiguousarray(picture)
        for x, y in (points + 1) * (side - 1) / 2:
            cv2.circle(canvas, (round(float(x)), round(float(y))), 1, (0, 255, 0), -1)
        rows.append(canvas)
    sheet = np.concatenate([np.concatenate(rows[i : i + 4], 1) for i in range(0, len(rows), 4)])
    if not cv2.imwrite(str(path), sheet[..., ::-1]):
        raise OSError(f"cannot write {path}")
