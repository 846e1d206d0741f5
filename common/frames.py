"""What travels between stages: pictures, detections and sound, each with the time it was captured.

All times are milliseconds of the capturing machine's monotonic clock (`avcall.common.clock`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import STILL, SceneMotion

SAMPLE_RATE = 16_000
"""Hz; mono int16 throughout. Opus codes wideband (8 kHz of bandwidth) at the rates a call here affords."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One captured picture."""

    image: Image
    capture_ms: float


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Consecutive mono samples, int16 (n,); `capture_ms` is when the first of them was captured."""

    samples: NDArray[np.int16]
    capture_ms: float
    echo: bool = False
    """Nearly all that was heard was the other end's voice, and was taken out: what is left is not worth sending."""


@dataclass(frozen=True, slots=True)
class Pose:
    """The driving information of one frame: keypoints in the crop of the pivot with `pivot_id`.

    `face_lost` marks a held pose: the sender sees no face and repeats the last one.
    """

    capture_ms: float
    pivot_id: int
    keypoints: Keypoints
    face_lost: bool = False
    scene: SceneMotion = STILL
    """Since the pivot."""


@dataclass(frozen=True, slots=True)
class Pivot:
    """A real picture, as the receiver decodes it, with its own keypoints."""

    pivot_id: int
    capture_ms: float
    image: Image
    keypoints: Keypoints
