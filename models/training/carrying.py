"""What the classical reenactor makes of a pair: the network's input, and no part of its learning.

Mesh and segmentation come from the pack, so nothing is kept between pairs: making a pivot ready takes 7 ms.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints, Landmarks
from avcall.models.classical import ClassicalReenactor


class Carrier:
    """Runs the classical reenactor on pictures of a pack."""

    def __init__(self) -> None:
        self._reenactor = ClassicalReenactor()

    @torch.no_grad()
    def carry(
        self,
        pivot: Image,
        keypoints: Keypoints,
        landmarks: Landmarks,
        segmentation: NDArray[np.uint8],
        driving: Keypoints,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Picture (3, S, S) in about [0, 1] and displacement (2, S, S) in keypoint units, of a pivot uint8 (S, S, 3)
        with its keypoints (10, 2), mesh (468, 3) and segmentation (64, 64), driven by keypoints (10, 2)."""
        encoded = self._reenactor.encode_known(pivot, keypoints, landmarks, segmentation)
        moved = self._reenactor.move(encoded, driving)
        return (moved.picture / 255.0).numpy(), moved.displacement.permute(2, 0, 1).contiguous().numpy()


def mirrored(
    picture: NDArray[np.float32], displacement: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `carry` would give for the mirrored pair, or nearly so."""
    sign = np.array([-1.0, 1.0], dtype=np.float32)[:, None, None]
    return picture[..., ::-1], displacement[..., ::-1] * sign
