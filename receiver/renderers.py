"""What a picture and the sound go to: a window, a file (`avcall.receiver.recorder`), or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from avcall.common.errors import DeviceError
from avcall.common.keypoints import Image
from avcall.receiver.opus_decoder import Samples
from avcall.receiver.overlay import Badges, draw_overlay


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """What one display tick shows."""

    image: Image
    """As the reenactor made it."""
    display: Image
    """Enlarged and enhanced, without marks."""
    tick: int
    """Counts display ticks from the first picture; ticks may be missed."""
    due_ms: float
    """The moment this picture was made for."""
    badges: Badges


class Renderer(Protocol):
    """Called on the event loop; must not block."""

    def show(self, frame: ShownFrame) -> None:
        """The picture of a display tick."""

    def hear(self, samples: Samples, heard_ms: float) -> None:
        """Sound (int16 mono at SAMPLE_RATE) that is heard from `heard_ms` on."""

    def close(self) -> None:
        """Finishes; may be called twice."""


class Window:
    """The call in a window: q or Esc or closing it ends the call, m switches the sound off and on.

    Raises:
        DeviceError: there is no display.
    """

    def __init__(self, on_quit: Callable[[], None], on_mute: Callable[[], None], title: str = "avcall") -> None:
        _check_display()
        self._title = title
        self._on_quit, self._on_mute = on_quit, on_mute
        self._opened = False

    def show(self, frame: ShownFrame) -> None:
        marked = _marked(frame)
        if not self._opened:
            cv2.namedWindow(self._title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
            self._opened = True
        cv2.imshow(self._title, marked)
        key = cv2.pollKey()
        if key in (ord("q"), 27) or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            self._on_quit()
        elif key == ord("m"):
            self._on_mute()

    def hear(self, samples: Samples, heard_ms: float) -> None: ...

    def close(self) -> None:
        if self._opened:
            self._opened = False
            cv2.destroyAllWindows()
            cv2.pollKey()


class Offscreen:
    """All of a window but the display: where nobody looks and nothing is recorded, a call takes the work that it would
    take in a window, so that benches measure that."""

    def show(self, frame: ShownFrame) -> None:
        _marked(frame)

    def hear(self, samples: Samples, heard_ms: float) -> None: ...

    def close(self) -> None: ...


def _marked(frame: ShownFrame) -> Image:
    """As OpenCV shows it: BGR."""
    marked = draw_overlay(frame.display, frame.badges)
    return np.asarray(cv2.cvtColor(marked, cv2.COLOR_RGB2BGR, dst=marked), dtype=np.uint8)


def _check_display() -> None:
    """Opens a window in a process of its own: Qt does not report a missing display, it aborts."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise DeviceError("there is no display (DISPLAY is not set): give --no-window")
    probe = "import cv2; cv2.namedWindow('avcall'); cv2.destroyAllWindows()"
    try:
        subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, timeout=20)
    except (subprocess.SubprocessError, OSError) as error:
        raise DeviceError("the display cannot be opened: give --no-window") from error
