"""From a pose to a picture: picks the pivot, cross-fades where the pivot changes, survives a network that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avcall.common.frames import Pose
from avcall.common.keypoints import Image, Keypoints
from avcall.common.stats import Stats
from avcall.models.interfaces import Detailed, DetailedReenactor, Encoded, Reenactor
from avcall.receiver.inbetween import Inbetween
from avcall.receiver.jitter_buffer import Between
from avcall.receiver.pivots import PivotCache, ReadyPivot

FADE_TICKS = 3
FADE_AFFORDABLE_MS = 14.0
"""During a cross-fade two pivots are driven a tick; a slower reenactor cuts instead of missing ticks."""
SAME_CROP = 0.08
"""Mean step of the keypoints, in [-1, 1] units, up to which a new pivot is taken to show the old one's crop: in a new
crop all of them move or scale at once."""
_STILL = 1e-3
"""An eighth of a pixel at 256x256."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drawing:
    """One picture to be made."""

    pose: Pose
    ready: ReadyPivot
    fading: ReadyPivot | None = None
    share: float = 1.0
    """Of the new pivot, while `fading` is leaving."""
    between: Between | None = None
    """Where `pose` was not sent: the poses around it."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """`fresh` is False where the reenactor failed and the last picture stands in. `reference` is the large pivot's own
    moved pixels, where the pivot is larger than the reenactor's working side."""

    image: Image
    fresh: bool
    reference: Image | None = None


class Animator:
    """`plan` runs on the event loop, `draw` in the executor."""

    def __init__(
        self,
        reenactor: Reenactor,
        cache: PivotCache,
        stats: Stats,
        inbetween: Inbetween | None = None,
        coming: Callable[[int], bool] = lambda pivot_id: False,
    ) -> None:
        """Without `inbetween` every pose is driven, also those that were not sent. While a pivot is `coming` (it has
        arrived, and is made ready) the one before stands in for it."""
        self._reenactor = reenactor
        self._coming = coming
        self._inbetween = inbetween
        self._cache = cache
        self._stats = stats
        self._pose: Pose | None = None
        self._ready: ReadyPivot | None = None
        """What `_pose` was driven from."""
        self._fading: ReadyPivot | None = None
        self._fade_tick = 0
        self._last: Detailed | Image | None = None
        self._drawn: Drawing | None = None

    def plan(self, pose: Pose, drive_ms: float, between: Between | None = None) -> Drawing | None:
        """What to draw for `pose`; None while no pivot for it is here. `drive_ms` is what a drive takes at present."""
        same_crop = self._pose is not None and (
            float(np.linalg.norm(pose.keypoints - self._pose.keypoints, axis=1).mean()) <= SAME_CROP
        )
        ready = self._cache.get(pose.pivot_id)
        if ready is None and same_crop and self._coming(pose.pivot_id):
            ready = self._ready
            self._stats.count("pictures_by_earlier_pivot")
        if ready is None:
            return None
        before, self._pose, self._ready = self._ready, pose, ready
        if before is not None and before is not ready:
            fades = same_crop and drive_ms <= FADE_AFFORDABLE_MS
            self._fading = before if fades and before.pivot.image.shape == ready.pivot.image.shape else None
            self._fade_tick = 0
        if self._fading is None:
            return Drawing(pose, ready, between=between)
        self._fade_tick += 1
        drawing = Drawing(pose, ready, self._fading, self._fade_tick / (FADE_TICKS + 1))
        if self._fade_tick == FADE_TICKS:
            self._fading = None
        return drawing

    def stands(self, pose: Pose) -> bool:
        """True where the last picture is the very picture of `pose`: a held pose needs no computing."""
        drawn = self._drawn
        return (
            drawn is not None
            and drawn.fading is None
            and drawn.ready.pivot.pivot_id == pose.pivot_id
            and bool(np.abs(drawn.pose.keypoints - pose.keypoints).max() < _STILL)
        )

    def draw(self, drawing: Drawing) -> Drawn | None:
        """The picture; the last one again where the reenactor fails, None where there is none yet."""
        try:
            made = self._drive(drawing)
        except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call outlives it
            self._drawn = None
            self._stats.count("drive_failed")
            _log.warning("the reenactor failed, the last picture stands: %s", error)
            return None if self._last is None else _drawn(self._last, fresh=False)
        self._last, self._drawn = made, drawing
        return _drawn(made, fresh=True)

    def _drive(self, drawing: Drawing) -> Detailed | Image:
        points = drawing.pose.keypoints
        encoded = drawing.ready.encoded
        if drawing.fading is None and self._inbetween is not None:
            return self._inbetween.picture(
                drawing.pose, drawing.between, lambda pose: self._drive_one(encoded, pose.keypoints)
            )
        made = self._drive_one(encoded, points)
        if drawing.fading is None:
            return made
        old = self._drive_one(drawing.fading.encoded, points)
        if isinstance(made, Detailed) and isinstance(old, Detailed):
            reference = _faded(old.reference, made.reference, drawing.share)
            return Detailed(_faded(old.image, made.image, drawing.share), reference)
        if isinstance(made, Detailed) or isinstance(old, Detailed):
            return made
        return _faded(old, made, drawing.share)

    def _drive_one(self, encoded: Encoded, points: Keypoints) -> Detailed | Image:
        if isinstance(self._reenactor, DetailedReenactor):
            detailed = self._reenactor.drive_detailed(encoded, points)
            if detailed is not None:
                return Detailed(_checked(detailed.image), _checked(detailed.reference))
        return _checked(self._reenactor.drive(encoded, points))


def _drawn(made: Detailed | Image, *, fresh: bool) -> Drawn:
    return Drawn(made.image, fresh, made.reference) if isinstance(made, Detailed) else Drawn(made, fresh)


def _faded(old: Image, new: Image, share: float) -> Image:
    return np.asarray((old + share * (new.astype(np.float32) - old)).round(), dtype=np.uint8)


def _checked(image: Image) -> Image:
    """NaN becomes black on its way to uint8, so an all-black picture is a failure, too."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.any():
        raise ValueError(f"it drew {image.dtype} {image.shape}, or nothing at all")
    return image
