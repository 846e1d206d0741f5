"""What a target rate is spent on, in literal numbers."""

from __future__ import annotations

import pytest

from avcall.sender.rate_control_allowance import (
    KEYPOINTS_KBPS,
    SPANS_MS,
    Allowance,
    Wants,
    allow,
    motion_kbps,
)

ALL = Wants(voice_kbps=16.0, span_ms=40, pivot_kbps=400.0, side=512)


def spent(allowance: Allowance, other_kbps: float = 0.0) -> float:
    motion = motion_kbps(allowance.span_ms, allowance.repeat)
    return allowance.voice_kbps + motion + allowance.pivot_kbps + other_kbps


def test_headers_are_counted() -> None:
    assert motion_kbps(120, repeat=False) == pytest.approx(2.2 + 5.667, abs=1e-3)
    assert motion_kbps(200, repeat=True) == pytest.approx(1.8 + 3.4 + 0.4)
    assert tuple(KEYPOINTS_KBPS) == SPANS_MS


@pytest.mark.parametrize("target", [15, 20, 30, 50, 100, 200, 400])
def test_all_of_a_target_is_spent_and_no_more(target: float) -> None:
    assert spent(allow(target, ALL, other_kbps=1.0), 1.0) == pytest.approx(target)


def test_the_least_call_is_not_made_smaller() -> None:
    least = allow(10.0, ALL)
    assert least == Allowance(6.0, 200, False, 1.5, 1.5, 120, 256)
    assert spent(least) == pytest.approx(12.7)


def test_voice_comes_first_then_motion_then_pivots_then_resolution() -> None:
    rates = (14.0, 16.0, 20.0, 23.0, 26.0, 30.0, 50.0, 100.0)
    found = [allow(rate, ALL) for rate in rates]
    assert [round(each.voice_kbps, 1) for each in found] == [6.0, 8.0, 12.0, 16.0, 16.0, 16.0, 16.0, 16.0]
    assert [each.span_ms for each in found] == [200, 200, 200, 200, 160, 120, 40, 40]
    assert [round(each.pivot_kbps, 1) for each in found] == [2.8, 2.8, 2.8, 1.8, 3.9, 6.1, 12.8, 62.8]
    assert [each.side for each in found] == [256] * 6 + [512] * 2


def test_a_call_takes_what_it_wants_and_no_more() -> None:
    wants = Wants(voice_kbps=8.0, span_ms=120, pivot_kbps=3.0)
    assert allow(500.0, wants) == Allowance(8.0, 120, False, 3.0, pytest.approx(484.13, abs=0.01), 1088, 256)
    assert allow(500.0, Wants(voice_kbps=0.0, span_ms=120, pivot_kbps=3.0)).voice_kbps == 0.0


def test_a_span_that_was_asked_for_is_kept() -> None:
    for target in (12.0, 20.0, 500.0):
        assert allow(target, Wants(span_ms=80, longest_ms=80)).span_ms == 80


def test_losses_are_met_by_copies_before_anything_else_is_better() -> None:
    clean, lossy = allow(24.0, ALL), allow(24.0, ALL, loss=0.05)
    assert (clean.repeat, lossy.repeat) == (False, True)
    assert spent(lossy) == pytest.approx(24.0)
    assert lossy.pivot_kbps + lossy.voice_kbps < clean.pivot_kbps + clean.voice_kbps


def test_the_first_pivot_goes_before_better_voice_and_motion() -> None:
    first = allow(30.0, ALL, first_pivot=True)
    assert (first.voice_kbps, first.span_ms) == (6.0, 200)
    assert first.pivot_kbps == pytest.approx(30.0 - 6.0 - 5.2)


def test_spans_do_not_flutter() -> None:
    before: Allowance | None = None
    spans = []
    for step in range(100):
        before = allow(20.0 + (0.5 if step % 2 else -0.5), Wants(), before=before)
        spans.append(before.span_ms)
    assert len(set(spans[2:])) == 1


@pytest.mark.parametrize(("target", "size"), [(10.0, 120), (40.0, 215), (100.0, 665), (500.0, 1088)])
def test_slices_are_short_where_the_link_is_thin(target: float, size: int) -> None:
    assert allow(target, ALL).slice_bytes == size


def test_the_first_pivot_goes_on_where_not_even_the_least_fits_and_has_long_slices() -> None:
    thin, first = allow(11.0, ALL), allow(11.0, ALL, first_pivot=True)
    assert (thin.pace_kbps, thin.slice_bytes) == (1.5, 120)
    assert (first.pace_kbps, first.slice_bytes) == (3.2, 240)
    assert allow(14.6, ALL, first_pivot=True).pace_kbps == pytest.approx(3.4)


@pytest.mark.parametrize(("target", "thin"), [(10.0, True), (12.6, True), (14.0, False), (500.0, False)])
def test_where_nothing_is_left_over_the_least_motion_costs_less(target: float, thin: bool) -> None:
    assert allow(target, ALL).thin is thin
