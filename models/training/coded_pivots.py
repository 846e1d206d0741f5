"""Pivots as a receiver decodes them: chains of links a second apart, coded as a call codes them, so that training sees
their faults."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image
from avcall.models.pivot_video import code_chain

QUALITIES = (45, 36, 50, 40, 55)
"""crf of the chains, from what a generous budget allows to what a call begins with; each starts a fifth of a second
after the one before, so a pack holds five coded pivots a second."""


def code_chains(images: list[Image], second: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Codes every `second`-th image against the one coded before it, once for each of QUALITIES.

    Returns the decoded pictures (m, H, W, 3) and the index of the image that each of them shows, in order of index.
    """
    pictures: list[Image] = []
    index: list[int] = []
    for number, crf in enumerate(QUALITIES):
        chosen = range(number * second // len(QUALITIES), len(images), second)
        pictures += code_chain([images[i] for i in chosen], crf)[0]
        index += chosen
    order = np.argsort(np.array(index), kind="stable")
    return np.stack(pictures)[order], np.array(index, dtype=np.int32)[order]
