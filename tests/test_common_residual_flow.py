"""A smooth field from few numbers, that leaves mouth and eyes alone."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.residual_flow import ORDER, STEP, WAVES, around_features, between, field
from avcall.common.scene import SceneMotion

LIPS, EYES = [(0, 0.3), (0, 0.34), (-0.2, 0.32), (0.2, 0.32)], [(-0.25, -0.2), (0.25, -0.2), (-0.4, -0.2), (0.4, -0.2)]
FACE = np.array([*LIPS, (0, 0.7), (0, 0), *EYES], np.float32)


def flow(x: dict[tuple[int, int], int], y: dict[tuple[int, int], int]) -> tuple[int, ...]:
    """Of amplitudes by (frequency in y, frequency in x)."""
    return tuple(axis.get(wave, 0) for axis in (x, y) for wave in ORDER)


def test_there_are_36_waves_the_slow_ones_first() -> None:
    assert WAVES == 36
    assert ORDER[:4] == ((0, 0), (0, 1), (1, 0), (0, 2))
    assert len(set(ORDER)) == WAVES
    assert max(map(sum, ORDER)) == 7


def test_a_constant_flow_is_the_same_everywhere() -> None:
    assert np.allclose(field(flow({(0, 0): 10}, {(0, 0): -4}), 16), [10 * STEP, -4 * STEP])


def test_waves_go_from_edge_to_edge_in_steps_of_one_mean_square() -> None:
    found = field(flow({(0, 1): 1}, {(2, 3): 1}), 65)
    assert found[0, [0, 32, 64], 0] == pytest.approx([STEP * 2**0.5, 0.0, -STEP * 2**0.5], abs=1e-7)
    assert found[[0, 32, 64], 0, 1] == pytest.approx([2 * STEP, -2 * STEP, 2 * STEP])
    fine = field(flow({(0, 1): 1}, {(2, 3): 1}), 512)
    assert np.square(fine).mean((0, 1)) == pytest.approx([STEP**2, STEP**2], rel=0.02)


def test_lips_and_eyes_stand_and_the_rest_flows() -> None:
    share = around_features(FACE, 101)

    def at(x: float, y: float) -> float:
        return float(share[round(50 * (y + 1)), round(50 * (x + 1))])

    assert [at(*point) for point in FACE[[0, 1, 2, 3, 6, 7, 8, 9]]] == pytest.approx([0.0] * 8, abs=0.05)
    assert [at(0, -0.7), at(0, 0.9), at(-0.9, 0.3), at(0.9, -0.9)] == [1.0] * 4


def test_degenerate_keypoints_make_no_nan() -> None:
    assert np.isfinite(around_features(np.zeros((10, 2), np.float32), 32)).all()


def test_between_two_flows_none_counts_as_zero() -> None:
    some = flow({(0, 0): 8}, {})
    assert between((), some, 0.25)[0] == 2.0
    assert between(some, (), 0.25)[0] == 6.0
    assert between((), (), 0.5) == ()
    assert SceneMotion(flow=some).towards(SceneMotion(), 1.0).flow == (0.0,) * (2 * WAVES)
