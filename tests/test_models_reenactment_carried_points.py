"""Carried points stand still with the picture and move with it, at once."""

from __future__ import annotations

import cv2
import numpy as np

from avcall.models.reenactment.carried_points import CARRIED, CarriedPoints

PIXELS = 127.5


def _texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (256, 256, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4.0)
    return np.clip((smooth - 127.5) * 6 + 127.5, 0, 255).astype(np.uint8)


def _moved(picture: np.ndarray, x: float) -> np.ndarray:
    return cv2.warpAffine(picture, np.array([[1, 0, x], [0, 1, 0.0]]), (256, 256), borderMode=cv2.BORDER_REPLICATE)


def _points() -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.5, 0.5, (10, 2)).astype(np.float32)


def _jitter(points: list[np.ndarray]) -> float:
    return float(np.abs(np.diff(np.stack(points), 2, axis=0)).mean()) * PIXELS


def test_jitter_that_is_not_in_the_picture_is_halved() -> None:
    carried, generator = CarriedPoints(), np.random.default_rng(0)
    found = [_points() + generator.normal(scale=0.2 / PIXELS, size=(10, 2)).astype(np.float32) for _ in range(30)]
    steady = [carried.steady(_texture(), each) for each in found]
    assert steady[0].dtype == np.float32
    assert np.abs(steady[0] - found[0]).max() < 1e-6
    assert _jitter([each[CARRIED] for each in steady]) < 0.5 * _jitter([each[CARRIED] for each in found])
    assert np.abs(np.mean(steady, 0) - np.mean(found, 0)).max() * PIXELS < 0.2


def test_lips_and_lids_are_taken_as_found() -> None:
    carried, generator = CarriedPoints(), np.random.default_rng(0)
    for _ in range(5):
        found = _points() + generator.normal(scale=0.2 / PIXELS, size=(10, 2)).astype(np.float32)
        assert np.abs(carried.steady(_texture(), found) - found)[~CARRIED].max() < 1e-6


def test_a_movement_in_the_picture_is_not_late() -> None:
    carried, path = CarriedPoints(), [0.0] * 5 + [1.5 * i for i in range(10)] + [13.5] * 5
    for x in path:
        true = _points() + np.array([x / PIXELS, 0], dtype=np.float32)
        steady = carried.steady(_moved(_texture(), x), true)
        assert np.abs(steady - true).max() * PIXELS < 0.1


def test_what_moves_without_its_picture_is_taken_as_found() -> None:
    carried = CarriedPoints()
    carried.steady(_texture(), _points())
    jumped = _points() + np.float32(4 / PIXELS)
    assert np.abs(carried.steady(_texture(), jumped) - jumped).max() * PIXELS < 1e-3
    elsewhere = carried.steady(_texture(1), _points())  # a cut
    assert np.abs(elsewhere - _points()).max() * PIXELS < 1.0


def test_two_crops_in_turn_are_each_steadied() -> None:
    carried, generator = CarriedPoints(), np.random.default_rng(0)
    found, steady = [], []
    for _ in range(20):
        jittered = _points() + generator.normal(scale=0.2 / PIXELS, size=(10, 2)).astype(np.float32)
        found.append(jittered)
        steady.append(carried.steady(_texture(), jittered))
        other = jittered + np.float32(30 / PIXELS)
        carried.steady(np.roll(_texture(), (30, 30), (0, 1)), other)
    assert _jitter([each[CARRIED] for each in steady]) < 0.6 * _jitter([each[CARRIED] for each in found])


def test_pictures_of_another_size_start_anew() -> None:
    carried = CarriedPoints()
    carried.steady(_texture(), _points())
    small = cv2.resize(_texture(), (128, 128))
    assert np.abs(carried.steady(small, _points() + np.float32(0.001)) - _points() - 0.001).max() < 1e-6
