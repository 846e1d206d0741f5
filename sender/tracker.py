"""Follows the one face through the pictures with mediapipe's mesh, on as few pixels as precision allows."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Landmarks
from avcall.sender.crop import Crop

SEARCH_SIDE = 640
"""Longest side in pixels of the picture in which a face is searched."""
WINDOW_SIDE = 448
"""Side in pixels of the window in which a known face is followed; the mesh looks at 192 pixels of face."""
WINDOW_MARGIN = 0.2
"""How much further than the crop the window reaches on each side, in sides of the crop."""


Window: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom lie outside."""


class Mesh(Protocol):
    """What `avcall.models.face_mesh.FaceMesh` offers."""

    def find(self, image: Image) -> Landmarks | None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


class FaceTracker:
    """Searches the whole picture until there is a face, then follows it in a window around the crop.

    A small face in a large picture thus gets all its pixels, and a large picture costs no more than a small one.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._window: Window | None = None
        self._searches = 0

    def close(self) -> None:
        self._mesh.close()

    def track(self, image: Image, crop: Crop | None) -> NDArray[np.float32] | None:
        """Mesh points (468, 3) in the picture's pixels (z in the scale of x), None where there is no face.

        `crop`: where the face was found last, None while it is not known.
        """
        height, width = image.shape[:2]
        if crop is not None:
            found = self._find(image, window_around(crop, width, height))
            if found is not None:
                self._searches = 0
                return found
        windows = search_windows(width, height)
        window = windows[self._searches % len(windows)]
        self._searches += 1
        return self._find(image, window)

    def _find(self, image: Image, window: Window) -> NDArray[np.float32] | None:
        if window != self._window:  # the mesh remembers where in its picture the face was
            if self._window is not None:
                self._mesh.reset()
            self._window = window
        left, top, right, bottom = window
        part = image[top:bottom, left:right]
        height, width = part.shape[:2]
        limit = SEARCH_SIDE if width != height else WINDOW_SIDE
        if max(width, height) > limit:
            scale = limit / max(width, height)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        points = self._mesh.find(part)
        if points is None:
            return None
        small = np.array([part.shape[1], part.shape[0]], dtype=np.float32)
        full = np.array([width, height], dtype=np.float32)
        pixels = points.copy()
        pixels[:, :2] = ((points[:, :2] + 1.0) / 2.0 * (small - 1.0) + 0.5) * (full / small) - 0.5 + (left, top)
        pixels[:, 2] = points[:, 2] / 2.0 * (small[0] - 1.0) * (full[0] / small[0])
        return pixels


def search_windows(width: int, height: int) -> list[Window]:
    """Where to look for a face, one a frame: the detector sees 128 pixels, too few for a small face in a large picture.

    The whole picture, squares of its short side, then squares of 0.6 of that.
    """
    windows = [(0, 0, width, height)]
    short = min(width, height)
    for side, across, down in ((short, 3, 1), (round(0.6 * short), 3, 2)):
        if side >= 200:
            for row in range(down):
                for column in (1, 0, 2)[:across]:  # the middle first
                    left = (width - side) * column // 2
                    top = (height - side) * row // max(1, down - 1) if down > 1 else (height - side) // 2
                    windows.append((left, top, left + side, top + side))
    return list(dict.fromkeys(windows))


def window_around(crop: Crop, width: int, height: int) -> Window:
    """The crop with its margin, inside the picture."""
    margin = round(WINDOW_MARGIN * crop.side)
    return (
        max(0, crop.x - margin),
        max(0, crop.y - margin),
        min(width, crop.x + crop.side + margin),
        min(height, crop.y + crop.side + margin),
    )
