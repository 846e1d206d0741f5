"""Which frames become pivots, and to which pivot each frame refers. Sans-IO."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, LID_LEFT, LID_RIGHT, Keypoints
from avcall.models.classical_borrowed import mouth_pose
from avcall.models.scene_tracker import Scene
from avcall.sender.crop import Crop

CACHED = 4
"""Pivots that frames may refer to; the receiver keeps at least as many of the newest."""
FAR = 0.30
"""Distance, in distances between the outer eye corners, from which no cached pivot serves any more."""
SWITCH_GAIN = 0.10
"""Another pivot must be this much nearer before frames refer to it: no flicker between two."""
MIN_INTERVAL_MS = 1500.0
REQUEST_INTERVAL_MS = 500.0
IN_FLIGHT_MS = 4000.0
"""So long a pivot may take to arrive, once all of it has left, before another one replaces it, unless asked for at the
start."""
GOOD_WITHIN_MS = 400.0
"""A pivot that is not urgent waits this long for a frame with open eyes and a calm face."""
SHUT = 0.8
"""Of a person's usual lid opening: below this the eyes are shut, or nearly so. A blink goes down to 0.4 to 0.7."""
NARROW = 0.036
"""Lid opening below which eyes are taken to be shut before a person's usual one is known: on train clips 99 % of shut
eyes are, and 4 % of open ones."""
AWAKE_WITHIN_MS = 240.0
"""A call's first pivot waits this long for eyes that are not: a blink takes no longer, and dull eyes would stay for
seconds."""
SHUT_PENALTY = 0.12
"""Added to the distance of a pivot with shut eyes: opening them by warping looks wrong."""
USUAL_OVER = 100
"""Frames whose median opening is the usual one."""
USUAL_FROM = 10
OF_LATE = 0.85
"""Of the median of the last USUAL_FROM frames: as wide is usual, too. So who begins with narrow eyes need not have them
open for longer than they were narrow, and who raises the brows is not taken to blink afterwards."""
WIDER, WIDE = 0.05, 0.7
"""A mouth that of late was opened wider by so much (in distances between the outer eye corners) than any pivot shows it
is worth waiting for: for a frame in which it is as wide again by this share of the difference."""
MOUTH_WITHIN_MS = 800.0
"""A pivot that is not urgent waits this long for that: all other pivots borrow the mouth it shows."""


class Reason(Enum):
    """Why a pivot is sent."""

    START = "start"
    REQUEST = "request"
    CROP = "crop"
    FACE_RETURN = "face_return"
    FAR = "far"
    EYES = "eyes"
    MOUTH = "mouth"
    AGE = "age"
    LOOK = "look"


URGENT = (Reason.START, Reason.REQUEST)


class Mouth(Enum):
    """What a frame's mouth shows that the pivots do not."""

    KNOWN = "known"
    """Of late no mouth was opened wider than pivots show it."""
    WIDE = "wide"
    """As wide as it was of late, wider than pivots show it."""
    NARROW = "narrow"
    """Not the wide mouth that pivots lack."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One frame as the selector sees it: keypoints in the crop that a new pivot would have."""

    keypoints: Keypoints
    crop: Crop
    calm: bool
    """Little movement since the frame before: the picture is sharp."""
    returned: bool = False
    """The face was away until just now."""
    leaving: bool = False
    """The head is leaving the crop: a pivot now would soon be replaced by one of another crop."""


@dataclass(slots=True)
class SentPivot:
    """A pivot as its sender remembers it."""

    pivot_id: int
    crop: Crop
    keypoints: Keypoints
    sent_ms: float
    acknowledged: bool = False
    left_ms: float = float("-inf")
    """When a part of it was sent last, resent parts not counted."""
    size_bytes: int = 0
    key: bool = False
    """It needs no other pivot."""
    flaw: float = 0.0
    """What coding alone did to its look, as the checks measure it."""
    scene: Scene = Scene()
    """Where the scene was."""


class PivotSelector(Protocol):
    """Decides when a picture is worth its bytes. `avcall.sender.pivot_stage` holds one."""

    def set_budget(self, kbps: float, now_ms: float) -> None:
        """What pivots may take from now on."""

    def request(self, now_ms: float) -> None:
        """The receiver asks for a fresh pivot."""

    def wants(self, sight: Sight, now_ms: float) -> Reason | None:
        """Whether this frame should be sent as a pivot, and why."""

    def sent(self, pivot: SentPivot) -> None:
        """The frame was sent as a pivot."""

    def sending(self, pivot_id: int, now_ms: float) -> None:
        """A part of this pivot leaves for the first time: it may take seconds until the last has left."""

    def to_check(self, sight: Sight, now_ms: float) -> list[SentPivot]:
        """The pivots whose look, driven to this frame, should be compared with it; none on most frames."""

    def checked(self, flaws: Mapping[int, float], now_ms: float) -> None:
        """What that comparison gave for each pivot id: 0 for the same picture, up to 1."""

    def acknowledged(self, pivot_id: int) -> None:
        """The receiver has all of it."""

    def reference(self) -> SentPivot | None:
        """The pivot that frames refer to now."""

    def refer(self, sight: Sight) -> SentPivot | None:
        """Chooses the pivot that this frame refers to; None before the first was sent."""


class SimpleSelector:
    """Start, request, another crop, a face that returns, age, distance from every pivot, shut eyes in every pivot."""

    def __init__(self, max_age_ms: float, min_interval_ms: float = MIN_INTERVAL_MS) -> None:
        self._max_age_ms = max_age_ms
        self._min_interval_ms = min_interval_ms
        self._pivots: list[SentPivot] = []
        self._current: SentPivot | None = None
        self._pending: Reason | None = None
        self._pending_since_ms = 0.0
        self._openings: deque[float] = deque(maxlen=USUAL_OVER)
        self._mouths: deque[float] = deque(maxlen=USUAL_OVER)
        self._widest = 0.0
        """Of the mouths that pivots show; the receiver keeps the most unlike."""

    def set_budget(self, kbps: float, now_ms: float) -> None:
        pass

    def request(self, now_ms: float) -> None:
        if self._pivots and now_ms < self._next_ms(REQUEST_INTERVAL_MS):
            return  # one is on its way, and starting over would only delay it
        for pivot in self._pivots:
            pivot.acknowledged = False  # what it asks for it does not have
        self._widest = 0.0
        self._pend(Reason.REQUEST, now_ms)

    def _pend(self, reason: Reason, now_ms: float) -> None:
        yields = self._pending in (None, Reason.EYES) and self._pending is not reason  # EYES may wait for long
        if yields or (reason in URGENT and self._pending not in URGENT):
            self._pending, self._pending_since_ms = reason, now_ms

    def wants(self, sight: Sight, now_ms: float) -> Reason | None:
        self._openings.append(opening(sight.keypoints))
        if sight.returned:  # who comes back may be somebody else
            self._widest = 0.0
            self._mouths.clear()
        self._mouths.append(mouth_pose(sight.keypoints).opening)
        reason = self._reason(sight, now_ms)
        if reason is not None:
            self._pend(reason, now_ms)
        elif self._pending in (Reason.FAR, Reason.EYES, Reason.MOUTH, Reason.LOOK):
            self._pending = None  # the head came back before a good frame was found
        if self._pending is None:
            return None
        waited_ms = now_ms - self._pending_since_ms
        if self._pending in URGENT:
            blinks = self._pending is Reason.START and opening(sight.keypoints) < NARROW
            return None if blinks and waited_ms < AWAKE_WITHIN_MS else self._pending
        if now_ms < self._next_ms(self._min_interval_ms):
            return None
        good = sight.calm and not self._are_shut(sight.keypoints)
        if good and (waited_ms >= MOUTH_WITHIN_MS or self._mouth() is not Mouth.NARROW):
            return self._pending
        patient = self._pending is Reason.EYES or waited_ms < (MOUTH_WITHIN_MS if good else GOOD_WITHIN_MS)
        return None if patient else self._pending

    def _next_ms(self, interval_ms: float) -> float:
        """When the newest pivot may have a successor: `interval_ms` after it was sent, or when it must be lost."""
        newest = self._pivots[-1]
        return newest.sent_ms + interval_ms if newest.acknowledged else newest.left_ms + IN_FLIGHT_MS

    def _reason(self, sight: Sight, now_ms: float) -> Reason | None:
        if not self._pivots:
            return Reason.START
        if sight.crop != self._pivots[-1].crop:
            return Reason.CROP
        if sight.returned:
            return Reason.FACE_RETURN
        if now_ms - self._pivots[-1].sent_ms >= self._max_age_ms:
            return Reason.AGE
        if sight.leaving:
            return None
        usable = [pivot for pivot in self._pivots if pivot.crop == sight.crop]  # the newest at least
        if min(distance(sight.keypoints, pivot.keypoints) for pivot in usable) > FAR:
            return Reason.FAR
        if all(self._are_shut(pivot.keypoints) for pivot in usable):
            return Reason.EYES
        if self._mouth() is Mouth.WIDE:
            return Reason.MOUTH
        return None

    def _are_shut(self, keypoints: Keypoints) -> bool:
        """What is open differs from person to person: it is known by comparison with the last seconds."""
        if len(self._openings) < USUAL_FROM:
            return False
        of_late = OF_LATE * float(np.median(list(self._openings)[-USUAL_FROM:]))
        usual = max(float(np.median(self._openings)), of_late)
        return usual > 0 and opening(keypoints) < SHUT * usual

    def _mouth(self) -> Mouth:
        """What the mouth of the frame seen last would be worth."""
        widest = float(np.percentile(self._mouths, 90))
        beyond = widest - self._widest
        if beyond < WIDER:
            return Mouth.KNOWN
        return Mouth.WIDE if self._mouths[-1] - self._widest >= WIDE * beyond else Mouth.NARROW

    def _cost(self, sight: Sight, pivot: SentPivot) -> float:
        shut = self._are_shut(pivot.keypoints) and not self._are_shut(sight.keypoints)
        return distance(sight.keypoints, pivot.keypoints) + SHUT_PENALTY * shut

    def sent(self, pivot: SentPivot) -> None:
        # one that was never acknowledged is given up; what frames refer to stays whatever its age
        arrived = [old for old in self._pivots if old.acknowledged and old is not self._current]
        kept = [] if self._current is None or not self._current.acknowledged else [self._current]
        self._pivots = sorted([*arrived[len(kept) - CACHED + 1 :], *kept], key=lambda old: old.sent_ms)
        self._pivots.append(pivot)
        self._widest = max(self._widest, mouth_pose(pivot.keypoints).opening)
        pivot.left_ms = max(pivot.left_ms, pivot.sent_ms)
        self._pending = None

    def sending(self, pivot_id: int, now_ms: float) -> None:
        if self._pivots and self._pivots[-1].pivot_id == pivot_id:
            self._pivots[-1].left_ms = now_ms

    def to_check(self, sight: Sight, now_ms: float) -> list[SentPivot]:
        return []

    def checked(self, flaws: Mapping[int, float], now_ms: float) -> None:
        pass

    def acknowledged(self, pivot_id: int) -> None:
        for pivot in self._pivots:
            if pivot.pivot_id == pivot_id and not pivot.acknowledged:
                pivot.acknowledged = True
                if self._current is None or pivot.sent_ms > self._current.sent_ms:
                    self._current = pivot  # the freshest look; a nearer pose may take over below

    def reference(self) -> SentPivot | None:
        return self._current

    def refer(self, sight: Sight) -> SentPivot | None:
        arrived = [pivot for pivot in self._pivots if pivot.acknowledged]
        if not arrived:
            self._current = self._pivots[-1] if self._pivots else None
            return self._current
        newest = max(arrived, key=lambda pivot: pivot.sent_ms)
        if self._current is None or not self._current.acknowledged:
            self._current = newest
        if newest.crop != sight.crop:
            return self._current  # the crop has moved and no pivot of it has arrived: keep the old one
        candidates = [pivot for pivot in arrived if pivot.crop == sight.crop]
        if self._current.crop != sight.crop:
            self._current = newest
        best = min(candidates, key=lambda pivot: self._cost(sight, pivot))
        if self._cost(sight, self._current) - self._cost(sight, best) > SWITCH_GAIN:
            self._current = best
        return self._current


def distance(a: Keypoints, b: Keypoints) -> float:
    """Root mean square distance of two sets of keypoints, in distances between the outer eye corners of `b`."""
    eyes = float(np.linalg.norm(b[EYE_LEFT] - b[EYE_RIGHT]))
    return float(np.sqrt(np.mean(np.sum(np.square(a - b), axis=1)))) / max(eyes, 1e-3)


def opening(keypoints: Keypoints) -> float:
    """How far the upper lids stand above the line of the outer eye corners, in distances between those corners."""
    left, right = keypoints[EYE_LEFT], keypoints[EYE_RIGHT]
    across = right - left
    length = max(float(np.linalg.norm(across)), 1e-3)
    lids = (keypoints[LID_LEFT] + keypoints[LID_RIGHT]) / 2 - left
    return float(lids[1] * across[0] - lids[0] * across[1]) / (-length * length)
