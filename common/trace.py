"""Where the pipelines write what happened, frame by frame. `avcall.bench.trace_file` keeps it in a folder."""

from __future__ import annotations

from typing import Protocol

from avcall.common.keypoints import Image


class Trace(Protocol):
    """A log of events and pictures. Values are JSON scalars, lists or maps of them; times are in milliseconds."""

    def event(self, kind: str, **values: object) -> None:
        """One line of the log."""

    def picture(self, image: Image, **values: object) -> None:
        """One picture, kept without loss, and a line of the log with its values."""


class NullTrace:
    """Keeps nothing."""

    def event(self, kind: str, **values: object) -> None: ...

    def picture(self, image: Image, **values: object) -> None: ...
