"""Finds the finest quality of an encoder whose stream fits a number of bytes.

A rate control that has seen the whole clip, which no call has: a codec's curve does not depend on how well its own one
converges within seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

CLOSE_ENOUGH = 0.93
"""Of the bytes allowed: less than a step of most encoders' quality (some 8 % of the bytes) can still be gained."""
LOG_SIZE_PER_STEP = 0.07
"""ln(bytes) falls by about this much a step of quality: the first guess, corrected by every trial."""


class QualitySearch:
    """One encoder on one input; sizes once found serve every later budget."""

    def __init__(self, size: Callable[[int], int], finest: int, coarsest: int, guess: int) -> None:
        """`size` codes at a quality in [finest, coarsest] (a larger number is worse) and returns the bytes."""
        self._size = size
        self._finest, self._coarsest, self._guess = finest, coarsest, guess
        self._known: dict[int, int] = {}

    def best(self, budget: int) -> int | None:
        """The finest quality that fits, or one within 7 % of the budget; None where not even the coarsest fits."""
        if self._at(self._coarsest) > budget:
            return None
        too_large, fits = self._finest - 1, self._coarsest
        for quality, size in self._known.items():
            if size <= budget:
                fits = min(fits, quality)
            else:
                too_large = max(too_large, quality)
        while fits - too_large > 1 and self._known[fits] < CLOSE_ENOUGH * budget:
            trial = min(max(self._aim(budget), too_large + 1), fits - 1)
            if self._at(trial) <= budget:
                fits = trial
            else:
                too_large = trial
        return fits

    def _at(self, quality: int) -> int:
        if quality not in self._known:
            self._known[quality] = self._size(quality)
        return self._known[quality]

    def _aim(self, budget: int) -> int:
        """Where the budget should be met, from the nearest sizes known."""
        if len(self._known) == 1:
            return self._guess
        near = sorted(self._known, key=lambda quality: abs(math.log(self._known[quality] / budget)))[:2]
        (a, b) = sorted(near)
        slope = (math.log(self._known[a] / self._known[b])) / (b - a)
        if not 0.02 < slope < 0.3:
            slope = LOG_SIZE_PER_STEP
        return near[0] + math.ceil(math.log(self._known[near[0]] / budget) / slope)
