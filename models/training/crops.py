"""Where to cut the squares that enhancement learns from, and pictures as networks want them."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from avcall.common.keypoints import Keypoints

FACE_SHARE = 0.7
"""Share of crops that lie on eyes or mouth; the others lie anywhere."""


def crop_corner(points: Keypoints, side: int, crop: int, generator: np.random.Generator) -> tuple[int, int]:
    """Left and top of a square of `crop` pixels in a picture of `side` pixels whose keypoints are `points`."""
    top, left = generator.integers(0, side - crop + 1, 2)
    if generator.random() < FACE_SHARE:
        x, y = (generator.choice(points[:4] if generator.random() < 0.5 else points[6:]) + 1) / 2 * side
        corner = np.array([x, y]) - crop / 2 + generator.uniform(-crop / 4, crop / 4, 2)
        left, top = np.clip(np.round(corner), 0, side - crop).astype(int)
    return int(left), int(top)


def planes(pictures: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W) in [0, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 255.0
