"""What leaves at once in a call's first moments, so that the path can be measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from avcall.common.clock import Clock
from avcall.common.pivot_format import PivotAck, PivotSlice
from avcall.sender.path_probe import AGAIN_MS, PROBES, URGENT_REPORTS, URGENT_WITHIN_MS, PathProbe


@dataclass
class Parts:
    """Rate control, pivots and outlet in one; `left` is what was let go, in its order."""

    unknown: bool = True
    in_first_round: bool = True
    slices_there: bool = True
    awaited: bool = False
    urgent_reports: int = 0
    left: list[str] = field(default_factory=list)

    def unprobed(self, since_ms: float) -> bool:
        return self.unknown

    def flush(self) -> None:
        self.left.append("poses")

    def await_hurry(self) -> None:
        self.awaited = True

    def hurry(self) -> None:
        self.left.append("slice")


def probe(parts: Parts, *, controlled: bool = True, clock: Clock = lambda: 0.0) -> PathProbe:
    part: Any = parts
    return PathProbe(part if controlled else None, part, part, clock)


def test_a_slice_leaves_between_two_poses() -> None:
    parts = Parts()
    one = probe(parts)
    one.said()
    assert parts.left == ["poses", "slice"]
    one.said()
    assert parts.left == ["poses", "slice", "poses"]


def test_it_is_tried_again_until_something_is_known_but_not_for_ever() -> None:
    known, unknown = Parts(), Parts()
    for parts in (known, unknown):
        one = probe(parts)
        for number in range(100):
            one.said()
            known.unknown = number < 1
    assert known.left == ["poses", "slice", "poses"]
    assert unknown.left == ["poses", "slice", "poses"] * PROBES


def test_the_next_waits_until_the_slices_are_there_or_must_be_lost() -> None:
    parts, now_ms = Parts(slices_there=False), [0.0]
    one = probe(parts, clock=lambda: now_ms[0])
    one.said()
    one.said()
    assert parts.left == ["poses", "slice", "poses"]
    now_ms[0] = AGAIN_MS - 1.0
    one.said()
    assert parts.left[3:] == []
    parts.slices_there = True
    one.said()
    one.said()
    assert parts.left[3:] == ["poses", "slice", "poses"]
    parts.slices_there, now_ms[0] = False, 2.0 * AGAIN_MS
    one.said()
    assert parts.left[6:] == ["poses", "slice"]


def test_the_first_slice_waits_for_the_pose_ahead_of_it_where_there_is_rate_control() -> None:
    controlled, free = Parts(), Parts()
    probe(controlled)
    probe(free, controlled=False)
    assert (controlled.awaited, free.awaited) == (True, False)


def test_nothing_leaves_early_without_a_pivot_on_its_way_or_without_rate_control() -> None:
    parts = Parts(in_first_round=False)
    probe(parts).said()
    probe(Parts(), controlled=False).said()
    assert parts.left == []


def a_slice() -> PivotSlice:
    return PivotSlice(0, 0, 1, 1, b"x")


def test_reports_about_the_peer_s_first_slice_are_urgent_unless_its_path_is_thin() -> None:
    for behind_ms, urgent in ((URGENT_WITHIN_MS - 1.0, URGENT_REPORTS), (URGENT_WITHIN_MS + 1.0, 0)):
        parts = Parts()
        one = probe(parts)
        one.heard(PivotAck(0, frozenset()), 1000.0)
        one.heard(a_slice(), 1000.0 + behind_ms)
        assert parts.urgent_reports == urgent
        parts.urgent_reports = 0
        one.heard(a_slice(), 1001.0 + behind_ms)
        assert parts.urgent_reports == 0, "only about the first"
