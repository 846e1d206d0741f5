"""Where coded numbers were between their steps: the smoothest that rounds to what was told.

A receiver knows a coordinate to half a step, a quarter of a pixel, and a face at rest trembles by that much. Of all
that rounds to the same steps, what has the smallest second differences is nearest to what a slow head does (Whittaker
1923, within bounds). It takes no bit, and moves nothing by more than the rounding did. What bends by more than rounding
alone would have it, a lip, a nod, is left as it was told.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

STIFFNESS = 1.0
"""Weight of the second differences against the distances to the steps."""
WITHIN = 0.49
"""Steps: what is smoothed rounds to the step that was told."""
BENDS = 2.0
"""Steps: the second difference that rounding alone can make of a straight line."""
PAST = 2
"""Rows that matter."""
Rows = NDArray[np.float64]


def smoothed(told: Rows, past: Rows) -> Rows:
    """Rows (n, numbers) of whole steps, evenly spaced in time, after `past` (any, numbers), the last of which were
    returned before; each number within WITHIN of what was told."""
    rows = np.concatenate([past[-PAST:], told])
    found = _smoother(len(told), len(rows) - len(told)) @ rows
    moves = (np.abs(np.diff(np.rint(rows), n=2, axis=0)) > BENDS).any(axis=0)
    return np.asarray(np.where(moves, told, np.clip(found, told - WITHIN, told + WITHIN)))


@cache
def _smoother(rows: int, past: int) -> Rows:
    """(rows, past + rows): from past and told rows to smoothed ones."""
    bends = np.diff(np.eye(past + rows), n=2, axis=0)
    fixed, free = bends[:, :past], bends[:, past:]
    pull = np.concatenate([-STIFFNESS * free.T @ fixed, np.eye(rows)], axis=1)
    return np.asarray(np.linalg.solve(np.eye(rows) + STIFFNESS * free.T @ free, pull))
