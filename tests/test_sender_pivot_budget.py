"""Bits saved and owed."""

from __future__ import annotations

import pytest

from avcall.sender.pivot_budget import SAVED_S, PivotBudget


def test_it_fills_at_its_rate_up_to_four_seconds_worth() -> None:
    budget = PivotBudget(3.0)
    assert SAVED_S == 4.0
    assert budget.share(1000.0) == 0.0
    assert budget.share(2000.0) == pytest.approx(0.25)
    assert budget.share(60_000.0) == 1.0


def test_a_link_is_owed_in_full() -> None:
    budget = PivotBudget(3.0)  # 12,000 bits fit
    budget.share(0.0)
    budget.spend(3000, 0.0)
    assert budget.share(0.0) == pytest.approx(-2.0)
    assert budget.share(4000.0) == pytest.approx(-1.0)


def test_what_is_saved_affords_as_much_and_more_can_be_saved_where_told() -> None:
    budget = PivotBudget(3.0, saved_s=30.0)
    assert not budget.affords(1, 0.0)
    assert not budget.affords(7500, 19_900.0)
    assert budget.affords(7500, 20_000.0)
    budget.spend(9000, 20_000.0)
    assert not budget.affords(1, 23_900.0)
    assert budget.share(60_000.0) == 1.0
    assert budget.affords(11_250, 60_000.0)
    assert not budget.affords(11_251, 60_000.0)


def test_another_rate_keeps_the_seconds() -> None:
    budget = PivotBudget(3.0)
    budget.share(0.0)
    budget.set(6.0, 2000.0)
    assert budget.kbps == 6.0
    assert budget.share(2000.0) == pytest.approx(0.5)
    assert budget.share(3000.0) == pytest.approx(0.75)


def test_a_clock_that_goes_back_fills_nothing() -> None:
    budget = PivotBudget(3.0)
    budget.share(5000.0)
    assert budget.share(1000.0) == 0.0
    assert budget.share(5000.0) == 0.0
