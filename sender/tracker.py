"""Follows the one face through the pictures with mediapipe's mesh, on as few pixels as precision allows."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Landmarks

SEARCH_SIDE = 640
"""Longest side in pixels of the picture in which a face is searched."""
WINDOW_SIDE = 448
"""Longest side in pixels of the window in which a known face is followed; the mesh looks at 192 pixels of face."""
WINDOW_FACES = 2.4
"""Side of that window, in heights of the face."""
WIDER_FACES = 4.5
"""Side of the window in which a face is looked for that has just slipped out of it."""
SMALLEST_SHARE, LARGEST_SHARE = 0.28, 0.62
"""Of the window's side that the face may take before the window is fitted anew."""
GAP_SHARE = 0.08
"""Of the window's side that must lie between the face and the window's edge."""

Window: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom lie outside."""


class Mesh(Protocol):
    """What `avcall.models.face_mesh.FaceMesh` offers."""

    def find(self, image: Image) -> Landmarks | None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


class FaceTracker:
    """Searches the picture until there is a face, then follows it in a window that moves only when the face leaves it.

    A small face in a large picture thus gets all its pixels, and a large picture costs no more than a small one.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._window: Window | None = None
        self._last_window: Window | None = None
        self._face: Window = (0, 0, 0, 0)
        self._searches = 0

    def close(self) -> None:
        self._mesh.close()

    def track(self, image: Image) -> NDArray[np.float32] | None:
        """Mesh points (468, 3) in the picture's pixels (z in the scale of x), None where there is no face."""
        height, width = image.shape[:2]
        found = None
        if self._window is not None and self._window[2] <= width and self._window[3] <= height:
            found = self._find(image, self._window, WINDOW_SIDE)
            if found is None:
                found = self._find(image, window_around(self._face, WIDER_FACES, width, height), SEARCH_SIDE)
        if found is None:
            found = self._find(image, self._next_search(width, height), SEARCH_SIDE)
        if found is None:
            self._window = None
            return None
        self._searches = 0
        left, top = np.floor(found[:, :2].min(axis=0))
        right, bottom = np.ceil(found[:, :2].max(axis=0))
        self._face = (int(left), int(top), int(right), int(bottom))
        if self._window is None or not holds(self._window, self._face, width, height):
            self._window = window_around(self._face, WINDOW_FACES, width, height)
        return found

    def _next_search(self, width: int, height: int) -> Window:
        """The whole picture every other time, as most faces are found there; the parts of it in turn between."""
        whole, *parts = search_windows(width, height)
        turn, odd = divmod(self._searches, 2)
        self._searches += 1
        return parts[turn % len(parts)] if odd and parts else whole

    def _find(self, image: Image, window: Window, limit: int) -> NDArray[np.float32] | None:
        if window != self._last_window:  # the mesh remembers where in its picture the face was
            if self._last_window is not None:
                self._mesh.reset()
            self._last_window = window
        left, top, right, bottom = window
        part = image[top:bottom, left:right]
        height, width = part.shape[:2]
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
    """Where to look for a face: the detector sees 128 pixels, too few for a small face in a large picture.

    The whole picture first, then squares of its short side, then squares of 0.6 of that.
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


def window_around(face: Window, faces: float, width: int, height: int) -> Window:
    """A square of `faces` heights of the face around it, as far as the picture goes; a small picture is taken whole."""
    if max(width, height) <= WINDOW_SIDE:
        return (0, 0, width, height)  # nothing to be gained
    left, top, right, bottom = face
    half = round(faces * max(bottom - top, right - left) / 2)
    x, y = (left + right) // 2, (top + bottom) // 2
    return (
        min(max(0, x - half), width - 1),
        min(max(0, y - half), height - 1),
        max(min(width, x + half), 1),
        max(min(height, y + half), 1),
    )


def holds(window: Window, face: Window, width: int, height: int) -> bool:
    """Whether the face is clear of the window's edges, those of the picture excepted, and fills a fair part of it."""
    left, top, right, bottom = window
    side = max(right - left, bottom - top)
    gap = GAP_SHARE * side
    inside = (
        (face[0] >= left + gap or left == 0)
        and (face[1] >= top + gap or top == 0)
        and (face[2] <= right - gap or right == width)
        and (face[3] <= bottom - gap or bottom == height)
    )
    share = (face[3] - face[1]) / side
    whole = window == (0, 0, width, height)
    return inside and (share >= SMALLEST_SHARE or side <= WINDOW_SIDE) and (share <= LARGEST_SHARE or whole)
