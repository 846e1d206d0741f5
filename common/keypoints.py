"""The ten keypoints of a frame and the one coordinate convention.

Keypoints are float32 (K, 2), last axis (x, y), x right, y down; -1 and 1 are the *centres* of the corner pixels
(`align_corners=True` of torch's `grid_sample`). Networks and the wire use these; pixels appear only at the edges.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Keypoints: TypeAlias = NDArray[np.float32]
"""float32 (K, 2) in [-1, 1], see the module docstring."""

Landmarks: TypeAlias = NDArray[np.float32]
"""float32 (468, 3): mediapipe's face mesh, x and y in the keypoint convention of the image, z in the scale of x."""

Image: TypeAlias = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""

COUNT = 10

MESH_INDICES = (13, 14, 61, 291, 152, 1, 159, 386, 33, 263)
"""The mesh points that anchor the ten keypoints, in wire order: inner upper lip, inner lower lip, mouth corners (the
image's left, right), chin, nose tip, upper lids (left, right), outer eye corners (left, right)."""

UPPER_LIP, LOWER_LIP, MOUTH_LEFT, MOUTH_RIGHT, CHIN, NOSE, LID_LEFT, LID_RIGHT, EYE_LEFT, EYE_RIGHT = range(COUNT)


def from_pixels(points: NDArray[np.floating[Any]], width: int, height: int) -> NDArray[np.float32]:
    """Pixel coordinates (..., 2), pixel centres at whole numbers, to the keypoint convention."""
    scale = np.array([2.0 / (width - 1), 2.0 / (height - 1)])
    return np.asarray(np.asarray(points, dtype=np.float64) * scale - 1.0, dtype=np.float32)


def to_pixels(points: NDArray[np.floating[Any]], width: int, height: int) -> NDArray[np.float32]:
    """The inverse of `from_pixels`."""
    scale = np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    return np.asarray((np.asarray(points, dtype=np.float64) + 1.0) * scale, dtype=np.float32)
