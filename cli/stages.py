"""The stages that make a picture, each with its versions, and the frame budget that chooses among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np

from avcall.bench.sample import PORTRAIT
from avcall.common.clock import Clock
from avcall.common.config import DISPLAY_FPS
from avcall.common.errors import InputError
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, to_pixels
from avcall.common.stats import Stats
from avcall.models.face_mesh import FaceMesh
from avcall.models.interfaces import Guide, Interpolator, Reenactor
from avcall.models.registry import load_enhancers, load_interpolators, load_super_resolvers
from avcall.receiver.budget import PERIOD_MS, FrameBudget, Version
from avcall.receiver.ladders import DRIVE, ENHANCE, ORDER, UPSCALE, EnhancerLadder, ReenactorLadder, SuperResolverLadder

_SIDE = 256
_SETTLING_S = 20.0
_CALL_SETTLES_MS = 1000.0
"""Pivots, sound and connection take most in a call's first second."""
_FACE_SHARE = 3.0
"""Side of the priced picture, in extents of the keypoints."""


@dataclass(frozen=True, slots=True)
class Stages:
    """What a `Receiver` is given."""

    reenactor: ReenactorLadder
    upscaler: SuperResolverLadder
    enhancer: EnhancerLadder
    budget: FrameBudget
    prices: dict[str, Sequence[Version]]
    """What each version of each stage takes on this machine, by stage."""
    interpolators: Sequence[tuple[str, Interpolator]]
    """The preferred one first. They save time rather than take it, so the budget has no say in them."""


def make_stages(
    reenactor: Reenactor,
    *,
    device: str,
    display_size: int,
    quality: str,
    clock: Clock,
    stats: Stats,
    beside: Executor | None = None,
) -> Stages:
    """Loads the networks, runs each a few times on a portrait to learn what it takes here, and sets the budget. In
    `beside`, where it is given, a reenactor's network works beside the pictures.

    Raises:
        ConfigError: no such quality. CheckpointError: weights are missing or damaged.
    """
    drive = ReenactorLadder(reenactor, clock, stats, beside)
    upscale = SuperResolverLadder(load_super_resolvers(device), clock, stats)
    enhance = EnhancerLadder(load_enhancers(device), clock, stats)
    picture, keypoints = _portrait()
    encoded = reenactor.encode(picture, keypoints)
    guide = Guide(keypoints=keypoints)
    shifted = [np.roll(picture, 2 * number, 1) for number in range(4)]
    prices: dict[str, Sequence[Version]] = {
        DRIVE: drive.calibrate(lambda part, number: part.drive(encoded, keypoints + 0.002 * np.float32(number))),
        ENHANCE: enhance.calibrate(lambda part, number: part.enhance(shifted[number % 4])),
        UPSCALE: upscale.calibrate(lambda part, number: part.upscale(shifted[number % 4], display_size, guide)),
    }
    budget = FrameBudget(prices, ORDER, quality, settling_ms=_CALL_SETTLES_MS)
    drive.budget = upscale.budget = enhance.budget = budget
    return Stages(drive, upscale, enhance, budget, prices, load_interpolators(device))


def affordable(prices: Mapping[str, Sequence[Version]]) -> tuple[tuple[str, ...], float]:
    """The versions above the twins that a call at these prices comes to run, and what a frame then takes, in ms."""
    budget = FrameBudget(prices, ORDER)
    for number in range(round(_SETTLING_S * DISPLAY_FPS)):
        spent_ms = 0.0
        for stage, choice in budget.plan(number * PERIOD_MS).items():
            took_ms = prices[stage][choice.level].reference_ms
            budget.took(stage, choice.level, took_ms)
            spent_ms += took_ms
        budget.frame(spent_ms)
    return budget.running(), budget.estimate_ms()


def _portrait() -> tuple[Image, Keypoints]:
    """The face of the built-in sample, as large as a sender shows one, and its ten points."""
    bgr = cv2.imread(str(PORTRAIT))
    if bgr is None:
        raise InputError(f"the portrait {PORTRAIT.name} is missing from the installation: install avcall again")
    whole = np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)
    height, width = whole.shape[:2]
    points = to_pixels(_points(whole), width, height)
    side = min(round(_FACE_SHARE * float(np.ptp(points, axis=0).max())), height, width)
    left, top = np.clip(np.round(points.mean(0) - side / 2), 0, (width - side, height - side)).astype(int)
    close = cv2.resize(whole[top : top + side, left : left + side], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    picture = np.asarray(close, dtype=np.uint8)
    return picture, _points(picture)


def _points(picture: Image) -> Keypoints:
    mesh = FaceMesh(video=False)
    landmarks = mesh.find(picture)
    mesh.close()
    if landmarks is None:
        raise InputError("mediapipe finds no face in the built-in portrait: install avcall again")
    return np.ascontiguousarray(landmarks[list(MESH_INDICES), :2], dtype=np.float32)
