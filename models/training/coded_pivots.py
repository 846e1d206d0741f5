"""Pivots as a receiver decodes them: chains of links a second apart, coded as a call codes them, so that training sees
their faults."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import AvcallError
from avcall.common.keypoints import Image
from avcall.models.pivot_video import open_chain

QUALITIES = (45, 36, 50, 40, 55)
"""crf of the chains, from what a generous budget allows to what a call begins with; each starts a fifth of a second
after the one before, so a pack holds five coded pivots a second."""


def code_chain(images: list[Image], second: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Codes every `second`-th image against the one coded before it, once for each of QUALITIES.

    Returns the decoded pictures (m, H, W, 3) and the index of the image that each of them shows, in order of index.
    """
    pictures: list[Image] = []
    index: list[int] = []
    for number, crf in enumerate(QUALITIES):
        chosen = range(number * second // len(QUALITIES), len(images), second)
        pictures += code([images[i] for i in chosen], crf)
        index += chosen
    order = np.argsort(np.array(index), kind="stable")
    return np.stack(pictures)[order], np.array(index, dtype=np.int32)[order]


def code(images: list[Image], crf: int) -> list[Image]:
    """The images as decoded from one chain at a constant rate factor."""
    if not images:
        return []
    height, width = images[0].shape[:2]
    encoder = open_chain(width, height, crf)
    decoder: Any = av.CodecContext.create("libdav1d", "r")
    decoder.thread_count = 1
    decoded: list[Image] = []

    def take(packet: object) -> None:
        decoded.extend(np.asarray(frame.to_ndarray(format="rgb24")) for frame in decoder.decode(packet))

    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = number
        for packet in encoder.encode(frame):
            take(packet)
    for packet in encoder.encode(None):
        take(packet)
    take(None)
    if len(decoded) != len(images):
        raise AvcallError(f"the AV1 coder gave {len(decoded)} pictures for {len(images)}: is PyAV's libsvtav1 intact?")
    return decoded
