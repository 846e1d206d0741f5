"""The search for the finest quality that fits."""

from __future__ import annotations

import math

import pytest

from avcall.bench.bandwidth_search import QualitySearch


class Encoder:
    """100 kB at quality 0, 8 % less at each step; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def size(self, quality: int) -> int:
        self.asked.append(quality)
        return round(100_000 * math.exp(-0.08 * quality))


@pytest.mark.parametrize("budget", [900, 2_000, 10_000, 50_000])
def test_it_finds_a_quality_within_seven_per_cent(budget: int) -> None:
    encoder = Encoder()
    found = QualitySearch(encoder.size, 0, 63, 40).best(budget)
    assert found is not None
    assert encoder.size(found) <= budget
    assert encoder.size(found - 1) > budget or encoder.size(found) >= 0.93 * budget


def test_it_needs_few_trials_and_none_twice() -> None:
    encoder = Encoder()
    search = QualitySearch(encoder.size, 0, 63, 40)
    for budget in (1_000, 2_000, 4_000, 8_000):
        search.best(budget)
    assert len(encoder.asked) == len(set(encoder.asked))
    assert len(encoder.asked) <= 14


def test_nothing_fits_below_the_floor() -> None:
    assert QualitySearch(Encoder().size, 0, 63, 40).best(600) is None


def test_the_finest_quality_is_the_end() -> None:
    assert QualitySearch(Encoder().size, 10, 63, 40).best(10**9) == 10


def test_sizes_that_do_not_fall_evenly_are_found_too() -> None:
    sizes = {quality: 5000 - 10 * quality - (2000 if quality > 30 else 0) for quality in range(64)}
    assert QualitySearch(sizes.__getitem__, 0, 63, 40).best(4000) in range(31, 34)
