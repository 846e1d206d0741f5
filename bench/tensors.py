"""Pictures as the measuring networks take them."""

from __future__ import annotations

import numpy as np
import torch

from avcall.common.keypoints import Image


def tensor(image: Image) -> torch.Tensor:
    """float (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
