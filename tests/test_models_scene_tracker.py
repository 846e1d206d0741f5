"""A background that stands is exactly still; one that moves is followed, and so is the body then."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Landmarks
from avcall.common.scene import STILL
from avcall.models.scene_tracker import Scene, SceneTracker

PX = 127.5
LANDMARKS: Landmarks = np.zeros((468, 3), np.float32)
LANDMARKS[10, 1], LANDMARKS[152, 1] = -0.5, 0.0
"""Forehead and chin."""


def wall(seed: int) -> Image:
    """Blurred noise, larger than the picture."""
    noise = np.random.default_rng(seed).uniform(0, 255, (384, 384, 3))
    soft = cv2.GaussianBlur(noise, (0, 0), 12.0)
    return np.asarray(np.clip((soft - 127.5) * 12.0 + 127.5, 0, 255), np.uint8)


WALL, OTHER_WALL, COAT = wall(0), wall(1), wall(2)


def person(mask_side: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:mask_side, 0:mask_side] / (mask_side - 1.0) * 2.0 - 1.0
    return np.asarray((np.hypot(x, y + 0.2) < 0.4) | ((np.abs(x) < 0.7) & (y > 0.1)))


def segment(image: Image) -> NDArray[np.uint8]:
    return np.where(person(64), 255, 0).astype(np.uint8)


def picture(shift_px: float, body_px: float = 0.0, behind: Image = WALL) -> Image:
    def shifted(texture: Image, by_px: float) -> Image:
        moved = cv2.warpAffine(texture, np.array([[1.0, 0.0, by_px], [0.0, 1.0, 0.0]]), (384, 384))
        return np.asarray(moved[64:320, 64:320], np.uint8)

    grain = np.random.default_rng(round(1000 * shift_px) % 2**31).normal(0.0, 1.5, (256, 256, 3))
    image = np.where(person(256)[..., None], shifted(COAT, body_px), shifted(behind, shift_px))
    return np.asarray(np.clip(image + grain, 0, 255), np.uint8)


def follow(pictures: list[Image]) -> list[Scene]:
    tracker = SceneTracker(segment, itertools.count())
    return [tracker.track(image, LANDMARKS) for image in pictures]


def test_noise_and_a_swaying_body_move_nothing() -> None:
    scenes = follow([picture(0.0 + 1e-3 * n, 2.0 * np.sin(n / 3.0)) for n in range(60)])
    assert all(scene == scenes[0] for scene in scenes)


def test_a_pan_is_followed_and_ends_where_it_stops() -> None:
    way = [min(max(0.8 * (n - 5), 0.0), 48.0) for n in range(90)]
    scenes = follow([picture(by_px) for by_px in way])
    for by_px, scene in list(zip(way, scenes, strict=True))[10:]:
        shift = scene.since(scenes[0]).background.shift * PX
        assert shift.real == pytest.approx(by_px, abs=0.5 + 0.02 * by_px)
        assert abs(shift.imag) < 0.5
    assert scenes[-1] == scenes[-10]


def test_the_body_is_followed_while_the_background_moves() -> None:
    scenes = follow([picture(0.7 * n, 0.3 * n) for n in range(30)])
    motion = scenes[-1].since(scenes[5])
    assert motion.background.shift.real * PX == pytest.approx(17.5, abs=0.5)
    assert motion.body.shift.real * PX == pytest.approx(7.5, abs=0.5)


def test_a_plain_wall_says_nothing() -> None:
    grey = np.full((384, 384, 3), 128, np.uint8)
    scenes = follow([picture(1e-3 * n, 0.5 * n, grey) for n in range(30)])
    assert scenes[-1] == scenes[0]


def test_after_a_cut_nothing_is_known() -> None:
    scenes = follow([picture(0.7 * n) for n in range(20)] + [picture(0.0, behind=OTHER_WALL)] * 4)
    assert scenes[-1].epoch != scenes[19].epoch
    assert scenes[-1].since(scenes[19]) == STILL
