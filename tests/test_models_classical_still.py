"""The background stands still, or goes where the camera takes it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avcall.common.scene import SceneMotion, Similarity
from avcall.models.classical_still import hold_background, person_masks
from avcall.models.classical_warp import base_grid
from tests.classical_portrait import portrait_face

SEGMENTATION = np.zeros((64, 64), np.uint8)
SEGMENTATION[:, 16:48] = 255
BASE = base_grid(128)


def test_masks_keep_the_person_and_the_face_whatever_the_segmentation_says() -> None:
    masks = person_masks(SEGMENTATION, portrait_face())
    assert masks.shape[:2] == (3, 1)
    assert masks[:, 0, :, 18:46].min() > 0.97
    assert masks[:2, 0, :, :4].max() < 0.01
    assert masks[2].min() == 1.0
    x, y = ((portrait_face().mesh[1, :2] + 1.0) * 31.5).round().astype(int)
    assert person_masks(np.zeros((64, 64), np.uint8), portrait_face())[0, 0, y, x] > 0.99


def test_small_motions_are_held_close_to_the_person() -> None:
    masks = person_masks(SEGMENTATION, portrait_face())
    field = np.full((128, 128, 2), 0.01, np.float32)
    held = hold_background(field, np.ones((128, 128), bool), masks, BASE)
    assert np.abs(held[:, :12]).max() < 1e-4
    assert np.abs(held[:, 116:]).max() < 1e-4
    assert np.allclose(held[:, 36:92], field[:, 36:92], atol=1e-4)


def test_larger_motions_have_a_wider_band_and_the_largest_none() -> None:
    masks = person_masks(SEGMENTATION, portrait_face())
    covered = np.ones((128, 128), bool)
    kept = []
    for size in (0.01, 0.04, 0.15, 0.3):
        held = hold_background(np.full((128, 128, 2), [0.0, size], np.float32), covered, masks, BASE)
        kept.append(float(held[..., 1].mean()) / size)
    assert kept == sorted(kept)
    assert kept[-1] > 0.99


def test_stillness_stays_still() -> None:
    masks = person_masks(SEGMENTATION, portrait_face())
    nothing = np.zeros((128, 128, 2), np.float32)
    assert not hold_background(nothing, np.zeros((128, 128), bool), masks, BASE).any()


def test_the_background_goes_where_the_camera_takes_it() -> None:
    masks = person_masks(SEGMENTATION, portrait_face())
    nothing, nowhere = np.zeros((128, 128, 2), np.float32), np.zeros((128, 128), bool)
    panned = SceneMotion(background=Similarity(shift=0.1 + 0.05j), body=Similarity(shift=-0.02j))
    held = hold_background(nothing, nowhere, masks, BASE, panned)
    background = masks[0, 0][::63, ::63] == 0.0
    corners = held[::127, ::127]
    assert background.any()
    assert corners[background] == pytest.approx(np.array([[-0.1, -0.05]] * int(background.sum())), abs=1e-6)
    y, x = np.argwhere(cv2.resize(masks[0, 0], (128, 128)) > 0.999)[-1]
    assert held[y, x] == pytest.approx([0.0, 0.02], abs=0.01)
