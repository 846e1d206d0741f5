"""Spends a budget on pivots when the picture at the other end needs one. Sans-IO.

A cheap gate looks at every frame (crop, face gone and back, keypoints far from every pivot: `SimpleSelector`'s). The
real check runs every CHECK_EVERY_MS: what the receiver makes of the pivots it has is compared with the whole frame, so
that a hand, a light or a second person counts, which keypoints cannot carry. Frames refer to the pivot that looks best
there, while the head stays near the pose that was checked; elsewhere keypoints choose. A pivot is due when what was
wrong since the last one, summed over time, times what is wrong now and was at the check before (a passing blur does not
count), exceeds a price. The price is in proportion to how long the budget has to save for what a link is expected to
take, and falls and rises with what is saved or owed.

DAC (Konuko et al., "Ultra-low bitrate video conferencing using deep image animation", 2021) compares a running mean
with a fixed threshold and keeps one reference. `avcall bench pivots` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from avcall.common.keypoints import Keypoints
from avcall.sender.pivot_budget import PivotBudget
from avcall.sender.selector import Reason, SentPivot, Sight, SimpleSelector, distance

CHECK_EVERY_MS = 195.0
"""Every fifth frame at 25 a second."""
LONGEST_STEP_S = 0.5
"""A check counts for the time since the one before, but for no more than this."""
PRICE = 0.005
"""Flaw seconds times flaw, for each second that the budget saves for a pivot; chosen on eight val/ clips."""
STEEP = 3.0
"""The price is exp(STEEP) times lower when all is saved that can be, and higher by as much when as much is owed. What
is saved beyond that is lost: even a small flaw is then worth a link."""
MOST_OWED, CAN_WAIT = -0.5, 0.0
"""Shares of the bucket below which nothing is sent but what the call cannot go on without, and nothing because of
keypoints, eyes or age alone."""
LEAST_INTERVAL_MS = 200.0
BETTER = 0.9
"""Another pivot must have this much of the flaw, or less, before frames refer to it."""
MOVED = 0.15
"""Distance, in distances between the outer eye corners, from the pose that a check saw, up to which it holds."""
LINK_SHARE = 0.17
"""Of a key frame's bytes: what a link is expected to take until some were sent, found on val clips with preset 6. How
long ago the one before was matters little."""


class AdaptiveSelector(SimpleSelector):
    """Checks decide when, a budget how often."""

    def __init__(self, budget_kbps: float, max_age_ms: float) -> None:
        super().__init__(max_age_ms, LEAST_INTERVAL_MS)
        self._budget = PivotBudget(budget_kbps)
        self._size_bytes = 0.0
        """What a link is expected to take."""
        self._checked_ms = float("-inf")
        self._turn = 0
        self._flaws = (0.0, 0.0)
        """Of the pivot in use, beyond what coding did to it: at the last check and the one before."""
        self._wrong_s = 0.0
        self._seen: set[int] = set()
        """Pivots that a check has looked at."""
        self._chosen: SentPivot | None = None
        """What the last check chose."""
        self._asked_pose: Keypoints | None = None
        self._checked_pose: Keypoints | None = None
        """Of the frame that a check is to look at, and of the one that the last has looked at."""

    def set_budget(self, kbps: float, now_ms: float) -> None:
        self._budget.set(kbps, now_ms)

    def to_check(self, sight: Sight, now_ms: float) -> list[SentPivot]:
        """The pivot in use, the newest, and the others in turn."""
        here = [pivot for pivot in self._pivots if pivot.crop == sight.crop and pivot.acknowledged]
        if not here or now_ms - self._checked_ms < CHECK_EVERY_MS:
            return []
        chosen = [pivot for pivot in here if pivot is self._current or pivot is here[-1]]
        others = [pivot for pivot in here if pivot not in chosen]
        if others:
            self._turn += 1
            chosen.append(others[self._turn % len(others)])
        self._asked_pose = sight.keypoints
        return chosen

    def checked(self, flaws: Mapping[int, float], now_ms: float) -> None:
        found = {pivot.pivot_id: pivot for pivot in self._pivots if pivot.pivot_id in flaws}
        if not found:
            return
        self._checked_pose = self._asked_pose
        self._seen = {pivot.pivot_id for pivot in self._pivots} & (self._seen | flaws.keys())
        best = min(found.values(), key=lambda pivot: flaws[pivot.pivot_id])
        current = self._current if self._current in found.values() else None
        if current is None or flaws[best.pivot_id] < BETTER * flaws[current.pivot_id]:
            self._current = current = best
        self._chosen = current
        step_s = min(LONGEST_STEP_S, (now_ms - self._checked_ms) / 1000.0)
        self._checked_ms = now_ms
        flaw = max(0.0, flaws[current.pivot_id] - self._pivots[-1].flaw)
        self._flaws = flaw, self._flaws[0]
        self._wrong_s += flaw * step_s

    def sent(self, pivot: SentPivot) -> None:
        if self._pivots:  # the first is what a call begins with
            self._budget.spend(pivot.size_bytes, pivot.sent_ms)
        if pivot.key:
            self._size_bytes = LINK_SHARE * pivot.size_bytes
        else:
            self._size_bytes += (pivot.size_bytes - self._size_bytes) / 4.0
        super().sent(pivot)
        self._flaws, self._wrong_s = (0.0, 0.0), 0.0

    def _reason(self, sight: Sight, now_ms: float) -> Reason | None:
        reason = super()._reason(sight, now_ms)
        if reason not in (None, Reason.FAR, Reason.EYES, Reason.MOUTH, Reason.AGE):
            return reason
        share = self._budget.share(now_ms)
        if share < MOST_OWED or sight.leaving:
            return None
        saving_s = self._size_bytes * 8.0 / (self._budget.kbps * 1000.0)
        if self._wrong_s * min(self._flaws) > PRICE * saving_s * math.exp(-STEEP * share):
            return Reason.LOOK
        return reason if share > CAN_WAIT else None

    def _cost(self, sight: Sight, pivot: SentPivot) -> float:
        """The last check chooses; keypoints do where it has not seen the pivot in use, or saw another pose: a busy
        machine checks once in a second or two, and heads turn back sooner."""
        current, then = self._current, self._checked_pose
        if current is None or then is None:
            return 0.0
        if current.pivot_id in self._seen and distance(sight.keypoints, then) <= MOVED:
            return float(pivot is not self._chosen)
        return distance(sight.keypoints, pivot.keypoints)
