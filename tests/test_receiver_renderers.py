"""The window, without one: keys, closing, and a display that is not there."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from avcall.common.errors import DeviceError
from avcall.receiver import renderers
from avcall.receiver.overlay import Badges
from avcall.receiver.renderers import ShownFrame, Window

IMAGE = np.full((64, 64, 3), (200, 100, 50), np.uint8)
FRAME = ShownFrame(IMAGE, IMAGE, 0, 0.0, Badges())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a display is always there")
@pytest.mark.parametrize("display", [None, "localhost:63999"])
def test_no_display(monkeypatch: pytest.MonkeyPatch, display: str | None) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    if display is None:
        monkeypatch.delenv("DISPLAY", raising=False)
    else:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(DeviceError, match="--no-window"):
        Window(lambda: None, lambda: None)


class Screen:
    """What of OpenCV's windows is used."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key, self.visible = -1, 1.0
        self.shown: list[np.ndarray] = []
        self.closed = 0
        monkeypatch.setattr(renderers, "_check_display", lambda: None)
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "imshow", lambda _, image: self.shown.append(image))
        monkeypatch.setattr(cv2, "pollKey", lambda: self.key)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: self.visible)
        monkeypatch.setattr(cv2, "destroyAllWindows", self._close)

    def _close(self) -> None:
        self.closed += 1


def test_keys_and_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    said: list[str] = []
    window = Window(lambda: said.append("quit"), lambda: said.append("mute"))
    window.show(FRAME)
    assert said == []
    assert tuple(screen.shown[0][32, 32]) == (50, 100, 200)  # OpenCV wants BGR
    for key, visible in ((ord("m"), 1.0), (ord("q"), 1.0), (27, 1.0), (-1, 0.0)):
        screen.key, screen.visible = key, visible
        window.show(FRAME)
    assert said == ["mute", "quit", "quit", "quit"]
    window.close()
    window.close()
    assert screen.closed == 1
