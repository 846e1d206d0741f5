"""The play-out clock: which moment of the sender is seen and heard now. Sans-IO.

Both streams are played `delay_ms` after their fastest transit. The delay covers a high percentile of the recent
transits of either stream: it rises as soon as they do and falls slowly. Sound leads: while a voice is heard, the
clock follows the position of what is heard (at most LAG_MS behind it), and the voice in turn is steered towards
`target_ms`; otherwise it runs freely on the wall clock and is slewed towards the target.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

import numpy as np
from numpy.typing import NDArray

WINDOW_MS = 10_000.0
VOICE_PERCENTILE = 97.0
VIDEO_PERCENTILE = 98.0
"""A late frame is bridged by motion that runs out, late sound is heard: so sound gets more of the delay."""
LOSSY, LOSSY_PERCENTILE = 0.02, 99.7
"""Where more than this share of the frames was lost and is interpolated, waiting for what comes after them pays."""
OFTEN = 0.05
"""Where more than this share was lost, two losses in a row are a matter of seconds: the delay rises once for both."""
RECENT_MS, RECENT_PERCENTILE = 1_000.0, 85.0
"""When the network turns worse, the last second says so before the window's percentile does."""
FASTEST_PERCENTILE = 2.0
"""Not the very fastest: one wrong capture time must not pull the clock along."""
MARGIN_MS, LOSSY_MARGIN_MS = 8.0, 28.0
"""Under losses the voice, which leads the picture, wanders by as much as it may be off its target."""
CAUTION_MS, MOST_CAUTION_MS = 4.0, 24.0
"""What each picture that had to run ahead of its poses adds to the margin, and all of them together: a voice may be off
its target by as much, and what a picture takes varies."""
CAUTION_FALL_PER_MS = 0.003
AHEAD_MS = 20.0
"""A picture farther ahead of the target than this follows a voice that is still being steered."""
FALL_PER_MS = 0.02
"""The delay falls by at most 20 ms a second."""
BEGINNING_MS, SETTLED_MS = 600.0, 400.0
"""So long after the first picture the delay is chosen anew, once, by so much of the time before: the rest had to share
the path with the first pivot, and says nothing about later. Until there is a picture only so much counts, too: the
first frame has waited for its pivot to be coded."""
SETTLING_MS = 80.0
"""`settle` is called at every tick until there is a picture."""
LAG_MS = 25.0
"""So much a picture may be behind the sound, where that is still ahead of the target: half of what anybody notices
(ITU-R BT.1359: sound 45 ms early), and more often than not the time in which its pose comes."""
MAX_SLEW = 0.05
FOLLOW_SLEW = (0.1, 0.6)
"""Pictures follow a voice that is being steered faster than the clock runs by itself: the farther off, the faster."""
_FOLLOW_MS = 80.0
JUMP_MS = 300.0
"""Farther off than this, the clock jumps."""
_VOICE_LEADS_MS = 250.0
_UPDATE_MS = 100.0
_WINDOW_PACKETS = 1024


class Stream(Enum):
    """What a transit was observed on."""

    VIDEO = "video"
    VOICE = "voice"


class PlayoutClock:
    """Media time (the sender's clock) as a function of this machine's time."""

    def __init__(self, max_delay_ms: float = 1000.0) -> None:
        self._max_delay_ms = max_delay_ms
        self._transits: dict[Stream, deque[tuple[float, float, float | None]]] = {
            stream: deque(maxlen=_WINDOW_PACKETS) for stream in Stream
        }
        """When something came, its transit, and, of what is bridged, what another loss would have added."""
        self._settled_ms: float | None = None
        """When it was last settled; None once that is past."""
        self._behind_ms: float | None = None
        """How far the target is behind now."""
        self._base_ms = 0.0
        self._updated_ms = 0.0
        self._ahead_ms: float | None = None
        """Media time minus now, as it runs."""
        self._ran_ms = 0.0
        self._heard: tuple[float, float] | None = None
        self._caution_ms = 0.0
        self.jumps = 0

    def observe(
        self, stream: Stream, capture_ms: float, arrival_ms: float, extra_ms: float = 0.0, again_ms: float | None = None
    ) -> None:
        """Something captured at `capture_ms` became playable at `arrival_ms`, and has to be `extra_ms` before its time
        (to be computed, say). With `again_ms` it was lost, and what came after it makes up for it: so much later where
        the next is lost again."""
        transit_ms = arrival_ms - capture_ms + extra_ms
        self._transits[stream].append((arrival_ms, transit_ms, again_ms))
        if self._behind_ms is None or arrival_ms - self._updated_ms >= _UPDATE_MS:
            self._update(arrival_ms)

    def missed(self, media_ms: float, now_ms: float) -> None:
        """A picture of `media_ms` was due before its pose had come. A delay that is not yet chosen, or a voice that is
        still far ahead of its time, calls for no more of it."""
        if self.settled and media_ms - self.target_ms(now_ms) < AHEAD_MS:
            self._caution_ms = min(self._caution_ms + CAUTION_MS, MOST_CAUTION_MS)

    def heard(self, media_ms: float, now_ms: float) -> None:
        """A voice is heard: its moment `media_ms` leaves the speaker at `now_ms`."""
        self._heard = (media_ms, now_ms)

    def reset(self) -> None:
        """Forgets everything: the sender's clock jumped."""
        for transits in self._transits.values():
            transits.clear()
        self._behind_ms = self._ahead_ms = self._heard = None
        self._caution_ms = 0.0

    def settle(self, now_ms: float) -> None:
        """Nothing has been shown yet: the clock may start at the target instead of being slewed there."""
        self._ahead_ms = None
        self._settled_ms = now_ms

    @property
    def running(self) -> bool:
        """False until something was observed."""
        return self._behind_ms is not None

    @property
    def settled(self) -> bool:
        """Whether the delay has been chosen anew since the first picture (BEGINNING_MS)."""
        return self.running and self._settled_ms is None

    @property
    def delay_ms(self) -> float:
        """The play-out delay in use: the target's distance from the fastest transit."""
        return 0.0 if self._behind_ms is None else self._behind_ms - self._base_ms

    def target_ms(self, now_ms: float) -> float:
        """The media time that should be seen and heard now."""
        return now_ms - (self._behind_ms or 0.0)

    def voice_leads(self, now_ms: float) -> bool:
        """True while a voice is heard."""
        return self._heard is not None and now_ms - self._heard[1] < _VOICE_LEADS_MS

    def heard_ms(self, now_ms: float) -> float | None:
        """The media time that is heard now; None while no voice is."""
        if self._heard is None or not self.voice_leads(now_ms):
            return None
        return self._heard[0] + now_ms - self._heard[1]

    def media_ms(self, now_ms: float) -> float:
        """The media time to be seen now. Called with times that do not fall."""
        goal_ms = -(self._behind_ms or 0.0)
        heard_ms = self.heard_ms(now_ms)
        if heard_ms is not None:
            goal_ms = min(heard_ms, max(self.target_ms(now_ms), heard_ms - LAG_MS)) - now_ms
        if self._ahead_ms is None:
            if not self.running:
                return now_ms
            self._ahead_ms, self._ran_ms = goal_ms, now_ms
        error_ms = goal_ms - self._ahead_ms
        if abs(error_ms) > JUMP_MS:
            self._ahead_ms = goal_ms
            self.jumps += 1
        else:
            slew = (
                MAX_SLEW if heard_ms is None else min(max(abs(error_ms) / _FOLLOW_MS, FOLLOW_SLEW[0]), FOLLOW_SLEW[1])
            )
            step_ms = slew * max(0.0, now_ms - self._ran_ms)
            self._ahead_ms += min(step_ms, max(-step_ms, error_ms))
        self._ran_ms = max(now_ms, self._ran_ms)
        return now_ms + self._ahead_ms

    def _update(self, now_ms: float) -> None:
        wanted, lossy = [], False
        since_ms = None if self._settled_ms is None else now_ms - self._settled_ms
        begins = since_ms is not None and since_ms >= BEGINNING_MS
        anew = begins or (since_ms is not None and since_ms < SETTLING_MS)
        for stream, usual in ((Stream.VOICE, VOICE_PERCENTILE), (Stream.VIDEO, VIDEO_PERCENTILE)):
            transits = self._transits[stream]
            while transits and now_ms - transits[0][0] > (SETTLED_MS if anew else WINDOW_MS):
                transits.popleft()
            if transits:
                values = np.array([transit_ms for _, transit_ms, _ in transits])
                again = np.array([again_ms or 0.0 for _, _, again_ms in transits])
                lost = float(np.mean([again_ms is not None for _, _, again_ms in transits]))
                if lost > OFTEN:
                    values = values + again
                recent = values[[now_ms - arrival_ms <= RECENT_MS for arrival_ms, _, _ in transits]]
                percentile = LOSSY_PERCENTILE if lost > LOSSY else usual
                lossy = lossy or lost > LOSSY
                needed = max(_covering(values, percentile), _covering(recent, RECENT_PERCENTILE))
                wanted.append((needed, float(np.percentile(values, FASTEST_PERCENTILE, method="lower"))))
        if not wanted:
            return
        self._base_ms = min(fastest for _, fastest in wanted)
        self._caution_ms = max(0.0, self._caution_ms - CAUTION_FALL_PER_MS * max(0.0, now_ms - self._updated_ms))
        margin_ms = max(MARGIN_MS + self._caution_ms, LOSSY_MARGIN_MS if lossy else 0.0)
        behind_ms = min(max(needed for needed, _ in wanted) + margin_ms, self._base_ms + self._max_delay_ms)
        if self._behind_ms is None or behind_ms > self._behind_ms or anew:
            self._behind_ms = behind_ms
        else:
            self._behind_ms = max(behind_ms, self._behind_ms - FALL_PER_MS * (now_ms - self._updated_ms))
        self._updated_ms = now_ms
        if begins:
            self._settled_ms = None


def _covering(transits_ms: NDArray[np.float64], percent: float) -> float:
    """A transit that was seen, not one between two."""
    return float(np.percentile(transits_ms, percent, method="higher")) if len(transits_ms) else float("-inf")
