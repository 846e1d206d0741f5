"""Delta rates against known values."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from avcall.bench.bandwidth_bd import Pchip, bd_rate, distortion_at, frontier, rate_at

ANCHOR = [(4.0, 0.40), (8.0, 0.25), (16.0, 0.14), (32.0, 0.08)]


def test_half_the_rate_at_every_quality_is_minus_fifty_per_cent() -> None:
    half = [(rate / 2, quality) for rate, quality in ANCHOR]
    assert bd_rate(ANCHOR, half) == pytest.approx(-50.0)
    assert bd_rate(half, ANCHOR) == pytest.approx(100.0)


def test_a_curve_against_itself_is_zero() -> None:
    assert bd_rate(ANCHOR, ANCHOR) == pytest.approx(0.0)


def test_only_the_overlap_counts() -> None:
    tested = [(2.0, 0.60), (4.0, 0.25), (8.0, 0.14)]
    assert bd_rate(ANCHOR, tested) == pytest.approx(-50.0, abs=4.0)


def test_qualities_that_do_not_overlap_have_no_delta_rate() -> None:
    assert bd_rate(ANCHOR, [(1.0, 0.9), (2.0, 0.7)]) is None
    assert bd_rate(ANCHOR, [(1.0, 0.2)]) is None


def test_the_frontier_leaves_out_what_another_point_beats() -> None:
    assert frontier([(8.0, 0.3), (4.0, 0.4), (6.0, 0.45), (16.0, 0.1)]) == [(4.0, 0.4), (8.0, 0.3), (16.0, 0.1)]


def test_the_rate_at_a_measured_quality_is_the_measured_rate() -> None:
    assert rate_at(ANCHOR, 0.25) == pytest.approx(8.0)
    assert 8.0 < (rate_at(ANCHOR, 0.2) or 0.0) < 16.0
    assert rate_at(ANCHOR, 0.5) is None
    assert rate_at(ANCHOR, 0.05) is None


def test_the_quality_at_a_rate_is_none_below_the_curve_and_the_best_above() -> None:
    assert distortion_at(ANCHOR, 3.9) is None
    assert distortion_at(ANCHOR, 8.0) == pytest.approx(0.25)
    assert distortion_at(ANCHOR, 100.0) == 0.08


def test_pchip_agrees_with_values_worked_out_by_hand() -> None:
    """Slopes inside: (w1 + w2) / (w1 / d0 + w2 / d1), w1 = 2 h1 + h0, w2 = h1 + 2 h0; here h = 1, 1, so 2 d0 d1 /
    (d0 + d1) = 1.5 at x = 1 between secants 1 and 3; at the ends (3 d0 - d1) / 2 = 0 and (3 * 3 - 1) / 2 = 4."""
    cubic = Pchip(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 4.0]))
    assert cubic(1.0) == 1.0
    assert cubic(0.5) == pytest.approx(0.5 - 1.5 / 8)
    assert cubic(1.5) == pytest.approx(2.5 + (1.5 - 4.0) / 8)
    # the integral of a Hermite cubic over h is h (y0 + y1) / 2 + h^2 (m0 - m1) / 12
    assert cubic.integral(0.0, 2.0) == pytest.approx((0.5 - 1.5 / 12) + (2.5 + (1.5 - 4.0) / 12))


def test_pchip_does_not_overshoot_at_a_step() -> None:
    cubic = Pchip(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    values = [cubic(at) for at in np.linspace(0.0, 3.0, 61)]
    assert min(values) == 0.0
    assert max(values) == 1.0
    assert all(after >= before for before, after in pairwise(values))
    assert math.isclose(cubic(1.5), 0.5)
