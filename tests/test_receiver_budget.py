"""The frame budget on literal costs: what it runs, when it gives up, when it comes back."""

from __future__ import annotations

import itertools

import pytest

from avcall.common.errors import ConfigError
from avcall.receiver.budget import DWELL_MS, FADE_FRAMES, FrameBudget, Version

TICK_MS = 40.0
DRIVE = (Version("warp", 8.0), Version("lite", 14.0))
ENHANCE = (Version("off", 0.0), Version("sharp", 4.0))
UPSCALE = (Version("bicubic", 1.0), Version("few", 3.0), Version("all", 12.0))
ORDER = ("drive", "enhance", "upscale", "upscale")


class Machine:
    """Runs frames at the versions' reference costs, times a load that a test may change at any moment."""

    def __init__(self, quality: str = "auto", **stages: tuple[Version, ...]) -> None:
        self.stages = stages or {"drive": DRIVE, "upscale": UPSCALE, "enhance": ENHANCE}
        self.budget = FrameBudget(self.stages, ORDER, quality)  # type: ignore[arg-type]
        self.load = 1.0
        self.now_ms = 0.0
        self.history: list[tuple[str, ...]] = []
        self.took_ms: list[float] = []

    def frame(self, load: float | None = None) -> None:
        spent_ms = 0.0
        for stage, choice in self.budget.plan(self.now_ms).items():
            for level in {choice.level, choice.level - (choice.share < 1.0)}:
                took_ms = self.stages[stage][level].reference_ms * (self.load if load is None else load)
                self.budget.took(stage, level, took_ms)
                spent_ms += took_ms
        self.budget.frame(spent_ms + 1.0)
        self.history.append(self.budget.running())
        self.took_ms.append(spent_ms + 1.0)
        self.now_ms += TICK_MS

    def run(self, seconds: float) -> tuple[str, ...]:
        for _ in range(round(seconds * 25)):
            self.frame()
        return self.history[-1]


def test_a_fast_machine_runs_everything_it_has_time_for() -> None:
    machine = Machine()
    assert machine.run(8) == ("lite", "few", "sharp")  # 14 + 3 + 4 + 1 = 22 ms of 30; "all" would make it 31
    assert Machine("high").run(12) == ("lite", "all", "sharp")  # 31 ms of 34


def test_steps_are_taken_one_at_a_time_the_most_valuable_first() -> None:
    machine = Machine()
    machine.run(8)
    seen = list(dict.fromkeys(machine.history))
    assert seen == [("lite",), ("lite", "sharp"), ("lite", "few", "sharp")]
    first = [machine.history.index(state) for state in seen]
    assert min(b - a for a, b in itertools.pairwise(first)) >= DWELL_MS / TICK_MS


def test_a_slow_machine_never_starts_what_does_not_fit() -> None:
    machine = Machine()
    machine.load = 2.4  # drive 34 ms
    machine.run(60)
    # of 30 ms "lite" would take (14 + 1) * 2.4 + 1 = 37, "sharp" (8 + 4 + 1) * 2.4 + 1 = 32, "few" (8 + 3) * 2.4 + 1
    assert set(machine.history[25:]) == {(), ("few",)}
    assert max(machine.took_ms[25:]) < TICK_MS
    assert machine.history[-1] == ("few",)


def test_low_runs_the_twins_alone() -> None:
    machine = Machine("low")
    assert machine.run(10) == ()
    assert set(machine.history) == {()}


def test_one_slow_frame_changes_nothing() -> None:
    machine = Machine()
    before = machine.run(10)
    for _ in range(4):
        machine.frame(load=10.0)
        machine.run(0.4)
    assert set(machine.history[250:]) == {before}
    assert machine.budget.summary()["given_up"] == 0


def test_lasting_load_drops_to_the_twins_at_once_and_comes_back() -> None:
    machine = Machine()
    machine.run(10)
    machine.load = 2.4  # everything at once would take 51 ms
    machine.run(0.4)
    assert machine.took_ms[-1] < TICK_MS
    assert "lite" not in machine.history[-1]
    machine.run(5)
    assert sum(took_ms > TICK_MS for took_ms in machine.took_ms) <= 6
    machine.load = 1.0
    assert machine.run(12) == ("lite", "few", "sharp")


def test_a_step_that_still_fits_the_period_is_faded_out() -> None:
    machine = Machine(enhance=ENHANCE, drive=(Version("warp", 20.0),))
    assert machine.run(3) == ("sharp",)
    machine.load = 1.5  # 20 * 1.5 + 4 * 1.5 + 1 = 37: above 36, below 40
    shares = []
    for _ in range(20):
        machine.frame()
        shares.append((machine.budget.choice("enhance").level, round(machine.budget.choice("enhance").share, 2)))
    down = [share for level, share in shares if level == 1]
    assert down[-FADE_FRAMES:] == [0.83, 0.67, 0.5, 0.33, 0.17]
    assert shares[-1] == (0, 1.0)


def test_a_step_up_is_faded_in() -> None:
    machine = Machine(enhance=ENHANCE)
    shares = []
    for _ in range(8):
        machine.frame()
        shares.append(round(machine.budget.choice("enhance").share, 2))
    assert shares == [0.17, 0.33, 0.5, 0.67, 0.83, 1.0, 1.0, 1.0]


def test_two_networks_that_do_not_fit_together_are_not_blended() -> None:
    machine = Machine(
        drive=(Version("warp", 5.0), Version("lite carried", 13.0), Version("lite", 28.0)), enhance=ENHANCE
    )
    machine.budget = FrameBudget(machine.stages, ("drive", "drive"))
    assert machine.run(6) == ("lite",)
    assert max(machine.took_ms) < TICK_MS  # 13 + 28 + 1 would be late
    levels = list(dict.fromkeys(machine.history))
    assert levels == [("lite carried",), ("lite",)]
    machine.load = 1.3  # 36.4 + 1: above 36
    machine.run(1)
    assert machine.history[-1] == ("lite carried",)
    assert max(machine.took_ms) < TICK_MS


def test_a_step_that_does_not_last_waits_longer_each_time() -> None:
    machine = Machine(enhance=(Version("off", 0.0), Version("sharp", 4.0)), drive=(Version("warp", 10.0),))
    starts = []
    for number in range(25 * 150):
        running = bool(machine.budget.running())
        # on this machine the network takes ten times what it took alone
        for stage, choice in machine.budget.plan(machine.now_ms).items():
            machine.budget.took(stage, choice.level, 45.0 if choice.level else machine.stages[stage][0].reference_ms)
        if machine.budget.running() and not running:
            starts.append(number * TICK_MS / 1000)
        machine.budget.frame(56.0 if machine.budget.running() else 11.0)
        machine.now_ms += TICK_MS
    waits = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert [round(wait / 2) for wait in waits[:4]] == [2, 4, 8, 16]
    assert len(starts) <= 7


def test_overruns_that_no_stage_explains_drop_the_last_step() -> None:
    machine = Machine()
    machine.run(10)
    for _ in range(4):
        machine.budget.plan(machine.now_ms)
        machine.budget.frame(60.0)
        machine.now_ms += TICK_MS
    assert machine.budget.running() == ("lite", "sharp")


def test_a_frame_that_was_begun_early_may_take_longer() -> None:
    machine = Machine()
    before = machine.run(10)
    for _ in range(4):
        machine.budget.plan(machine.now_ms)
        machine.budget.frame(60.0, 100.0)
        machine.now_ms += TICK_MS
    assert machine.budget.running() == before


def test_a_version_that_fails_is_given_up_for_a_while() -> None:
    machine = Machine()
    machine.run(10)
    machine.budget.failed("enhance", 1, machine.now_ms)
    assert machine.budget.running() == ("lite", "few")
    assert machine.run(2) == ("lite", "all")  # 14 + 12 + 1 = 27
    assert machine.run(6) == ("lite", "all", "sharp")  # 31: it would not start, but it may stay


def test_prices_of_a_busy_moment_do_not_keep_a_machine_from_what_it_can() -> None:
    machine = Machine()
    machine.load = 0.3  # everything was priced at more than thrice of what it takes now
    assert machine.run(12) == ("lite", "all", "sharp")


def test_the_summary_tells_what_made_the_frames() -> None:
    machine = Machine("low")
    machine.run(1)
    assert machine.budget.summary() == {
        "quality": "low",
        "stages": {
            "drive": {"warp": 1.0, "lite": 0.0},
            "upscale": {"bicubic": 1.0, "few": 0.0, "all": 0.0},
            "enhance": {"off": 1.0, "sharp": 0.0},
        },
        "given_up": 0,
    }


def test_a_quality_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="--quality best"):
        FrameBudget({"drive": DRIVE}, ORDER, "best")


@pytest.mark.parametrize(("frame_ms", "share"), [(5.0, 1.0), (10.0, 1.0), (20.0, 0.5), (30.0, 0.0), (60.0, 0.0)])
def test_a_network_beside_the_frames_works_while_they_leave_time(frame_ms: float, share: float) -> None:
    budget = FrameBudget({"drive": [Version("warp", frame_ms)]}, ("drive",))
    assert budget.spare() == pytest.approx(share), "by its price"
    for _ in range(3):
        budget.frame(frame_ms)
    assert budget.spare() == pytest.approx(share)


def test_a_network_beside_the_frames_rests_as_soon_as_one_is_slow() -> None:
    budget = FrameBudget({"drive": [Version("warp", 10.0)]}, ("drive",))
    for took_ms in (10.0, 35.0, 10.0, 10.0):
        budget.frame(took_ms)
    assert budget.spare() == 0.0, "the slow one is among the last three"
    budget.frame(10.0)
    assert budget.spare() == 1.0


def test_a_call_settles_before_its_first_step() -> None:
    machine = Machine()
    machine.budget = FrameBudget(machine.stages, ORDER, settling_ms=400.0)
    machine.run(4)
    assert machine.history.index(("lite",)) == 400 / TICK_MS
