"""What the classical reenactor makes of a pair: the network's input, and no part of its learning.

Mesh and segmentation come from the pack, so nothing is kept between pairs: making a pivot ready takes 7 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints, Landmarks
from avcall.common.residual_flow import Flow
from avcall.common.scene import STILL, SceneMotion
from avcall.models.classical import ClassicalReenactor, rounded
from avcall.models.classical_borrowed import choose, kept, mouth_pose
from avcall.models.classical_pivot import EncodedPivot, lent
from avcall.models.classical_reader import Known
from avcall.models.flow_estimator import FlowEstimator
from avcall.models.reenactment.lean import together


@dataclass(frozen=True, slots=True)
class Pivot:
    """A picture of a pack, and what the pack holds of the same frame."""

    image: Image
    """uint8 (S, S, 3)."""
    keypoints: Keypoints
    """(10, 2)."""
    landmarks: Landmarks
    """(468, 3)."""
    segmentation: NDArray[np.uint8]
    """(64, 64)."""


class Carrier:
    """Runs the classical reenactor on pictures of a pack."""

    def __init__(self) -> None:
        self._reenactor = ClassicalReenactor()

    @torch.no_grad()
    def carry(
        self,
        pivot: Pivot,
        driving: Keypoints,
        earlier: Sequence[Pivot] = (),
        scene: SceneMotion = STILL,
        frame: Image | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Picture (3, S, S) in about [0, 1] and displacement (2, S, S) in keypoint units, of a pivot driven by
        keypoints (10, 2), its scene moved, and flowing to `frame` if that is given. It may borrow a mouth of `earlier`;
        only the one whose turn it is is made ready."""
        encoded = self._encode(pivot)
        lenders = kept(earlier, lambda other: mouth_pose(other.keypoints))
        chosen = choose(mouth_pose(driving), encoded.mouth, [mouth_pose(other.keypoints) for other in lenders])
        if chosen is not None:
            encoded = lent(encoded, (self._encode(lenders[chosen[0]]),))
        moved = self._reenactor.move(encoded, driving, scene)
        if frame is not None:
            flow = settled_flow(rounded(together(moved.picture)), frame, driving)
            moved = self._reenactor.move(encoded, driving, replace(scene, flow=flow))
        return (moved.picture / 255.0).numpy(), moved.displacement.permute(2, 0, 1).contiguous().numpy()

    def _encode(self, pivot: Pivot) -> EncodedPivot:
        return self._reenactor.encode_known(pivot.image, pivot.keypoints, Known(pivot.landmarks, pivot.segmentation))


def settled_flow(shown: Image, frame: Image, driving: Keypoints) -> Flow:
    """From a driven picture to the true one, as of a frame that follows others: the first step alone is too short for
    what lies far."""
    estimator = FlowEstimator()
    estimator.follow(shown, frame, driving)
    return estimator.follow(shown, frame, driving)


def mirrored(
    picture: NDArray[np.float32], displacement: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `carry` would give for the mirrored pair, or nearly so."""
    sign = np.array([-1.0, 1.0], dtype=np.float32)[:, None, None]
    return picture[..., ::-1], displacement[..., ::-1] * sign
