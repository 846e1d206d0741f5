"""Draws every picture at once by a warp, and lets the network look at as many of them as the machine has time for.

What the network adds (a residual) comes a picture or more later and is carried along from picture to picture, so that
it may take longer than a picture may (docs/frame-budget.md). What that is worth: `lite_carried` in
results/evaluation.md. The pace says how often it looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ClassVar, Literal, Protocol

from avcall.common.clock import Clock
from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import STILL, SceneMotion
from avcall.common.stats import Stats
from avcall.models.interfaces import Detailed, Encoded, LateReenactor
from avcall.receiver.budget import PERIOD_MS

LEAST_SHARE = 0.1
"""Of a core: however busy the machine is, the network works for so much of the time."""
_KEPT = 4
"""Residuals of so many pivots are kept: one that returns starts with what it had."""


class Pace(Protocol):
    """When the network looks at another picture."""

    def due(self) -> bool:
        """Asked once a picture while the network rests."""

    def took(self, start_ms: float, end_ms: float) -> None:
        """The network looked at one."""


class SparePace:
    """The network works for as much of the time as it may (`FrameBudget.spare`)."""

    def __init__(self, spare: Callable[[], float], clock: Clock) -> None:
        """`spare` is the share of the time for which the network may work at present."""
        self._spare, self._clock = spare, clock
        self._last = (float("-inf"), 0.0)

    def due(self) -> bool:
        """See `Pace`. The nearest tick is taken, be it a little early."""
        start_ms, took_ms = self._last
        share = max(LEAST_SHARE, self._spare())
        return self._clock() + PERIOD_MS / 2 >= start_ms + took_ms / share

    def took(self, start_ms: float, end_ms: float) -> None:
        """See `Pace`."""
        self._last = (start_ms, end_ms - start_ms)


class WarpDrive:
    """Draws by the warp alone. Implements `MovesScene` and `DetailedReenactor`."""

    moves_scene: ClassVar[Literal[True]] = True

    def __init__(self, reenactor: LateReenactor) -> None:
        self._reenactor = reenactor

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        return self._reenactor.finish(encoded, self._reenactor.warp(encoded, keypoints, scene), None)

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Detailed | None:
        """As `DetailedReenactor` has it."""
        if not self._reenactor.details(encoded):
            return None
        return self._reenactor.finish_detailed(encoded, self._reenactor.warp(encoded, keypoints, scene), None)


class LateDrive:
    """Draws by the warp and the network's last residual. Implements `MovesScene` and `DetailedReenactor`."""

    moves_scene: ClassVar[Literal[True]] = True

    def __init__(self, reenactor: LateReenactor, executor: Executor, pace: Pace, clock: Clock, stats: Stats) -> None:
        """The network works in `executor`, one picture at a time."""
        self._reenactor, self._executor, self._pace = reenactor, executor, pace
        self._clock, self._stats = clock, stats
        self._working: Future[None] | None = None
        self._pose: Keypoints | None = None
        self._shown: tuple[Encoded | None, Any] = (None, None)
        """The pivot and the residual of the last picture that had one."""
        self._keeping = threading.Lock()
        self._residuals: list[tuple[Encoded, Any]] = []
        """By encoded pivot, the latest one last. Replaced as a whole, for other threads' sake."""

    def prepare(self, encoded: Encoded) -> None:
        """Has the network look at the latest pose by a pivot that is not shown yet, so that its first picture has a
        residual too; in the thread that encoded it.

        Raises:
            Exception: what the network raised.
        """
        pose = self._pose
        if pose is not None:
            self._keep(encoded, self._reenactor.residual(encoded, self._reenactor.warp(encoded, pose), pose))

    def replace(self, encoded: Encoded, after: Encoded) -> None:
        """The same pivot is known by another encoding from now on: it keeps its residual."""
        with self._keeping:
            self._residuals = [(after if pivot is encoded else pivot, late) for pivot, late in self._residuals]
        pivot, shown = self._shown
        if pivot is encoded:
            self._shown = (after, shown)

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size.

        Raises:
            Exception: what the network raised when it last looked.
        """
        warped = self._reenactor.warp(encoded, keypoints, scene)
        made = self._reenactor.finish(encoded, warped, self._carried(encoded, warped))
        self._look(encoded, warped, keypoints)
        return made

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Detailed | None:
        """As `DetailedReenactor` has it.

        Raises:
            Exception: as `drive`.
        """
        if not self._reenactor.details(encoded):
            return None
        warped = self._reenactor.warp(encoded, keypoints, scene)
        made = self._reenactor.finish_detailed(encoded, warped, self._carried(encoded, warped))
        self._look(encoded, warped, keypoints)
        return made

    def _carried(self, encoded: Encoded, warped: Any) -> Any:
        """The residual that this picture shows; None while there is none of its pivot."""
        late = self._residual(encoded)
        if late is None:
            return None
        pivot, before = self._shown
        here = self._reenactor.carry(encoded, warped, late, before if pivot is encoded else None)
        self._shown = (encoded, here)
        self._stats.count("pictures_carried")
        return here

    def _residual(self, encoded: Encoded) -> Any:
        return next((late for pivot, late in self._residuals if pivot is encoded), None)

    def _look(self, encoded: Encoded, warped: Any, keypoints: Keypoints) -> None:
        """Has the network look at this picture where it has time, or has never seen this pivot."""
        self._pose = keypoints
        if self._working is not None:
            if not self._working.done():
                return
            last, self._working = self._working, None
            last.result()
        if self._residual(encoded) is None or self._pace.due():
            self._working = self._executor.submit(self._make, encoded, warped, keypoints)

    def _make(self, encoded: Encoded, warped: Any, keypoints: Keypoints) -> None:
        """In the executor."""
        start_ms = self._clock()
        late = self._reenactor.residual(encoded, warped, keypoints)
        self._keep(encoded, late)
        end_ms = self._clock()
        self._pace.took(start_ms, end_ms)
        self._stats.add_stage("residual", end_ms - start_ms)

    def _keep(self, encoded: Encoded, late: Any) -> None:
        with self._keeping:
            self._stats.count("residuals")
            others = [(pivot, kept) for pivot, kept in self._residuals if pivot is not encoded]
            self._residuals = [*others[1 - _KEPT :], (encoded, late)]
