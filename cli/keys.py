"""Letters typed into the terminal during a call, each followed by Enter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO


@contextlib.contextmanager
def terminal_keys(actions: Mapping[str, Callable[[], None]], stdin: TextIO | None = None) -> Iterator[bool]:
    """While inside, a typed line that is a key of `actions` runs its action on the event loop; other lines do nothing.
    Gives whether anyone can type: not where the input is no terminal, or this runs in the background."""
    stdin = stdin or sys.stdin
    if not _is_typed(stdin):
        yield False
        return
    loop = asyncio.get_running_loop()
    number = stdin.fileno()

    def read() -> None:
        line = os.read(number, 256)
        if not line:  # the terminal is gone
            loop.remove_reader(number)
        for word in line.decode("utf-8", "replace").split():
            actions.get(word.lower(), _nothing)()

    loop.add_reader(number, read)
    try:
        yield True
    finally:
        loop.remove_reader(number)


def _is_typed(stdin: TextIO | None) -> bool:
    try:
        return stdin is not None and stdin.isatty() and os.tcgetpgrp(stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # closed, or no terminal of this process
        return False


def _nothing() -> None:
    """For lines that mean nothing."""
