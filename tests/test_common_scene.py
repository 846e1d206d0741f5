"""Similarities of the picture, and the motion of a scene between two frames."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.scene import STILL, SceneMotion, Similarity

PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [0.3, -0.8]])


def test_a_turn_a_growth_and_a_shift() -> None:
    moved = PLACES + Similarity.of(0.1, -0.2, np.log(2.0), np.pi / 2).displacement(PLACES)
    assert moved == pytest.approx(np.array([[0.1, -0.2], [0.1, 1.8], [1.7, 0.4]]))


def test_numbers_come_back_and_the_inverse_undoes() -> None:
    one, other = Similarity.of(0.1, -0.2, 0.05, 0.3), Similarity.of(-0.4, 0.1, -0.1, -0.2)
    assert one.numbers == pytest.approx((0.1, -0.2, 0.05, 0.3))
    assert one.after(one.inverse).numbers == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=1e-12)
    first = PLACES + other.displacement(PLACES)
    assert one.after(other).displacement(PLACES) == pytest.approx(first + one.displacement(first) - PLACES)


def test_what_stands_still_is_moved_by_nothing_at_all() -> None:
    places = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert not Similarity().inverse.displacement(places).any()
    assert Similarity().displacement(places).dtype == np.float32


def test_no_place_in_the_circle_moves_farther_than_the_reach() -> None:
    moved = Similarity.of(0.1, 0.05, 0.1, 0.1)
    angles = np.linspace(0.0, 2.0 * np.pi, 100)
    far = np.linalg.norm(moved.displacement(np.stack([np.cos(angles), np.sin(angles)], -1)), axis=-1).max()
    assert far == pytest.approx(moved.reach, rel=1e-2)


def test_between_two_motions_and_beyond() -> None:
    motion = SceneMotion(Similarity(shift=0.2 + 0j), Similarity(shift=0.4j))
    assert STILL.towards(motion, 0.5).background.shift == pytest.approx(0.1)
    assert STILL.towards(motion, 1.5).body.shift == pytest.approx(0.6j)
