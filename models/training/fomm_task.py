"""`avcall train fomm`: FOMM's own architecture on the same pairs, as a baseline.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, without Jacobians: keypoints are learned
without labels, from the pictures' reconstruction and their own equivariance. The reconstruction is judged by the losses
of our own network (L1 pyramid and LPIPS), so that the architectures are compared and not the losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avcall.common.config import flag
from avcall.models.fomm_networks import Fomm, FommConfig
from avcall.models.lpips import Lpips
from avcall.models.precision import mixed
from avcall.models.training.loop import train
from avcall.models.training.losses import pyramid
from avcall.models.training.pairs import Pack
from avcall.models.training.state import channels_last
from avcall.models.training.task import Forward
from avcall.models.training.train_config import RunConfig

EQUIVARIANCE = 10.0
BEND = 0.15
"""Deviation of the entries of the affine maps under which keypoints must move along."""
VAL_PAIRS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FommTrainConfig(RunConfig):
    """`avcall train fomm`."""

    perceptual: float = flag(3.0, "weight of LPIPS", metavar="W")


def train_fomm(config: FommTrainConfig) -> Path:
    """Trains and returns the last checkpoint's path; raises as `avcall.models.training.loop.train`."""
    return train(config, make_task)


def make_task(config: RunConfig) -> FommTask:
    assert isinstance(config, FommTrainConfig)
    return FommTask(config)


class FommTask:
    """Implements `avcall.models.training.task.Task`; both sizes are the published one."""

    kind = "fomm"
    name = "fomm"

    def __init__(self, config: FommTrainConfig, shape: FommConfig | None = None) -> None:
        """
        Raises:
            InputError: no pack.
        """
        self.shape = shape or FommConfig()
        self._perceptual = config.perceptual
        self._train, self._val = Pack(config.data, "train"), Pack(config.data, "val")
        self._lpips = Lpips("alex")
        channels_last(self._lpips)
        self._device = torch.device("cpu")

    def build(self) -> nn.Module:
        return Fomm(self.shape)

    def to(self, device: torch.device) -> None:
        self._device = device
        self._lpips.to(device)

    def draw(self, generator: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Pivots and driving frames, uint8 (N, S, S, 3)."""
        rows = [_pair(self._train, generator) for _ in range(count)]
        pivots, driving = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        return pivots, driving

    def forward(self, network: nn.Module, batch: tuple[Tensor, Tensor], generator: np.random.Generator) -> Forward:
        assert isinstance(network, Fomm)
        source, driving = (self._planes(images) for images in batch)
        made = network(source, driving).float()
        affine = torch.from_numpy(_affine(generator, len(driving))).to(self._device)
        grid = functional.affine_grid(affine, list(driving.shape), align_corners=True)
        bent = functional.grid_sample(driving, grid, padding_mode="reflection", align_corners=True)
        told, seen = network.kp_detector(driving).float(), network.kp_detector(bent).float()
        # the bent picture shows at q what the picture shows at A q + b
        back = seen @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]
        terms = {
            "pixels": pyramid(made, driving, torch.ones_like(driving[:, :1])),
            "perceptual": self._perceptual * self._lpips(made, driving).mean(),
            "equivariance": EQUIVARIANCE * (told - back).abs().mean(),
        }
        return Forward(terms, made, driving)

    @torch.inference_mode()
    def judge(self, average: nn.Module, sheet: Path) -> dict[str, Any]:
        """Mean LPIPS of what is made and of the repeated pivot, on fixed val pairs."""
        assert isinstance(average, Fomm)
        generator = np.random.default_rng(0)
        average.eval()
        scores: dict[str, list[float]] = {"lpips": [], "repeat_lpips": []}
        rows = []
        for _ in range(VAL_PAIRS):
            source, driving = (self._planes(torch.from_numpy(image[None])) for image in _pair(self._val, generator))
            with mixed(self._device):
                made = average(source, driving).float()
            for name, shown in (("lpips", made), ("repeat_lpips", source)):
                scores[name].append(float(self._lpips(shown, driving)))
            rows.append(torch.cat([source, driving, made], 3)[0])
        average.train()
        sheet_rows = (torch.cat(rows[:8], 1).permute(1, 2, 0) * 255.0 + 0.5).to(torch.uint8).cpu().numpy()
        if not cv2.imwrite(str(sheet), sheet_rows[..., ::-1]):
            raise OSError(f"cannot write {sheet}")
        return {name: round(float(np.mean(values)), 4) for name, values in scores.items()}

    def _planes(self, images: Tensor) -> Tensor:
        return images.to(self._device).permute(0, 3, 1, 2).float() / 255.0


def _pair(pack: Pack, generator: np.random.Generator) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    choice = pack.choose(generator)
    pair = np.array(choice.pivot), np.array(choice.clip.frames[choice.end])
    if generator.random() < 0.5:
        return np.ascontiguousarray(pair[0][:, ::-1]), np.ascontiguousarray(pair[1][:, ::-1])
    return pair


def _affine(generator: np.random.Generator, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Random maps (N, 2, 3) near the identity."""
    return (np.eye(2, 3) + BEND * generator.normal(size=(count, 2, 3))).astype(np.float32)
