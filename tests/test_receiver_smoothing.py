"""Slow motion is found between the steps it was rounded to; fast motion stays as it was told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avcall.receiver.smoothing import WITHIN, smoothed

RUN = 3


def run_by_run(told: NDArray[np.float64]) -> NDArray[np.float64]:
    past = told[:0]
    for first in range(0, len(told), RUN):
        past = np.concatenate([past, smoothed(told[first : first + RUN], past)])
    return past


def test_a_slow_drift_trembles_less_and_is_nearer() -> None:
    truth = 4.0 * np.sin(np.arange(90)[:, None] / 12.0 + np.arange(8))
    told = np.rint(truth)
    found = run_by_run(told)
    assert np.abs(np.diff(found - truth, axis=0)).mean() < 0.7 * np.abs(np.diff(told - truth, axis=0)).mean()
    assert np.abs(found - truth).mean() < 0.9 * np.abs(told - truth).mean()


def test_what_is_found_rounds_to_what_was_told() -> None:
    told = np.rint(np.random.default_rng(0).normal(0, 1.5, (30, 1)).cumsum(axis=0))
    found = run_by_run(told)
    assert np.array_equal(np.rint(found), told)
    assert np.abs(found - told).max() < WITHIN + 1e-9


def test_a_blink_is_left_as_it_was_told() -> None:
    told = np.array([[0.0], [0.0], [9.0], [9.0], [0.0], [0.0]])
    assert np.array_equal(run_by_run(told), told)


def test_a_first_row_alone_and_a_straight_line_stay() -> None:
    assert np.array_equal(smoothed(np.array([[4.0]]), np.zeros((0, 1))), [[4.0]])
    line = np.arange(12.0)[:, None]
    assert np.allclose(run_by_run(line), line)
