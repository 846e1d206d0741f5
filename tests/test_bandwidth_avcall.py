"""avcall's own cells: real packets, decoded again."""

from __future__ import annotations

import cv2
import numpy as np

from avcall.bench.bandwidth_avcall import AvcallRunner, send_keypoints, send_pivots
from avcall.bench.bandwidth_systems import Setting
from avcall.bench.evaluate_show import WHOLE
from avcall.common import wire
from avcall.common.keypoints import Image, Keypoints
from avcall.models.classical import ClassicalReenactor, MeshDetector
from avcall.models.interfaces import Guide
from avcall.models.twins import BicubicSuperResolver
from avcall.sender.analysis import View
from tests.classical_portrait import portrait, portrait_landmarks


def test_every_frame_comes_back_within_the_coder_s_step() -> None:
    steps = np.linspace(0.0, 0.1, 13)
    found: list[Keypoints] = [np.full((10, 2), step, dtype=np.float32) for step in steps]
    blank = np.zeros((256, 256, 3), np.uint8)
    poses = send_keypoints([View(WHOLE, blank, points) for points in found], [0, 6])
    assert len(poses.keypoints) == 13
    for sent, received in zip(found, poses.keypoints, strict=True):
        assert np.abs(sent - received).max() <= 1 / 512 + 1e-6
    assert len(poses.packets) == 5  # three frames each, none across the new pivot: 3 3, 3 3 1
    assert all(len(packet) < 60 for packet in poses.packets)


def test_pivots_come_back_as_pictures_and_cost_less_after_the_first() -> None:
    y, x = np.mgrid[0:128, 0:128]
    images: list[Image] = [np.stack([x + shift, y, 255 - x], axis=-1).astype(np.uint8) for shift in (0, 1, 2)]
    points: list[Keypoints] = [np.zeros((10, 2), dtype=np.float32)] * 3
    pivots = send_pivots(images, points, [0, 25, 50], 45)
    assert [picture.shape for picture in pivots.pictures] == [(128, 128, 3)] * 3
    assert np.abs(pivots.pictures[2].astype(int) - images[2]).mean() < 8
    sizes = [len(packet) for packet in pivots.packets]
    assert sizes[0] > sizes[1]
    assert all(isinstance(wire.parse(packet), wire.PivotSlice) for packet in pivots.packets)


def test_a_still_face_is_shown_as_it_is_and_counted_whole() -> None:
    frames, meshes = [portrait()] * 26, [portrait_landmarks()] * 26
    runner = AvcallRunner(MeshDetector(), ClassicalReenactor("cpu"), frames, meshes, BicubicSuperResolver())
    coarse, fine = (runner.fit(Setting(256, 25.0, 1.0), budget) for budget in (4_000, 20_000))
    assert coarse.fits
    assert fine.fits
    assert coarse.payload_bytes <= 4_000 < fine.payload_bytes
    assert coarse.payload["keypoints"] == fine.payload["keypoints"]
    packets, rest = divmod(coarse.wire_bytes - coarse.payload_bytes, 85)
    assert rest == 0
    assert packets >= 9 + 1 + 2  # bundles of three frames, one of the last, and two pivots
    shown = runner.shown(fine)
    assert len(shown) == 26
    assert np.abs(shown[13].astype(int) - portrait()).mean() < 6
    assert not runner.fit(Setting(256, 25.0, 1.0), 100).fits


def test_a_glimpse_is_a_part_of_what_is_shown() -> None:
    frames, meshes = [portrait()] * 30, [portrait_landmarks()] * 30
    runner = AvcallRunner(MeshDetector(), ClassicalReenactor("cpu"), frames, meshes, BicubicSuperResolver())
    candidate = runner.fit(Setting(256, 25.0, 1.0), 10_000)
    shown, glimpse = runner.shown(candidate), runner.glimpse(candidate, [3, 27])
    assert np.array_equal(glimpse[0], shown[3])
    assert np.array_equal(glimpse[1], shown[27])


class NotingResolver(BicubicSuperResolver):
    def __init__(self) -> None:
        self.sides: list[tuple[int, int | None]] = []

    def upscale(self, image: Image, side: int, guide: Guide | None = None) -> Image:
        assert guide is not None
        self.sides.append((len(image), None if guide.reference is None else len(guide.reference)))
        return super().upscale(image, side, guide)


def test_a_display_of_512_gets_pictures_of_256_enlarged_and_by_a_pivot_of_512_guided() -> None:
    large = np.asarray(cv2.resize(portrait(), (512, 512), interpolation=cv2.INTER_CUBIC))
    upscaler = NotingResolver()
    meshes = [portrait_landmarks()] * 2
    runner = AvcallRunner(MeshDetector(), ClassicalReenactor("cpu"), [large] * 2, meshes, upscaler)
    for side in (256, 512):
        candidate = runner.fit(Setting(side, 25.0, 1.0), 20_000)
        assert runner.glimpse(candidate, [1])[0].shape == (512, 512, 3)
    assert upscaler.sides == [(256, None), (256, 512)]
