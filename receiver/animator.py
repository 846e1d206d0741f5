"""From a pose to a picture: picks the pivot, dissolves where the pivot changes, survives a network that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from avcall.common.frames import Pose
from avcall.common.keypoints import Image
from avcall.common.stats import Stats
from avcall.models.interfaces import Detailed, Encoded, Reenactor, driven, driven_detailed
from avcall.receiver.dissolve import FADE_TICKS, Dissolve, share
from avcall.receiver.inbetween import Inbetween
from avcall.receiver.jitter_buffer import Between
from avcall.receiver.pivots import PivotCache, ReadyPivot

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
    changes: bool = False
    """The pivot is not that of the picture before."""
    fade: float = 0.0
    """How much of what was shown before the change is in it."""
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
        self._fades_left = 0
        self._dissolve = Dissolve()
        self._drawn: Drawing | None = None

    def plan(self, pose: Pose, between: Between | None = None) -> Drawing | None:
        """What to draw for `pose`; None while no pivot for it is here."""
        same_crop = self._pose is not None and (
            float(np.linalg.norm(pose.keypoints - self._pose.keypoints, axis=1).mean()) <= SAME_CROP
        )
        ready = self._cache.get(pose.pivot_id)
        stands_in = self._ready is not None and same_crop and self._coming(pose.pivot_id)
        if ready is None and self._pose is not None and stands_in:
            ready = self._ready
            pose, between = replace(pose, scene=self._pose.scene), None  # what is told counts from the other pivot
            self._stats.count("pictures_by_earlier_pivot")
        if ready is None:
            return None
        before, self._pose, self._ready = self._ready, pose, ready
        changes = before is not None and before.pivot is not ready.pivot  # it may be encoded anew
        if changes:
            self._fades_left = FADE_TICKS if same_crop else 0
        fade = share(self._fades_left)
        self._fades_left = max(0, self._fades_left - 1)
        return Drawing(pose, ready, changes, fade, between)

    def stands(self, pose: Pose) -> bool:
        """True where the last picture is the very picture of `pose`: a held pose needs no computing."""
        drawn = self._drawn
        return (
            drawn is not None
            and drawn.fade == 0.0
            and drawn.ready.pivot.pivot_id == pose.pivot_id
            and drawn.pose.scene == pose.scene
            and bool(np.abs(drawn.pose.keypoints - pose.keypoints).max() < _STILL)
        )

    def draw(self, drawing: Drawing) -> Drawn | None:
        """The picture; the last one again where the reenactor fails, None where there is none yet."""
        try:
            made = self._drive(drawing)
        except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call outlives it
            self._drawn = None
            self._dissolve.end()
            self._stats.count("drive_failed")
            _log.warning("the reenactor failed, the last picture stands: %s", error)
            last = self._dissolve.last
            return None if last is None else _drawn(last, fresh=False)
        self._drawn = drawing
        shown = self._dissolve.show(made, drawing.pose.keypoints, drawing.fade, changes=drawing.changes)
        return _drawn(shown, fresh=True)

    def _drive(self, drawing: Drawing) -> Detailed | Image:
        encoded = drawing.ready.encoded
        if drawing.fade == 0.0 and self._inbetween is not None:
            return self._inbetween.picture(drawing.pose, drawing.between, lambda pose: self._drive_one(encoded, pose))
        return self._drive_one(encoded, drawing.pose)

    def _drive_one(self, encoded: Encoded, pose: Pose) -> Detailed | Image:
        detailed = driven_detailed(self._reenactor, encoded, pose.keypoints, pose.scene)
        if detailed is not None:
            return Detailed(_checked(detailed.image), _checked(detailed.reference))
        return _checked(driven(self._reenactor, encoded, pose.keypoints, pose.scene))


def _drawn(made: Detailed | Image, *, fresh: bool) -> Drawn:
    return Drawn(made.image, fresh, made.reference) if isinstance(made, Detailed) else Drawn(made, fresh)


def _checked(image: Image) -> Image:
    """NaN becomes black on its way to uint8, so an all-black picture is a failure, too."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.any():
        raise ValueError(f"it drew {image.dtype} {image.shape}, or nothing at all")
    return image
