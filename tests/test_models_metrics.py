"""The pixel and motion measures against figures worked out elsewhere, and against cases whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoints import Image
from avcall.models.metrics import (
    MAX_PSNR_DB,
    flicker,
    flow_difference_px,
    longest_freeze_s,
    optical_flow,
    psnr,
    ssim,
    step_difference,
    visible_change,
    worst_second,
)


def drawn_pair() -> tuple[Image, Image]:
    """Two 64x48 pictures that a formula defines."""
    y, x = np.mgrid[0:48, 0:64]
    a = np.stack([(x * 4) % 256, (y * 5) % 256, (x * y) % 256], -1).astype(np.uint8)
    b = np.stack([(x * 4 + 9) % 256, (y * 5) % 256, (x * y // 2) % 256], -1).astype(np.uint8)
    return a, b


def test_psnr_of_a_known_error() -> None:
    black = np.zeros((16, 16, 3), np.uint8)
    assert psnr(black, black + 1) == pytest.approx(48.1308, abs=1e-4)  # 20 log10(255)
    assert psnr(*drawn_pair()) == pytest.approx(14.388031, abs=1e-5)  # scikit-image 0.26
    assert psnr(black, black) == MAX_PSNR_DB


def test_ssim_agrees_with_scikit_image() -> None:
    # structural_similarity(luma, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255), 0.26
    assert ssim(*drawn_pair()) == pytest.approx(0.769187792, abs=1e-8)
    assert ssim(drawn_pair()[0], drawn_pair()[0]) == pytest.approx(1.0)


def test_pictures_that_cannot_be_compared() -> None:
    a, b = drawn_pair()
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(a, b[:-1])
    with pytest.raises(ValueError, match="cannot be compared"):
        ssim(a, b[:-1])
    with pytest.raises(ValueError, match="11x11"):
        ssim(a[:10], b[:10])


def grey(level: int) -> Image:
    return np.full((32, 32, 3), level, np.uint8)


def test_flicker_is_the_second_difference() -> None:
    assert flicker([grey(10), grey(20), grey(30), grey(40)]) == pytest.approx(0, abs=1e-4)  # steady change
    assert flicker([grey(10), grey(20), grey(10), grey(20)]) == pytest.approx(20)
    assert flicker([grey(10), grey(10), grey(10), grey(16)]) == pytest.approx(3)  # 0 and 6
    assert np.isnan(flicker([grey(10), grey(20)]))


def test_flow_difference_of_a_shifted_and_a_still_picture() -> None:
    texture = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    wide = np.kron(texture, np.ones((8, 8, 1), np.uint8))
    moved = np.roll(wide, 2, axis=1)
    still, shifted = optical_flow(wide, wide), optical_flow(wide, moved)
    assert flow_difference_px(still, still) == 0
    middle = (slice(16, -16), slice(16, -16))
    assert flow_difference_px(shifted[middle], still[middle]) == pytest.approx(2, abs=0.3)


def test_step_difference() -> None:
    assert step_difference(np.array([0.1, 0.2]), np.array([0.0, 0.5])) == pytest.approx(0.2)


def test_a_freeze_counts_only_while_the_original_moves() -> None:
    original = [grey(0), grey(50), grey(0), grey(0), grey(50), grey(0)]
    moved = visible_change(original)
    assert moved.tolist() == [50, 50, 0, 50, 50]
    assert longest_freeze_s(moved, visible_change([grey(0)] * 6), fps=25) == pytest.approx(4 / 25)
    assert longest_freeze_s(moved, moved, fps=25) == 0
    resumed = np.array([0.0, 50, 0, 0, 0])
    assert longest_freeze_s(moved, resumed, fps=25) == pytest.approx(2 / 25)


def test_a_change_in_one_block_is_visible() -> None:
    after = np.zeros((256, 256, 3), np.uint8)
    after[32:48, 64:80] = 9
    assert visible_change([np.zeros_like(after), after]).tolist() == [pytest.approx(9, abs=0.01)]


def test_worst_second() -> None:
    series = np.array([0.0, 1, 2, 9, 0, 0])
    assert worst_second(series, per_second=2) == pytest.approx(5.5)
    assert worst_second(series, per_second=2, higher_is_worse=False) == 0
    assert worst_second(np.array([np.nan, 4.0, np.nan]), per_second=2) == 4
    assert worst_second(np.array([1.0, 3.0]), per_second=25) == 2
    assert np.isnan(worst_second(np.array([np.nan, np.nan]), per_second=2))
