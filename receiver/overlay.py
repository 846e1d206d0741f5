"""The marks over the displayed picture: figures, that it is synthesised, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avcall.common.keypoints import Image

_WHITE, _AMBER = (255, 255, 255), (255, 196, 64)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Badges:
    """What the overlay says. `kbps` counts everything at the socket, both directions."""

    fps: float = 0.0
    kbps: float = 0.0
    pivot_age_s: float = 0.0
    held: bool = False
    face_lost: bool = False
    voice_muted: bool = False
    video_muted: bool = False
    sound_off: bool = False
    stages: tuple[str, ...] = ()
    """Networks that make the picture at present, as the frame budget allows."""

    def warnings(self) -> list[str]:
        """Lines that the viewer must not overlook, the most important first."""
        lines = []
        if self.video_muted:
            lines.append("camera off at the other end")
        elif self.face_lost:
            lines.append("face lost: last pose held")
        elif self.held:
            lines.append("waiting for the network: picture held")
        if self.voice_muted:
            lines.append("peer muted")
        if self.sound_off:
            lines.append("sound off here (m)")
        return lines


def draw_overlay(image: Image, badges: Badges) -> Image:
    """A copy of `image` with the marks."""
    marked = image.copy()
    scale = max(0.35, image.shape[0] / 1024)
    line = round(46 * scale)
    figures = f"{badges.fps:.0f} fps  {badges.kbps:.0f} kbit/s  pivot {badges.pivot_age_s:.0f} s"
    if badges.stages:
        figures += "  " + " + ".join(badges.stages)
    _label(marked, figures, (0, image.shape[0]), scale, _WHITE, above=True)
    _label(marked, "synthesised", (image.shape[1], 0), scale, _WHITE, right=True)
    for i, warning in enumerate(badges.warnings()):
        _label(marked, warning, (0, i * line), scale, _AMBER)
    return marked


def _label(
    image: Image,
    text: str,
    corner: tuple[int, int],
    scale: float,
    colour: tuple[int, int, int],
    *,
    above: bool = False,
    right: bool = False,
) -> None:
    """White or amber text on a darkened box, so that it reads on any picture."""
    thickness = max(1, round(1.6 * scale))
    (width, height), below = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = round(8 * scale)
    box_width, box_height = width + 2 * pad, height + below + 2 * pad
    left = corner[0] - box_width if right else corner[0]
    top = corner[1] - box_height if above else corner[1]
    left, top = max(0, left), max(0, top)
    box = image[top : top + box_height, left : left + box_width]
    box[:] = (box.astype(np.uint16) * 2 // 5).astype(np.uint8)
    cv2.putText(image, text, (left + pad, top + pad + height), _FONT, scale, colour, thickness, cv2.LINE_AA)
