"""Shuts the lids' keypoints where the eyes in the picture dip: the mesh shows shut lids half open.

How far eyes are open is told from what is usual for them (the upper quartile of the last seconds), so that narrow eyes,
glances and the mesh's bias do not count. The receiver sees a few keypoints and a pivot of another moment, and can tell
neither; so it is done here, where the whole mesh is at hand. A blink lasts two or three frames and no part may be lost.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from avcall.common.keypoints import LID_LEFT, LID_RIGHT, Keypoints, Landmarks
from avcall.models.classical_shapes import LOWER_LIDS
from avcall.models.metrics_face import eye_aspect_ratio

USUAL_FRAMES = 100
"""Frames whose upper quartile is how far the eyes are usually open: four seconds of a call."""
BEGINS, SHUT = 0.86, 0.74
"""Of that, the opening below which lids begin to shut, and the one at which they are shut."""
FOLLOW = 0.8
"""How far towards the lower lids they go: the best of 0.3, 0.5 and 0.8 that were tried on the val clips."""

CONSTANTS = (USUAL_FRAMES, BEGINS, SHUT, FOLLOW)

_BELOW = {LID_LEFT: LOWER_LIDS[0][4], LID_RIGHT: LOWER_LIDS[1][4]}
"""Mesh points below the lids' keypoints."""


class ShutLids:
    """Sees the frames of one call in their order."""

    def __init__(self) -> None:
        self._openings: deque[float] = deque(maxlen=USUAL_FRAMES)

    def shut(self, points: Keypoints, landmarks: Landmarks) -> Keypoints:
        """The points (10, 2) with the lids as far down as the mesh (468, 3) of the same picture tells."""
        opening = float(eye_aspect_ratio(landmarks[None])[0])
        if not np.isfinite(opening):
            return points
        self._openings.append(opening)
        usual = float(np.quantile(self._openings, 0.75))
        share = np.clip((BEGINS * usual - opening) / max((BEGINS - SHUT) * usual, 1e-6), 0.0, 1.0)
        if share == 0.0:
            return points
        share = FOLLOW * share * share * (3.0 - 2.0 * share)
        shut = points.copy()
        for lid, lower in _BELOW.items():
            shut[lid] += np.float32(share) * (landmarks[lower, :2] - shut[lid])
        return shut
