"""Animates a portrait: the head sways and turns, the eyes blink, the mouth opens. Geometry only, no network.

All maps go backward, from a pixel of the result to a pixel of the portrait: the head's movement first, then, in the
portrait's own frame, eyelids and jaw. Sizes come from the face mesh, so any frontal portrait will do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import NoFaceError
from avcall.common.keypoints import Image, to_pixels
from avcall.models.face_mesh import FaceMesh

Field = NDArray[np.float32]
"""float32 (H, W): one number a pixel."""

Block = tuple[slice, slice]
"""Rows and columns."""

_INNER_LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_EYES = (  # upper lid, lower lid, both from the outer to the inner corner or the other way round
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
_LEFT_EYE, _RIGHT_EYE, _FOREHEAD, _CHIN = 33, 263, 10, 152
_THROAT = np.array([54, 22, 24], dtype=np.float32)
_TONGUE = np.array([120, 56, 56], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Expression:
    """What the face does in one frame."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    """In distances between the outer eye corners, right and down."""
    blink: float = 0.0
    """1 for closed eyes."""
    opening: float = 0.0
    """Of the mouth, 0 to 1."""
    spread: float = 0.0
    """-1 for rounded lips to 1 for spread ones."""


class TalkingPortrait:
    """Draws a portrait with any Expression."""

    def __init__(self, portrait: Image) -> None:
        """Raises:
        NoFaceError: there is no face in the portrait.
        """
        mesh = FaceMesh(video=False)
        try:
            found = mesh.find(portrait)
        finally:
            mesh.close()
        if found is None:
            raise NoFaceError("no face in the portrait that the sample is made from")
        height, width = portrait.shape[:2]
        self._portrait = portrait
        self._points = to_pixels(found[:, :2], width, height)
        self._y, self._x = np.mgrid[0:height, 0:width].astype(np.float32)
        self._unit = float(np.linalg.norm(self._points[_RIGHT_EYE] - self._points[_LEFT_EYE]))
        self._centre = (self._points[_FOREHEAD] + self._points[_CHIN]) / 2
        self._head, self._depth = self._head_shape()

    def draw(self, expression: Expression) -> Image:
        """The portrait with this expression, in the portrait's size."""
        x, y = self._move_head(expression)
        mouth, eyes = self._mouth_block(), self._eyes_block()
        x[mouth], y[mouth], gap, depth = self._open_mouth(x[mouth], y[mouth], expression)
        y[eyes], shade = self._close_eyes(x[eyes], y[eyes], expression.blink)
        drawn = cv2.remap(self._portrait, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        inside = _THROAT + (_TONGUE - _THROAT) * np.clip(1.6 * depth - 0.6, 0.0, 1.0)[..., None]
        drawn[mouth] += gap[..., None] * (inside - drawn[mouth])
        drawn[eyes] *= 1.0 - shade[..., None]
        return np.clip(drawn + 0.5, 0, 255).astype(np.uint8)

    def _mouth_block(self) -> Block:
        lips = self._points[list(_INNER_LOWER_LIP)]
        half = float(np.ptp(lips[:, 0])) / 2
        chin_y = float(self._points[_CHIN, 1])
        return self._block(lips[:, 0].mean(), 4.5 * half, lips[:, 1].mean() - 2.5 * half, chin_y + 0.6 * self._unit)

    def _eyes_block(self) -> Block:
        eyes = self._points[[_LEFT_EYE, _RIGHT_EYE]]
        middle_y = eyes[:, 1].mean()
        return self._block(
            eyes[:, 0].mean(), 0.7 * self._unit, middle_y - 0.4 * self._unit, middle_y + 0.3 * self._unit
        )

    def _block(self, middle_x: float, half_width: float, top: float, bottom: float) -> Block:
        """Rows and columns around a part of the face, with room for the head's movement."""
        room = 0.25 * self._unit
        height, width = self._x.shape
        rows = slice(max(0, int(top - room)), min(height, int(bottom + room)))
        return rows, slice(max(0, int(middle_x - half_width - room)), min(width, int(middle_x + half_width + room)))

    def _head_shape(self) -> tuple[Field, Field]:
        """How much of the head's movement each pixel follows, and how far it lies before the head's axis (pixels)."""
        rx, ry = 0.95 * self._unit, 1.25 * self._unit
        dx, dy = (self._x - self._centre[0]) / rx, (self._y - self._centre[1] + 0.2 * self._unit) / ry
        radius = np.hypot(dx, dy)
        head = 1.0 - _smoothstep(1.0, 2.1, radius)
        depth = rx * np.sqrt(np.clip(1.0 - (radius / 1.25) ** 2, 0.0, 1.0))
        return head, np.asarray(cv2.GaussianBlur(depth, (0, 0), 0.08 * self._unit), dtype=np.float32)

    def _move_head(self, expression: Expression) -> tuple[Field, Field]:
        """Backward map of the head's rotation and shift, fading out around the head."""
        yaw, pitch, roll = np.radians([expression.yaw_deg, expression.pitch_deg, expression.roll_deg])
        x0, y0 = self._centre + np.array([0.0, 0.9 * self._unit])  # the head turns on the neck
        rx, ry = self._x - x0, self._y - y0
        dx = self._depth * np.sin(yaw) + expression.shift[0] * self._unit - ry * np.sin(roll)
        dy = self._depth * np.sin(pitch) + expression.shift[1] * self._unit + rx * np.sin(roll)
        return self._x - self._head * dx.astype(np.float32), self._y - self._head * dy.astype(np.float32)

    def _open_mouth(self, x: Field, y: Field, expression: Expression) -> tuple[Field, Field, Field, Field]:
        """Jaw down or, below an opening of 0, lower lip up over the teeth; also where the mouth's inside is seen and
        how deep in it (0 at the teeth, 1 at the lower lip)."""
        lower = self._points[list(_INNER_LOWER_LIP)]
        upper = self._points[list(_INNER_UPPER_LIP)]
        centre_x = float(lower[:, 0].mean())
        half = float(np.ptp(lower[:, 0])) / 2
        mouth_y = float(lower[:, 1].mean())
        near = np.exp(-(((x - centre_x) / (1.6 * half)) ** 2) - ((y - mouth_y) / (1.1 * half)) ** 2)
        x = (x - 0.16 * expression.spread * near * (x - centre_x)).astype(np.float32)

        rest = float(lower[5, 1] - upper[5, 1])
        drop = 0.24 * self._unit * expression.opening - 0.85 * rest * (1.0 - expression.opening)
        chin_y = float(self._points[_CHIN, 1])
        line = np.interp(x, lower[:, 0], lower[:, 1]).astype(np.float32)
        across = (x - centre_x) / half
        inner = np.clip(1.0 - across**2, 0.0, 1.0) ** 0.8
        jaw = np.exp(-((across / 1.9) ** 2))
        moved = drop * inner
        below = y - line
        # the jaw takes the chin along; the neck below it gives way
        fade = 1.0 - _smoothstep(chin_y, chin_y + 0.55 * self._unit, y)
        follow = _smoothstep(0.0, chin_y - mouth_y, below)
        shift = (moved + (drop * jaw - moved) * follow) * fade
        under = below - moved >= 0.0
        soft = np.clip(below + 0.5, 0.0, 1.0) * np.clip(moved - below + 0.5, 0.0, 1.0)
        gap = np.where(moved > 0.3, soft, 0.0).astype(np.float32)
        depth = np.clip(below / np.maximum(moved, 1.0), 0.0, 1.0).astype(np.float32)
        return x, np.where(under, y - shift, y).astype(np.float32), gap, depth

    def _close_eyes(self, x: Field, y: Field, blink: float) -> tuple[Field, Field]:
        """Upper lids down by a share of the opening; also a shade for the lashes."""
        shade = np.zeros_like(y)
        if blink <= 0.0:
            return y, shade
        for upper_points, lower_points in _EYES:
            upper, lower = self._points[list(upper_points)], self._points[list(lower_points)]
            inside = (x >= upper[0, 0]) & (x <= upper[-1, 0])
            top = np.interp(x, upper[:, 0], upper[:, 1])
            gap = np.maximum(np.interp(x, lower[:, 0], lower[:, 1]) - top, 0.0)
            lid = top + blink * gap
            fold = 0.16 * self._unit
            stretched = top - fold + (y - top + fold) * fold / (fold + blink * gap)
            covered = inside & (y > top - fold) & (y < lid)
            lashes = np.exp(-(((y - lid) / (0.02 * self._unit)) ** 2)) * np.minimum(1.0, gap / (0.03 * self._unit))
            shade = np.where(inside, np.maximum(shade, 0.5 * blink * lashes), shade)
            y = np.where(covered, np.minimum(stretched, top - 1.0), y)
        soft = cv2.GaussianBlur(shade.astype(np.float32), (0, 0), 0.7)
        return y.astype(np.float32), np.asarray(soft, dtype=np.float32)


def _smoothstep(low: float, high: float, value: Field) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)
