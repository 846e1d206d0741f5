"""mediapipe's selfie segmentation behind one small class: the only module that imports it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image

SIDE = 64
"""Side in pixels of the masks that networks see."""


class Segmenter:
    """Tells person from background. Loads when it is first asked; not safe for use by two threads at once."""

    def __init__(self) -> None:
        self._segmentation: Any = None

    def segment(self, image: Image) -> NDArray[np.uint8]:
        """Probability of person times 255, uint8 (SIDE, SIDE)."""
        if self._segmentation is None:
            from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation  # loads slowly

            self._segmentation = SelfieSegmentation(model_selection=0)
        mask = self._segmentation.process(image).segmentation_mask
        small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(np.clip(small * 255.0 + 0.5, 0, 255), dtype=np.uint8)

    def close(self) -> None:
        if self._segmentation is not None:
            self._segmentation.close()
            self._segmentation = None
