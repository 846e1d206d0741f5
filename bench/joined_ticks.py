"""Joins the traces of the two ends of a call: at each display tick, what was on show and what the sender had seen.

Joined by capture time, which the packets carry: a shown picture belongs to the sender's crop of the same moment.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from avcall.bench.trace_file import TracedPicture, TraceFolder
from avcall.common import wire
from avcall.common.config import DISPLAY_FPS
from avcall.common.keypoints import Image

TICK_MS = 1000.0 / DISPLAY_FPS
SAME_MS = 0.75 * TICK_MS
"""A shown picture has a counterpart if the sender saw one at most this far from its time."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One display tick: what was on show, and what the sender saw at the moment that should have been shown."""

    number: int
    original: Image | None
    shown: Image
    filled: bool
    values: dict[str, Any]
    """The trace's line of the picture on show; that of an earlier tick where nothing was shown at this one."""
    off_ms: float = math.inf
    """How far apart in time the two pictures are."""
    held: int = 0
    """Ticks for which the picture has already been on show."""


def ticks(sender: TraceFolder, receiver: TraceFolder) -> Iterator[Tick]:
    """All display ticks from the first picture shown to the last, each with its original; decodes both films once."""
    originals = _Originals(sender)
    held: TracedPicture | None = None
    number = 0
    for picture in receiver.pictures():
        if held is None:
            number = int(picture.values["tick"])
            first = number
        while held is not None and number < int(picture.values["tick"]):
            late = number - int(held.values["tick"])
            original, off_ms = originals.at(float(held.values["capture_ms"]) + late * TICK_MS)
            yield Tick(number - first, original, held.image, False, held.values, off_ms, late)
            number += 1
        held = picture
        original, off_ms = originals.at(float(picture.values["capture_ms"]))
        filled = bool(picture.values["filled"]) and original is not None and off_ms <= SAME_MS
        yield Tick(number - first, original, picture.image, filled, picture.values, off_ms)
        number += 1


class _Originals:
    """The sender's pictures by capture time, decoded as they are asked for, in rising order."""

    def __init__(self, sender: TraceFolder) -> None:
        self._pictures = sender.pictures()
        self._times = [float(line["capture_ms"]) for line in sender.of_kind("picture")]
        self._read = -1
        self._image: Image | None = None

    def at(self, capture_ms: float) -> tuple[Image | None, float]:
        """The picture captured nearest to a time (known modulo 2**32), or an older one's successor, and how far off."""
        if not self._times:
            return None, math.inf
        time_ms = self._times[0] + wire.unwrap(capture_ms - self._times[0], 0.0)  # type: ignore[arg-type]
        after = bisect.bisect_left(self._times, time_ms)
        near = min(
            (i for i in (after - 1, after) if 0 <= i < len(self._times)), key=lambda i: abs(self._times[i] - time_ms)
        )
        while self._read < near:
            picture = next(self._pictures, None)
            if picture is None:
                break
            self._read, self._image = self._read + 1, picture.image
        if self._read < 0:
            return None, math.inf
        return self._image, abs(self._times[self._read] - time_ms)


def fitted(image: Image, side: int) -> Image:
    """The square picture at `side` pixels."""
    if image.shape[0] == side:
        return image
    how = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), dtype=np.uint8)
