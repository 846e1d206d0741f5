"""The made-up ends of a call on virtual time: a face that sways, cameras, a voice, and a reenactor.

The reenactor writes the nose's x into its picture, so what is shown can be compared with what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from avcall.bench.virtual_time import VirtualTimeLoop
from avcall.common.frames import SAMPLE_RATE, AudioChunk, VideoFrame
from avcall.common.keypoints import (
    EYE_LEFT,
    EYE_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    MESH_INDICES,
    NOSE,
    Image,
    Keypoints,
    Landmarks,
)
from avcall.models.interfaces import ModelId

MODEL = ModelId("fake", "00000000")
OPEN = 0.06
"""How far the lids stand above the line of the eye corners, in distances between these."""
PORTRAIT = Path(__file__).resolve().parent / "assets" / "portrait.jpg"


class SwayingFace:
    """A mesh with open eyes whose nose sways with the number that is painted into the frame (0: nobody there)."""

    def __init__(self) -> None:
        angles = np.linspace(0, 2 * np.pi, 468)
        self._face = np.stack([0.4 * np.cos(angles), 0.5 * np.sin(angles), 0 * angles], axis=1).astype(np.float32)
        left, right = (self._face[MESH_INDICES[corner], :2] for corner in (EYE_LEFT, EYE_RIGHT))
        up = np.array([right[1] - left[1], left[0] - right[0]])
        for lid in (LID_LEFT, LID_RIGHT):
            self._face[MESH_INDICES[lid], :2] = (left + right) / 2 + OPEN * up

    def find(self, image: Image) -> Landmarks | None:
        number = int(image[0, 0, 0])
        if number == 0:
            return None
        points: Landmarks = self._face.copy()
        points[MESH_INDICES[NOSE], 0] = 0.3 * np.sin(2 * np.pi * number / 50)
        return points

    def reset(self) -> None: ...

    def close(self) -> None: ...


class TenPoints:
    """A detector that takes the mesh's own points."""

    model = MODEL

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        return np.ascontiguousarray(landmarks[list(MESH_INDICES), :2])


class NoseWriter:
    """A reenactor whose picture says where the nose is, in 16 bits."""

    model = MODEL
    device = "cpu"

    def encode(self, pivot: Image, keypoints: Keypoints) -> Image:
        return pivot

    def drive(self, encoded: object, keypoints: Keypoints) -> Image:
        assert isinstance(encoded, np.ndarray)
        image = encoded.copy()
        image[0, 0, :2] = divmod(round((float(keypoints[NOSE, 0]) + 1) * 30_000), 256)
        return image


def nose_x(image: Image) -> float:
    """What `NoseWriter` wrote."""
    return (int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])) / 30_000 - 1


@dataclass
class Camera:
    """25 frames a second; in `away` (seconds from, to) there is nobody in the picture."""

    side: ClassVar[int] = 64
    loop: VirtualTimeLoop
    seconds: float
    away: tuple[float, float] = (0.0, 0.0)
    dropped: int = 0

    async def frames(self) -> AsyncIterator[VideoFrame]:
        start_s = self.loop.time()
        for index in range(round(self.seconds * 25)):
            await asyncio.sleep(max(0.0, start_s + index / 25 - self.loop.time()))
            here = not self.away[0] <= index / 25 < self.away[1]
            image = np.full((self.side, self.side, 3), index % 200 + 1 if here else 0, dtype=np.uint8)
            yield VideoFrame(image, self.loop.now_ms())


@dataclass
class PortraitCamera(Camera):
    """A portrait, a little out of focus; its key frame takes some 2.8 kB."""

    side: ClassVar[int] = 256

    async def frames(self) -> AsyncIterator[VideoFrame]:
        portrait = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
        portrait = cv2.resize(portrait, (self.side, self.side), interpolation=cv2.INTER_AREA)
        portrait = cv2.GaussianBlur(portrait, (0, 0), 1)
        async for frame in super().frames():
            image = np.asarray(portrait, dtype=np.uint8).copy()
            image[:2, :2] = frame.image[0, 0]
            yield VideoFrame(image, frame.capture_ms)


@dataclass
class Voice:
    """A tone of a syllable's rhythm, in chunks of 20 ms."""

    loop: VirtualTimeLoop
    dropped: int = 0

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        start_s = self.loop.time()
        step = SAMPLE_RATE // 50
        for index in range(100_000):
            await asyncio.sleep(max(0.0, start_s + (index + 1) / 50 - self.loop.time()))
            time_s = (np.arange(step) + index * step) / SAMPLE_RATE
            tone = np.sin(2 * np.pi * 300 * time_s) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s))
            yield AudioChunk((8000 * tone).astype(np.int16), (start_s + index / 50) * 1000)
