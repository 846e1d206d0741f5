"""Spends a budget on pivots when the picture at the other end needs one. Sans-IO.

A cheap gate looks at every frame (crop, face gone and back, keypoints far from every pivot: `SimpleSelector`'s). The
real check runs every CHECK_EVERY_MS: the receiver's animation of the pivots it has is compared with the whole frame, so
that a hand, a light or a second person counts, which keypoints cannot carry. The worst of the last checks decides: a
pivot is sent when its gain over a fresh one exceeds a price, and the price rises as the budget is used up and falls as
it is saved up. DAC (Konuko et al., "Ultra-low bitrate video conferencing using deep image animation", 2021) compares a
running mean with a fixed threshold and keeps one reference.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from avcall.sender.pivot_budget import PivotBudget
from avcall.sender.selector import Reason, SentPivot, Sight, SimpleSelector, distance

CHECK_EVERY_MS = 230.0
"""Every sixth frame at 25 a second."""
CHECKED = 3
"""Pivots a check compares: the one in use, the newest, and the one nearest by its keypoints."""
WINDOW_MS = 500.0
"""The worst check of so long decides."""
PRICE = 0.02
"""Gain for which a pivot is worth its bytes while the budget is neither saved nor owed."""
STEEP = 2.0
"""The price is exp(STEEP) times lower when all is saved that can be."""
MOST_OWED = -0.25
"""Share of the bucket: nothing but what the call cannot go on without is sent when more is owed."""
LEAST_INTERVAL_MS = 200.0
SWITCH_FLAW = 0.1
"""Another pivot must look better by this share before frames refer to it."""
FRESH_MS = 600.0
"""So long a check's finding tells which pivot is best."""


class AdaptiveSelector(SimpleSelector):
    """Checks decide when, a budget how often."""

    def __init__(self, budget_kbps: float, max_age_ms: float) -> None:
        super().__init__(max_age_ms, LEAST_INTERVAL_MS)
        self._budget = PivotBudget(budget_kbps)
        self._checked_ms = float("-inf")
        self._lacks: deque[tuple[float, float]] = deque()
        """When, and by how much the look fell short of a fresh pivot's."""
        self._flaws: dict[int, float] = {}

    def set_budget(self, kbps: float, now_ms: float) -> None:
        """What pivots may take from now on."""
        self._budget.set(kbps, now_ms)

    def to_check(self, sight: Sight, now_ms: float) -> list[SentPivot]:
        if now_ms - self._checked_ms < CHECK_EVERY_MS or self._current is None:
            return []
        here = [pivot for pivot in self._pivots if pivot.crop == sight.crop and pivot.acknowledged]
        if not here:
            return []
        self._checked_ms = now_ms
        nearest = min(here, key=lambda pivot: distance(sight.keypoints, pivot.keypoints))
        chosen = {pivot.pivot_id: pivot for pivot in (self._current, here[-1], nearest) if pivot in here}
        return list(chosen.values())[:CHECKED]

    def checked(self, flaws: Mapping[int, float], now_ms: float) -> None:
        self._flaws = dict(flaws)
        if flaws and self._pivots:
            self._lacks.append((now_ms, min(flaws.values()) - self._pivots[-1].flaw))
        while self._lacks and now_ms - self._lacks[0][0] > WINDOW_MS:
            self._lacks.popleft()

    def sent(self, pivot: SentPivot) -> None:
        if self._pivots:  # the first is what a call begins with
            self._budget.spend(pivot.size_bytes, pivot.sent_ms)
        super().sent(pivot)
        self._lacks.clear()

    def _reason(self, sight: Sight, now_ms: float) -> Reason | None:
        share = self._budget.share(now_ms)
        reason = super()._reason(sight, now_ms)
        if reason in (None, Reason.FAR, Reason.EYES, Reason.AGE) and share < MOST_OWED:
            return None
        if reason is None and not sight.leaving and self._lacks:
            worst = max(lack for _, lack in self._lacks)
            if worst > PRICE * math.exp(-STEEP * share):
                return Reason.LOOK
        return reason
