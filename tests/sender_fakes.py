"""A face of white paint, and sources that run on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np

from avcall.common.errors import AvcallError
from avcall.common.frames import AudioChunk, VideoFrame
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.interfaces import ModelId

Face = tuple[float, float, float] | None
"""Middle x, middle y and height in pixels."""

_TEMPLATE = np.random.default_rng(3).uniform(0.05, 0.95, (468, 2))
_PLACES = {
    10: (0.5, 0.0), 152: (0.5, 1.0), 234: (0.0, 0.5), 454: (1.0, 0.5), 13: (0.5, 0.74), 14: (0.5, 0.78),
    61: (0.35, 0.76), 291: (0.65, 0.76), 1: (0.5, 0.6), 159: (0.3, 0.37), 386: (0.7, 0.37),
    33: (0.15, 0.4), 263: (0.85, 0.4),
}  # fmt: skip
for _index, _place in _PLACES.items():
    _TEMPLATE[_index] = _place


def paint(width: int, height: int, face: Face) -> Image:
    """A dark picture with the face as a white box, three quarters as wide as high."""
    image = np.full((height, width, 3), 30, dtype=np.uint8)
    if face is not None:
        x, y, high = face
        left, right = round(x - 0.375 * high), round(x + 0.375 * high)
        image[max(0, round(y - high / 2)) : round(y + high / 2), max(0, left) : right] = 230
    return image


class BlobMesh:
    """Finds the painted face, as `FaceMesh` would a real one."""

    def find(self, image: Image) -> Landmarks | None:
        rows, columns = np.nonzero(image[:, :, 0] > 128)
        if len(rows) < 20:
            return None
        box = np.array([columns.min(), rows.min()], dtype=np.float32)
        size = np.array([columns.max(), rows.max()], dtype=np.float32) - box
        whole = np.array([image.shape[1] - 1, image.shape[0] - 1], dtype=np.float32)
        points = np.zeros((468, 3), dtype=np.float32)
        points[:, :2] = (box + _TEMPLATE * size) * 2.0 / whole - 1.0
        return points

    def reset(self) -> None: ...

    def close(self) -> None: ...


class MeshPoints:
    """The detector that takes the ten mesh points as they are."""

    @property
    def model(self) -> ModelId:
        return ModelId("fake", "00000000")

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        return np.ascontiguousarray(landmarks[np.array(MESH_INDICES), :2])


class PaintedVideo:
    """25 frames a second of virtual time; `face(n)` says where the face is in frame n."""

    def __init__(
        self,
        count: int,
        face: Callable[[int], Face],
        clock: Callable[[], float],
        size: tuple[int, int] = (256, 256),
        error: AvcallError | None = None,
    ) -> None:
        self.dropped = 0
        self._count = count
        self._face = face
        self._clock = clock
        self._size = size
        self._error = error

    async def frames(self) -> AsyncIterator[VideoFrame]:
        begin_ms = self._clock()
        for number in range(self._count):
            due_ms = begin_ms + 40.0 * number
            await asyncio.sleep(max(0.0, due_ms - self._clock()) / 1000.0)
            yield VideoFrame(paint(*self._size, self._face(number)), due_ms)
        if self._error is not None:
            raise self._error


class Hum:
    """A loud hum in chunks of 20 ms, on virtual time."""

    def __init__(self, count: int, clock: Callable[[], float], error: AvcallError | None = None) -> None:
        self.dropped = 0
        self._count = count
        self._clock = clock
        self._error = error

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        begin_ms = self._clock()
        t = np.arange(320) / 16_000
        samples = (8000 * np.sin(2 * np.pi * 200 * t)).astype(np.int16)
        for number in range(self._count):
            await asyncio.sleep(max(0.0, begin_ms + 20.0 * (number + 1) - self._clock()) / 1000.0)
            yield AudioChunk(samples, begin_ms + 20.0 * number)
        if self._error is not None:
            raise self._error
