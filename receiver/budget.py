"""Which versions of the stages fit the time that a frame has on this machine. Sans-IO: it is told what each took.

A stage is a ladder of versions, cheapest first: the weightless twin, then one or more networks. Of all the steps up, in
the order of their worth, those are taken that fit. What runs may stay up to a higher limit than what would like to
start (hysteresis), only one step is taken at a time, and one that had to be given up soon after its start waits twice
as long as before. So the picture does not flicker between levels, and yet comes back when the machine has time again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from avcall.common.config import QUALITIES
from avcall.common.errors import ConfigError

PERIOD_MS = 40.0
LIMITS = {"auto": (0.75, 0.90), "high": (0.85, 0.95), "low": (0.75, 0.90)}
"""Of the period: the estimate below which a step is taken, and the one above which it is given up. The rest of a period
is for what no stage is: sound, the window, and what else the machine does. "low" takes no steps."""
RUNS = 9
"""The median of so many runs is what a version takes: one slow frame, or four, change nothing."""
TRUSTED_RUNS = 3
"""Before a version has run so often, its estimate is what it took when the call began, scaled by the present load."""
OVERRUNS = 3
"""So many frames in a row that are late, and the last step is given up at once, whatever the estimates say."""
FADE_FRAMES = 5
"""A step is blended in and out over so many frames, where there is time to draw both."""
DWELL_MS = 1000.0
"""After a change, before the next step up."""
WAIT_MS, LONGEST_WAIT_MS = 2000.0, 64_000.0
"""Before a step that was given up is tried again; doubled each time that it did not last PROBATION_MS."""
PROBATION_MS = 3000.0
SLOWEST_OF = 3
"""So many of the last frames say how much of the time a network may work beside them: it is to rest as soon as one is
slow."""


@dataclass(frozen=True, slots=True)
class Version:
    """One rung of a stage's ladder."""

    name: str
    """What the overlay and the report call it."""
    reference_ms: float
    """What it took on this machine before the call; for the twin of a stage, too."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What one stage shall run in this frame."""

    level: int
    """Rung of the stage's ladder."""
    share: float = 1.0
    """Of this version's picture; the rest is the version's below. Below 1 only while a step is blended in or out."""


class _Stage:
    """One stage's rung, and what its versions took of late."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self.versions = tuple(versions)
        self.level, self.share = 0, 1.0
        self.since_ms = 0.0
        self.frames: Counter[str] = Counter()
        self._runs: list[deque[float]] = [deque(maxlen=RUNS) for _ in versions]
        self._wait_ms = [WAIT_MS] * len(versions)
        self._not_before_ms = [0.0] * len(versions)

    def measured_ms(self, level: int) -> float | None:
        runs = self._runs[level]
        return median(runs) if len(runs) >= TRUSTED_RUNS else None

    def took(self, level: int, took_ms: float) -> None:
        self._runs[level].append(took_ms)

    def blocked(self, level: int, now_ms: float) -> bool:
        return now_ms < self._not_before_ms[level]

    def rise(self, now_ms: float, *, faded: bool) -> None:
        self.level += 1
        self.share, self.since_ms = 1.0 / (FADE_FRAMES + 1) if faded else 1.0, now_ms
        self._runs[self.level].clear()  # of another time, when the machine did other things

    def give_up(self, now_ms: float) -> None:
        level = self.level
        lasted = now_ms - self.since_ms >= PROBATION_MS
        self._wait_ms[level] = WAIT_MS if lasted else min(2.0 * self._wait_ms[level], LONGEST_WAIT_MS)
        self._not_before_ms[level] = now_ms + self._wait_ms[level]
        self.level, self.share = level - 1, 1.0


class FrameBudget:
    """`plan` once a frame, before its first stage; `took` after each version that ran; `frame` at its end."""

    def __init__(
        self,
        stages: Mapping[str, Sequence[Version]],
        order: Sequence[str],
        quality: str = "auto",
        period_ms: float = PERIOD_MS,
        settling_ms: float = 0.0,
    ) -> None:
        """`order` names stages by the worth of their steps, the most valuable first: each mention is one step up. The
        first is not taken before `settling_ms` after the first frame: a call begins with much that comes only once.

        Raises:
            ConfigError: a quality that there is not.
        """
        if quality not in QUALITIES:
            raise ConfigError(f"--quality {quality}: {', '.join(QUALITIES)}")
        self._quality = quality
        self._start_ms, self._keep_ms = (share * period_ms for share in LIMITS[quality])
        self._period_ms = period_ms
        self._stages = {name: _Stage(versions) for name, versions in stages.items()}
        self._order = [name for name in order if name in self._stages] if quality != "low" else []
        self._rest_ms: deque[float] = deque(maxlen=RUNS)
        self._spent_ms = 0.0
        self._overruns = 0
        self._latest_ms: deque[float] = deque(maxlen=SLOWEST_OF)
        self._settling_ms = settling_ms
        self._changed_ms: float | None = None
        self._given_up = 0

    def plan(self, now_ms: float) -> dict[str, Choice]:
        """What each stage shall run in the frame that begins."""
        self._spent_ms = 0.0
        if self._changed_ms is None:
            self._changed_ms = now_ms + self._settling_ms - DWELL_MS
        wanted = self._affordable(now_ms)
        urgent = self._total_ms({name: stage.level for name, stage in self._stages.items()}) > self._period_ms
        if self._overruns >= OVERRUNS:
            self._overruns, urgent = 0, True
            last = next((name for name in reversed(self._order) if self._stages[name].level), None)
            if last is not None:
                wanted[last] = min(wanted[last], self._stages[last].level - 1)
        for name, stage in self._stages.items():
            if wanted[name] < stage.level:
                stage.share -= 1.0 / (FADE_FRAMES + 1)
                at_once = urgent or not self._both_fit(name, stage.level)
                while stage.level > wanted[name] and (at_once or stage.share <= 1e-6):
                    stage.give_up(now_ms)
                    self._changed_ms, self._given_up = now_ms, self._given_up + 1
            elif stage.share < 1.0:
                stage.share = min(1.0, stage.share + 1.0 / (FADE_FRAMES + 1))
        for name in self._order:
            stage = self._stages[name]
            if wanted[name] > stage.level and stage.share == 1.0 and now_ms - self._changed_ms >= DWELL_MS:
                stage.rise(now_ms, faded=self._both_fit(name, stage.level + 1))
                self._changed_ms = now_ms
        return {name: self.choice(name) for name in self._stages}

    def choice(self, stage: str) -> Choice:
        """What `plan` said last."""
        return Choice(self._stages[stage].level, self._stages[stage].share)

    def took(self, stage: str, level: int, took_ms: float) -> None:
        """One run of one version."""
        self._stages[stage].took(level, took_ms)
        self._spent_ms += took_ms

    def failed(self, stage: str, level: int, now_ms: float) -> None:
        """A version gave no picture: the one below it takes over for a while."""
        here = self._stages[stage]
        while here.level >= max(level, 1):
            here.give_up(now_ms)
            self._changed_ms, self._given_up = now_ms, self._given_up + 1

    def frame(self, took_ms: float, had_ms: float | None = None) -> None:
        """A frame was made; `took_ms` is all that it took, from its beginning until it could be shown. It is late where
        that is more than `had_ms`, the time until the next one's tick: a period, and more where it was begun early."""
        for stage in self._stages.values():
            stage.frames[stage.versions[stage.level].name] += 1
        self._rest_ms.append(max(0.0, took_ms - self._spent_ms))
        self._latest_ms.append(took_ms)
        self._overruns = self._overruns + 1 if took_ms > (had_ms or self._period_ms) else 0

    def estimate_ms(self) -> float:
        """What a frame takes as it is made at present."""
        return self._total_ms({name: stage.level for name, stage in self._stages.items()})

    def spare(self) -> float:
        """For which share of the time a network may work beside the frames: always where each takes a quarter of the
        period or less, never where one of the last took so long that no step would start."""
        took_ms = max(self._latest_ms) if self._latest_ms else self.estimate_ms()
        share = (self._start_ms - took_ms) / (self._start_ms - self._period_ms / 4)
        return min(1.0, max(0.0, share))

    def running(self) -> tuple[str, ...]:
        """The versions above the twins, for the overlay, in the order of the stages."""
        return tuple(stage.versions[stage.level].name for stage in self._stages.values() if stage.level)

    def summary(self) -> dict[str, object]:
        """For report.json: the share of frames that each version of each stage made, and how often a step was given
        up."""
        stages = {}
        for name, stage in self._stages.items():
            total = max(1, stage.frames.total())
            stages[name] = {version.name: stage.frames[version.name] / total for version in stage.versions}
        return {"quality": self._quality, "stages": stages, "given_up": self._given_up}

    def _affordable(self, now_ms: float) -> dict[str, int]:
        """The rung of each stage when steps are taken in the order of their worth while they fit."""
        levels = dict.fromkeys(self._stages, 0)
        mentioned: Counter[str] = Counter()
        for name in self._order:
            mentioned[name] += 1
            stage, up = self._stages[name], mentioned[name]
            if up != levels[name] + 1 or up >= len(stage.versions):
                continue
            runs = stage.level >= up
            if not runs and stage.blocked(up, now_ms):
                continue
            if self._total_ms(levels | {name: up}) <= (self._keep_ms if runs else self._start_ms):
                levels[name] = up
        return levels

    def _both_fit(self, name: str, level: int) -> bool:
        """Whether a version and the one below it, which a blend takes, are done within the period."""
        below_ms = self._stages[name].versions[level - 1].reference_ms * self._load()
        levels = {other: stage.level for other, stage in self._stages.items()} | {name: level}
        return self._total_ms(levels) + below_ms <= self._period_ms

    def _total_ms(self, levels: dict[str, int]) -> float:
        load = self._load()
        total = median(self._rest_ms) if self._rest_ms else 0.0
        for name, level in levels.items():
            stage = self._stages[name]
            measured = stage.measured_ms(level) if level == stage.level else None
            total += stage.versions[level].reference_ms * load if measured is None else measured
        return total

    def _load(self) -> float:
        """How much longer things take than when they were priced; below 1 where the machine was busier then."""
        ratios = []
        for stage in self._stages.values():
            measured, reference = stage.measured_ms(stage.level), stage.versions[stage.level].reference_ms
            if measured is not None and reference >= 0.5:  # less says nothing about the machine
                ratios.append(measured / reference)
        return median(ratios) if ratios else 1.0
