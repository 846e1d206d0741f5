"""Threads that yield to those that a call waits for."""

from __future__ import annotations

import os
import sys

NICENESS = 5
"""Such a thread gets a third of what one of the others gets where both want the same core."""


def yield_to_others() -> None:
    """Lets other threads go first from now on, and before those that this one starts; on Linux, where each thread has
    a priority of its own. It cannot be taken back."""
    if sys.platform == "linux":
        os.nice(NICENESS)
