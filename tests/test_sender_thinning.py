"""Every n-th pose travels, and both sides of a change always."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.frames import Pose
from avcall.sender.thinning import Thinner

POINTS = np.zeros((10, 2), dtype=np.float32)


def sent(thinner: Thinner, pivots: str, lost: str = "") -> list[int]:
    """Which frames leave, by number; one letter a frame says which pivot it refers to."""
    numbers = []
    for number, pivot in enumerate(pivots):
        pose = Pose(40.0 * number, ord(pivot), POINTS, lost[number : number + 1] == "x")
        numbers += [round(pose.capture_ms / 40) for pose, _ in thinner.take(pose, POINTS)]
    return numbers


@pytest.mark.parametrize(
    ("every", "expected"), [(1, [0, 1, 2, 3, 4, 5, 6]), (2, [0, 2, 4, 6]), (3, [0, 3, 6]), (4, [0, 4])]
)
def test_every_nth_pose_leaves(every: int, expected: list[int]) -> None:
    assert sent(Thinner(every), "aaaaaaa") == expected


def test_both_sides_of_a_change_of_pivot_leave_and_the_count_starts_again() -> None:
    assert sent(Thinner(3), "aaaaabbbbbb") == [0, 3, 4, 5, 8]


def test_a_pose_that_has_left_is_not_sent_again_at_a_change() -> None:
    assert sent(Thinner(2), "aaabbb") == [0, 2, 3, 5]


def test_a_face_that_is_lost_and_returns_is_a_change() -> None:
    assert sent(Thinner(3), "aaaaaaaa", "--xxxx--") == [0, 1, 2, 5, 6]


def test_it_can_be_changed_on_the_way() -> None:
    thinner = Thinner(3)
    assert sent(thinner, "aaaa") == [0, 3]
    thinner.every = 1
    assert sent(thinner, "aa") == [0, 1]
