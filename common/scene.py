"""What moves besides the face: the background, as the camera moves, the body below the head, and what is left.

Positions are in the keypoint convention of one crop (`avcall.common.keypoints`), taken as complex numbers x + iy.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcall.common import residual_flow
from avcall.common.residual_flow import Flow


@dataclass(frozen=True, slots=True)
class Similarity:
    """A shift, a turn and a growth of the picture: what was at p is now at factor * p + shift."""

    factor: complex = 1 + 0j
    shift: complex = 0j

    @staticmethod
    def of(x: float, y: float, growth: float, turn: float) -> Similarity:
        """Of a shift, the logarithm of a growth, and a turn in radians, the latter about the picture's centre."""
        return Similarity(cmath.rect(math.exp(growth), turn), complex(x, y))

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """What `of` takes."""
        return self.shift.real, self.shift.imag, math.log(abs(self.factor)), cmath.phase(self.factor)

    @property
    def inverse(self) -> Similarity:
        """What undoes it."""
        return Similarity(1 / self.factor, -self.shift / self.factor)

    @property
    def reach(self) -> float:
        """How far it moves what lies on the circle within the picture, at most."""
        return abs(self.factor - 1) + abs(self.shift)

    def after(self, first: Similarity) -> Similarity:
        """`first`, and then this."""
        return Similarity(self.factor * first.factor, self.factor * first.shift + self.shift)

    def displacement(self, places: NDArray[Any]) -> NDArray[Any]:
        """Where places (..., 2) go, minus where they are."""
        x, y = places[..., 0], places[..., 1]
        grown, turned = self.factor.real - 1.0, self.factor.imag
        moved = np.empty_like(places)
        moved[..., 0] = grown * x - turned * y + self.shift.real
        moved[..., 1] = turned * x + grown * y + self.shift.imag
        return moved


@dataclass(frozen=True, slots=True)
class SceneMotion:
    """How the scene has moved from a pivot to a frame."""

    background: Similarity = Similarity()
    body: Similarity = Similarity()
    """A shift alone."""
    flow: Flow = ()
    """What the keypoints and the two above leave: see `avcall.common.residual_flow`."""

    def towards(self, other: SceneMotion, fraction: float) -> SceneMotion:
        """The motion at `fraction` of the way to `other`; beyond 1 it goes on."""
        return SceneMotion(
            _between(self.background, other.background, fraction),
            _between(self.body, other.body, fraction),
            residual_flow.between(self.flow, other.flow, fraction),
        )


STILL = SceneMotion()


def _between(first: Similarity, second: Similarity, fraction: float) -> Similarity:
    factor = first.factor + fraction * (second.factor - first.factor)
    return Similarity(factor, first.shift + fraction * (second.shift - first.shift))
