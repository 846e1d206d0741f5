"""How far a long run is, on one line of a terminal, or a line a cell where there is none."""

from __future__ import annotations

import sys
from typing import TextIO

from avcall.bench.bandwidth import Progress

_WIDTH = 24


class ProgressLine:
    """To be given to `run_bandwidth`."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr

    def __call__(self, progress: Progress) -> None:
        text = progress_text(progress)
        last = progress.done == progress.total
        if self._out.isatty():
            self._out.write(f"\r\x1b[K{text}" + "\n" * last)
        else:
            self._out.write(text + "\n")
        self._out.flush()


def progress_text(progress: Progress) -> str:
    """Such as "[######..................] 12 of 48: p089_01, x265 at 6 kbit/s, 0:04:10 left"."""
    full = round(_WIDTH * progress.done / progress.total)
    left = "" if progress.left_s is None else f", {_clock(progress.left_s)} left"
    cell = f"{progress.clip}, {progress.system} at {progress.target_kbps:g} kbit/s"
    return f"[{'#' * full}{'.' * (_WIDTH - full)}] {progress.done} of {progress.total}: {cell}{left}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
