"""Random deformations of pictures with exact points: an affine map and a thin-plate spline, as in FOMM.

A deformation is given backwards: where in the source a place of the deformed picture comes from. Points go the other
way by fixed-point iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_AXIS = np.linspace(-1.0, 1.0, 5)
CONTROLS = np.stack(np.meshgrid(_AXIS, _AXIS), -1).reshape(-1, 2)
"""Where the spline is pulled, in keypoint units."""
BEND = 0.005
"""Deviation of the spline's weights."""
_ITERATIONS = 8


@dataclass(frozen=True, slots=True)
class Deformation:
    """Of N pictures: back(x) = x A^T + b + sum of w_k |x - c_k|^2 log |x - c_k|; `turn` A (N, 2, 2), `shift` b (N, 2),
    `weights` w (N, 25, 2); `mirrored` (N,) says which pictures show the source mirrored."""

    turn: Tensor
    shift: Tensor
    weights: Tensor
    mirrored: NDArray[np.bool_]

    @classmethod
    def draw(cls, generator: np.random.Generator, count: int) -> Deformation:
        """Two deformations for each of `count` sources, mirrored both or neither: first one of each, then the other."""
        rows = 2 * count
        angle, scale = generator.normal(scale=0.12, size=rows), np.exp(generator.normal(scale=0.12, size=rows))
        stretch = np.exp(generator.normal(scale=0.05, size=(rows, 2)))
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], 1)
        turn = turn * scale[:, None, None] * stretch[:, None, :]
        shift = generator.normal(scale=0.08, size=(rows, 2))
        weights = generator.normal(scale=BEND, size=(rows, len(CONTROLS), 2))
        mirrored = np.tile(generator.random(count) < 0.5, 2)
        sign = np.where(mirrored[:, None], [-1.0, 1.0], [1.0, 1.0])
        turn, shift, weights = turn * sign[:, :, None], shift * sign, weights * sign[:, None, :]
        return cls(_tensor(turn), _tensor(shift), _tensor(weights), mirrored)

    @classmethod
    def none(cls, count: int) -> Deformation:
        """Leaves `count` pictures as they are."""
        turn, weights = torch.eye(2).expand(count, 2, 2), torch.zeros(count, len(CONTROLS), 2)
        return cls(turn, torch.zeros(count, 2), weights, np.zeros(count, dtype=bool))

    def back(self, places: Tensor) -> Tensor:
        """Where in the source places (N, P, 2) of the deformed pictures come from."""
        turned: Tensor = places @ self.turn.transpose(1, 2)
        return turned + self.shift[:, None] + self._bent(places)

    def forth(self, places: Tensor) -> Tensor:
        """Where places (N, P, 2) of the source go; the inverse of `back`."""
        inverse, aim = torch.linalg.inv(self.turn).transpose(1, 2), places - self.shift[:, None]
        found: Tensor = aim @ inverse
        for _ in range(_ITERATIONS):
            found = (aim - self._bent(found)) @ inverse
        return found

    def _bent(self, places: Tensor) -> Tensor:
        squared = (places[:, :, None] - _tensor(CONTROLS)).square().sum(-1)
        bent: Tensor = (0.5 * squared * torch.log(squared + 1e-9)) @ self.weights
        return bent


def _tensor(values: NDArray[np.floating[Any]]) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
