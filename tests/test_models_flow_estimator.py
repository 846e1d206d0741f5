"""A flow that was put in is found again; where there is nothing to see, none is made up."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image
from avcall.common.residual_flow import field
from avcall.models.flow_estimator import FlowEstimator
from tests.test_common_residual_flow import FACE, flow

PX = 127.5
ELSEWHERE = FACE * np.float32(0.05) + np.float32(0.9)
"""Keypoints in a corner, out of the way."""


def texture(seed: int, contrast: float = 12.0) -> Image:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, (256, 256, 3)), (0, 0), 8.0)
    return np.asarray(np.clip((noise - 127.5) * contrast + 127.5, 0, 255), np.uint8)


def moved(image: Image, by_px: NDArray[np.float32]) -> Image:
    """Every pixel from `by_px` (256, 256, 2) away."""
    y, x = np.mgrid[0:256, 0:256].astype(np.float32)
    return np.asarray(
        cv2.remap(image, x + by_px[..., 0], y + by_px[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    )


def found_px(estimator: FlowEstimator, shown: Image, frame: Image, times: int = 4) -> NDArray[np.float32]:
    told: tuple[float, ...] = ()
    for _ in range(times):
        told = estimator.follow(shown, frame, ELSEWHERE)
    return field(told, 256) * np.float32(PX) if told else np.zeros((256, 256, 2), np.float32)


def test_a_smooth_flow_is_found_to_a_third_of_a_pixel() -> None:
    true_px = field(flow({(0, 0): 20, (1, 0): 12}, {(0, 1): -16}), 256) * np.float32(PX)
    found = found_px(FlowEstimator(), texture(0), moved(texture(0), true_px))
    assert np.abs(true_px).mean() > 1.0
    assert np.abs(found - true_px)[32:-96, 32:-96].mean() < 0.33


def test_pictures_that_are_alike_have_none() -> None:
    noisy = np.clip(texture(0) + np.random.default_rng(1).normal(0, 3, (256, 256, 3)), 0, 255).astype(np.uint8)
    assert FlowEstimator().follow(texture(0), noisy, ELSEWHERE) == ()


def test_light_alone_makes_none() -> None:
    brighter = np.clip(texture(0, 6.0).astype(np.float32) + 12.0, 0, 255).astype(np.uint8)
    assert FlowEstimator().follow(texture(0, 6.0), brighter, ELSEWHERE) == ()


def test_a_flat_picture_has_none() -> None:
    flat = np.full((256, 256, 3), 90, np.uint8)
    assert FlowEstimator().follow(flat, flat + np.uint8(20), ELSEWHERE) == ()


def test_another_picture_has_little() -> None:
    estimator = FlowEstimator()
    still = found_px(estimator, texture(0), texture(7))
    assert np.abs(still).mean() < 1.0


def test_what_was_told_stays_until_it_is_clearly_wrong() -> None:
    estimator = FlowEstimator()
    steps = field(flow({(0, 0): 20}, {}), 256) * np.float32(PX)
    frames = [moved(texture(0), steps * np.float32(1.0 + 0.02 * (-1) ** n)) for n in range(12)]
    told = [estimator.follow(texture(0), frame, ELSEWHERE) for frame in frames]
    assert told[3:] == [told[3]] * 9
    assert told[3][0] != 0


def test_lips_do_not_speak() -> None:
    shift = np.zeros((256, 256, 2), np.float32)
    shift[150:186, 96:160] = 5.0
    assert FlowEstimator().follow(texture(0), moved(texture(0), shift), FACE * np.float32(1.0)) == ()
