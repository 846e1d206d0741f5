"""The pixel and motion measures against figures worked out elsewhere, and against cases whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.keypoints import Image
from avcall.models.metrics import MAX_PSNR_DB, psnr, ssim


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
