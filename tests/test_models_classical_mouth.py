"""The inside of a mouth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avcall.common.keypoints import CHIN, LOWER_LIP
from avcall.models.classical_face import move_face
from avcall.models.classical_mouth import mouth_look, paint_mouth
from avcall.models.classical_openings import MOUTH, depth_inside, outline
from avcall.models.classical_warp import base_grid
from tests.classical_portrait import portrait, portrait_face, portrait_keypoints


def test_only_the_gap_between_the_lips_is_painted() -> None:
    base = base_grid(256)
    look = mouth_look(portrait(), base, portrait_face())
    keypoints = portrait_keypoints()
    keypoints[[LOWER_LIP, CHIN], 1] += np.float32(0.15)
    motion = move_face(portrait_face(), keypoints)
    result = np.full((256, 256, 3), 300.0, np.float32)
    paint_mouth(result, base, portrait_face(), look, motion)
    inside = depth_inside(base, outline(motion.moved, MOUTH)) > 0.0
    assert (result[~inside] == 300.0).all()
    deep = depth_inside(base, outline(motion.moved, MOUTH)) > 0.02
    assert deep.sum() > 50
    assert result[deep].max() < 260.0
    assert result[deep].min() >= -20.0


def test_colours_come_from_the_pivot() -> None:
    base = base_grid(256)
    bright = mouth_look(portrait(), base, portrait_face())
    dark = mouth_look(portrait() // 2, base, portrait_face())
    assert np.allclose(dark.lips, bright.lips / 2, atol=1.0)
    assert np.allclose(dark.teeth, bright.teeth / 2, atol=1.0)
    assert bright.lips.mean() < bright.teeth.mean()
    assert bright.inside.shape == (256, 256, 4)


def test_what_lies_between_shut_lips_is_not_the_inside_of_a_mouth() -> None:
    base = base_grid(256)
    shown = []
    for gap in (0.04, 0.06, 0.08):
        mesh = portrait_face().mesh.copy()
        upper, lower = mesh[13, :2], mesh[14, :2]
        lower[:] = upper + (lower - upper) / np.linalg.norm(lower - upper) * gap * portrait_face().unit
        look = mouth_look(portrait(), base, replace(portrait_face(), mesh=mesh))
        shown.append(look.inside[..., 3].max())
    assert shown[0] == 0.0
    assert 0.0 < shown[1] < shown[2]
    assert shown[2] > 200.0


def test_painted_teeth_are_a_row_not_a_plate() -> None:
    base = base_grid(256)
    face = portrait_face()
    look = replace(mouth_look(portrait(), base, face), inside=np.zeros((256, 256, 4), np.float32))
    keypoints = portrait_keypoints()
    keypoints[[LOWER_LIP, CHIN], 1] += np.float32(0.2)
    motion = move_face(face, keypoints)
    result = np.zeros((256, 256, 3), np.float32)
    paint_mouth(result, base, face, look, motion)
    local = ((base - motion.moved[13, :2].astype(np.float32)).reshape(-1, 2) @ look.axes).reshape(256, 256, 2)
    across, down = np.abs(local[..., 0]), local[..., 1]
    row = (down > 0.045) & (down < 0.07)

    def brightness(at: float) -> float:
        return float(result[row & (np.abs(across - at) < 0.025)].mean())

    assert brightness(0.0) < 0.95 * brightness(0.17)  # the gap in the middle, and the middle of a tooth
    assert brightness(0.34) < 0.97 * (brightness(0.26) + brightness(0.42)) / 2  # the next gap, in the row's slope
    assert brightness(0.47) < 0.95 * brightness(0.17)  # the row bends away
