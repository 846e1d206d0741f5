"""The measure of seams, and the table of the super-resolution bench."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avcall.bench.super_resolution import seam_contrast
from avcall.bench.super_resolution_table import COLUMNS, table


def test_seams_stand_out_at_the_borders_of_patches_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3)).astype(np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.0), dtype=np.uint8)
    assert seam_contrast(image) == pytest.approx(1.0, abs=0.06)
    patches = np.add.outer(np.arange(512) // 64 % 2, np.arange(512) // 64 % 2) % 2
    seams = image + (6 * patches[..., None]).astype(np.uint8)  # every other patch a little brighter
    assert seam_contrast(seams) > 1.4
    elsewhere = np.roll(seams, 32, axis=(0, 1))  # as much contrast, but inside the patches
    assert seam_contrast(elsewhere) < 1.05


def test_the_table_has_a_row_a_system() -> None:
    metrics = {name: 0.125 for _, name, _ in COLUMNS}
    rows = table({"systems": [{"system": "direct_512", "metrics": metrics}, {"system": "guided", "metrics": metrics}]})
    assert rows.splitlines()[2] == "| direct 512 | 0.125 | 0.125 | 0.12 | 0.125 | 0.12 | 0.125 | 0.1 | 0.1 |"
    assert len(rows.splitlines()) == 4
