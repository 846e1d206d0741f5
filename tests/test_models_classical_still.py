"""The background stands still."""

from __future__ import annotations

import numpy as np
import torch

from avcall.models.classical_still import hold_background, person_masks
from avcall.models.classical_warp import base_grid
from tests.classical_portrait import portrait_face

CPU = torch.device("cpu")
SEGMENTATION = np.zeros((64, 64), np.uint8)
SEGMENTATION[:, 16:48] = 255
BASE = base_grid(128, CPU)


def test_masks_keep_the_person_and_the_face_whatever_the_segmentation_says() -> None:
    masks = person_masks(SEGMENTATION, portrait_face(), CPU)
    assert masks.shape[:2] == (3, 1)
    assert masks[:, 0, :, 18:46].min() > 0.97
    assert masks[:2, 0, :, :4].max() < 0.01
    assert masks[2].min() == 1.0
    x, y = ((portrait_face().mesh[1, :2] + 1.0) * 31.5).round().astype(int)
    assert person_masks(np.zeros((64, 64), np.uint8), portrait_face(), CPU)[0, 0, y, x] > 0.99


def test_small_motions_are_held_close_to_the_person() -> None:
    masks = person_masks(SEGMENTATION, portrait_face(), CPU)
    field = torch.full((128, 128, 2), 0.01)
    held = hold_background(field, torch.ones(128, 128, dtype=torch.bool), masks, BASE)
    assert held[:, :12].abs().max() < 1e-4
    assert held[:, 116:].abs().max() < 1e-4
    assert torch.allclose(held[:, 36:92], field[:, 36:92], atol=1e-4)


def test_larger_motions_have_a_wider_band_and_the_largest_none() -> None:
    masks = person_masks(SEGMENTATION, portrait_face(), CPU)
    covered = torch.ones(128, 128, dtype=torch.bool)
    kept = []
    for size in (0.01, 0.04, 0.15, 0.3):
        held = hold_background(torch.tensor([0.0, size]).expand(128, 128, 2), covered, masks, BASE)
        kept.append(float(held[..., 1].mean()) / size)
    assert kept == sorted(kept)
    assert kept[-1] > 0.99


def test_stillness_stays_still() -> None:
    masks = person_masks(SEGMENTATION, portrait_face(), CPU)
    nothing = torch.zeros(128, 128, 2)
    assert hold_background(nothing, torch.zeros(128, 128, dtype=torch.bool), masks, BASE).abs().max() == 0.0
