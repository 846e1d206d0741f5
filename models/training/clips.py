"""Reads videos at 25 frames a second and finds the stretches in which one face stays inside one fixed square."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from avcall.common.errors import InputError
from avcall.common.keypoints import Image, to_pixels
from avcall.models.face_mesh import FaceMesh

LOOK_EVERY = 5
"""Frames between two looks for the face."""
FACE_SHARE = 0.5
"""Share of the crop's side that the face (chin to forehead, all its movement included) may fill."""
MAX_SIDE_GROWTH = 1.8
"""A stretch is cut where the square that holds all of the face's movement is this many times the face itself."""
MIN_SECONDS = 2.0
MAX_SIDE = 1080
"""Larger videos are reduced as they are read: a face needs no more."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames [start, end) of a video, in one square crop that may reach past the picture's edge."""

    start: int
    end: int
    left: int
    top: int
    side: int

    def cut(self, image: Image, resolution: int) -> Image:
        """The crop at `resolution`; beyond the picture its edge is repeated."""
        height, width = image.shape[:2]
        right, bottom = self.left + self.side, self.top + self.side
        inner = image[max(0, self.top) : bottom, max(0, self.left) : right]
        around = (max(0, -self.top), max(0, bottom - height), max(0, -self.left), max(0, right - width))
        if any(around):
            inner = np.asarray(cv2.copyMakeBorder(inner, *around, cv2.BORDER_REPLICATE), dtype=np.uint8)
        if self.side == resolution:
            return np.ascontiguousarray(inner)
        how = cv2.INTER_AREA if self.side > resolution else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(inner, (resolution, resolution), interpolation=how), dtype=np.uint8)


def read_frames(path: Path, fps: float) -> list[Image]:
    """All frames of a video on a grid of `fps`, repeating or dropping frames where its own rate differs.

    Raises:
        InputError: the file cannot be decoded or holds no picture.
    """
    frames: list[Image] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: no video stream")
            first: float | None = None
            for frame in container.decode(video=0):
                first = frame.time or 0.0 if first is None else first
                due = round(((frame.time or 0.0) - first) * fps) + 1  # how many frames there must be by now
                if len(frames) >= due:
                    continue
                largest = max(frame.width, frame.height)
                if largest > MAX_SIDE:
                    scale = MAX_SIDE / largest
                    width, height = round(frame.width * scale), round(frame.height * scale)
                    image = frame.to_ndarray(format="rgb24", width=width, height=height)
                else:
                    image = frame.to_ndarray(format="rgb24")
                frames += [np.asarray(image)] * (due - len(frames))
    except av.FFmpegError as error:
        raise InputError(f"{path}: cannot be decoded ({error.strerror})") from error
    if not frames:
        raise InputError(f"{path}: no frames")
    return frames


def face_crops(frames: list[Image], fps: float) -> list[Clip]:
    """Stretches of at least MIN_SECONDS with one fixed crop each, in order of time."""
    mesh = FaceMesh(video=False)
    boxes: list[tuple[float, float, float, float] | None] = []
    for image in frames[::LOOK_EVERY]:
        points = mesh.find(image)
        if points is None:
            boxes.append(None)
            continue
        pixels = to_pixels(points[:, :2], image.shape[1], image.shape[0])
        (x0, y0), (x1, y1) = pixels.min(axis=0), pixels.max(axis=0)
        boxes.append((float(x0), float(y0), float(x1), float(y1)))
    mesh.close()
    clips: list[Clip] = []
    run: list[tuple[float, float, float, float]] = []
    start = 0
    for number, box in enumerate([*boxes, None]):
        if box is not None and _joins(run, box):
            run.append(box)
            continue
        end = min(number * LOOK_EVERY, len(frames))
        if run and end - start >= MIN_SECONDS * fps:
            clips.append(_square(run, start, end))
        run, start = ([box] if box else []), number * LOOK_EVERY + (0 if box else LOOK_EVERY)
    return clips


def _joins(run: list[tuple[float, float, float, float]], box: tuple[float, float, float, float]) -> bool:
    """Whether a face box continues a stretch: no jump, and still within one crop."""
    if not run:
        return True
    last, size = run[-1], box[3] - box[1]
    jump = max(abs(box[0] + box[2] - last[0] - last[2]), abs(box[1] + box[3] - last[1] - last[3])) / 2
    if jump > size / 2 or not 0.7 < size / (last[3] - last[1]) < 1.4:
        return False
    edges = np.array([*run, box])
    spread = max(edges[:, 2].max() - edges[:, 0].min(), edges[:, 3].max() - edges[:, 1].min())
    smallest = float(np.min(edges[:, 3] - edges[:, 1]))
    return bool(spread < MAX_SIDE_GROWTH * smallest)


def _square(run: list[tuple[float, float, float, float]], start: int, end: int) -> Clip:
    edges = np.array(run)
    x0, y0, x1, y1 = edges[:, 0].min(), edges[:, 1].min(), edges[:, 2].max(), edges[:, 3].max()
    side = round(max(x1 - x0, y1 - y0) / FACE_SHARE)
    return Clip(start, end, round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), side)
