"""Compares two rate-quality curves: Bjontegaard's delta rate, and the rate at equal quality.

G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33 (2001), with the log of the rate
interpolated over the quality by the monotone piecewise cubic of Fritsch and Carlson (SIAM J. Numer. Anal. 17, 1980),
in Butland's form (Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984), as is usual since JCTVC-E137.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
"""(rate, distortion); less of either is better."""


def frontier(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both, by rising rate and falling distortion."""
    kept: list[Point] = []
    for rate, distortion in sorted(points):
        if not kept or distortion < kept[-1][1]:
            kept.append((rate, distortion))
    return kept


def bd_rate(anchor: Sequence[Point], tested: Sequence[Point]) -> float | None:
    """Mean difference of `tested`'s rate from `anchor`'s at the same distortion, in per cent; negative where `tested`
    needs less. None where the distortions of their frontiers do not overlap, or a frontier has less than two points."""
    a, b = frontier(anchor), frontier(tested)
    if len(a) < 2 or len(b) < 2:
        return None
    low, high = max(a[-1][1], b[-1][1]), min(a[0][1], b[0][1])
    if high <= low:
        return None
    difference = (_area(b, low, high) - _area(a, low, high)) / (high - low)
    return (math.exp(difference) - 1) * 100


def rate_at(curve: Sequence[Point], distortion: float) -> float | None:
    """The rate at which a curve's frontier reaches a distortion; None where it never does, or starts below it."""
    points = frontier(curve)
    if not points or not points[-1][1] <= distortion <= points[0][1]:
        return None
    if len(points) == 1:
        return points[0][0]
    x, y = _ascending(points)
    return float(np.exp(Pchip(x, y)(distortion)))


def distortion_at(curve: Sequence[Point], rate: float) -> float | None:
    """The least distortion of a curve at no more than a rate; None where it does not go so low."""
    points = frontier(curve)
    if not points or rate < points[0][0]:
        return None
    if rate >= points[-1][0]:
        return points[-1][1]
    x = np.log([point[0] for point in points])
    return float(Pchip(x, np.array([point[1] for point in points]))(math.log(rate)))


class Pchip:
    """The monotone cubic through (x, y); x rises strictly, and has at least two values."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._x, self._y = x, y
        self._slopes = _slopes(np.diff(x), np.diff(y) / np.diff(x))

    def __call__(self, at: float) -> float:
        """The value at one place within [x[0], x[-1]]."""
        i = min(max(int(np.searchsorted(self._x, at, side="right")) - 1, 0), len(self._x) - 2)
        a, b, c, d = self._cubic(i)
        t = at - float(self._x[i])
        return a + t * (b + t * (c + t * d))

    def integral(self, low: float, high: float) -> float:
        """The integral over [low, high] within [x[0], x[-1]]."""
        total = 0.0
        for i in range(len(self._x) - 1):
            left, right = float(self._x[i]), float(self._x[i + 1])
            start, end = max(left, low) - left, min(right, high) - left
            if end > start:
                total += self._primitive(i, end) - self._primitive(i, start)
        return total

    def _cubic(self, i: int) -> tuple[float, float, float, float]:
        h = float(self._x[i + 1] - self._x[i])
        delta = float(self._y[i + 1] - self._y[i]) / h
        here, there = float(self._slopes[i]), float(self._slopes[i + 1])
        return float(self._y[i]), here, (3 * delta - 2 * here - there) / h, (here + there - 2 * delta) / h**2

    def _primitive(self, i: int, t: float) -> float:
        a, b, c, d = self._cubic(i)
        return t * (a + t * (b / 2 + t * (c / 3 + t * d / 4)))


def _slopes(h: NDArray[np.float64], delta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivatives at the points: inside the weighted harmonic mean of the neighbouring secants (0 where they differ in
    sign), at the ends the three-point formula, limited so that the curve stays monotone."""
    if len(h) == 1:
        return np.array([delta[0], delta[0]])
    slopes = np.zeros(len(h) + 1)
    for i in range(1, len(h)):
        if delta[i - 1] * delta[i] > 0:
            before, after = 2 * h[i] + h[i - 1], h[i] + 2 * h[i - 1]
            slopes[i] = (before + after) / (before / delta[i - 1] + after / delta[i])
    slopes[0] = _end_slope(h[0], h[1], delta[0], delta[1])
    slopes[-1] = _end_slope(h[-1], h[-2], delta[-1], delta[-2])
    return slopes


def _end_slope(h0: float, h1: float, delta0: float, delta1: float) -> float:
    slope = ((2 * h0 + h1) * delta0 - h0 * delta1) / (h0 + h1)
    if slope * delta0 <= 0:
        return 0.0
    if delta0 * delta1 < 0 and abs(slope) > 3 * abs(delta0):
        return 3 * delta0
    return slope


def _ascending(points: Sequence[Point]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distortion, rising, and the log of the rate."""
    turned = points[::-1]
    return np.array([d for _, d in turned]), np.log([rate for rate, _ in turned])


def _area(points: Sequence[Point], low: float, high: float) -> float:
    return Pchip(*_ascending(points)).integral(low, high)
