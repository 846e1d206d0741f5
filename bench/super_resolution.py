"""`avcall bench super-resolution`: how a picture of 256 pixels is best shown at 512.

Of each clip a coded pivot of 512 pixels is sent every second and driven as in a call: by the keypoints, the scene's
motion and the residual flow that travel. All systems but `direct_512` start from the same animated picture of 256
pixels: what is compared is the enlarging alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from avcall.bench.evaluate_clip import Networks, find_meshes
from avcall.bench.evaluate_config import FPS, PIVOT_CRF
from avcall.bench.evaluate_show import (
    PIVOT_1S,
    Pivots,
    choose_pivots,
    find_keypoints,
    find_motions,
    find_scenes,
)
from avcall.bench.provenance import provenance
from avcall.bench.tensors import tensor
from avcall.common.config import DEFAULT_MODEL
from avcall.common.errors import ConfigError, InputError
from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import SceneMotion
from avcall.models import metrics
from avcall.models.checkpoint import Weights
from avcall.models.dists import Dists
from avcall.models.face_mesh import FaceMesh
from avcall.models.identity import embedding_distance
from avcall.models.interfaces import (
    DetailedReenactor,
    Encoded,
    Guide,
    KeypointDetector,
    Reenactor,
    SuperResolver,
    driven,
    driven_detailed,
    followed,
)
from avcall.models.lpips import Lpips
from avcall.models.registry import load_pair
from avcall.models.super_resolution.network import CELL
from avcall.models.super_resolution.resolver import FEW, PATCH, PatchSuperResolver
from avcall.models.super_resolution.twin import BlendSuperResolver
from avcall.models.training.clips import read_frames
from avcall.models.twins import BicubicSuperResolver

SIDE = 512
LOOK_EVERY, DEEP_EVERY = 7, 28
"""Frames between two that LPIPS, PSNR and seams look at, and between two for DISTS and identity: not in step with the
25 frames of a pivot, so that it is seen at many ages."""
FACE = slice(SIDE // 4, 3 * SIDE // 4)
"""Rows and columns that DISTS looks at: the face in the middle, in the 256 pixels that the measure was tuned for."""
DIRECT = "direct_512"


class _Lanczos:
    def upscale(self, image: Image, side: int, guide: Guide | None = None) -> Image:
        return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LANCZOS4), dtype=np.uint8)


@dataclass(slots=True)
class _Shown:
    """One system's video of a clip."""

    frames: list[Image] = field(default_factory=list)
    drive_ms: list[float] = field(default_factory=list)
    upscale_ms: list[float] = field(default_factory=list)


def measure_super_resolution(
    clips: list[Path],
    guided: Weights,
    alone: Weights,
    seconds: float,
    say: Callable[[str], None],
    *,
    model: str = DEFAULT_MODEL,
) -> dict[str, Any]:
    """Every system on the first `seconds` of every clip, driven by `model`, and the means. Ctrl-C ends it with the
    clips that are done.

    Raises:
        InputError: a clip that is not 512 x 512 or shows no face. CheckpointError: no weights to measure with.
        ConfigError: no such model, or one that cannot drive large pivots in two parts.
    """
    pair = load_pair(model, "cpu")
    if not isinstance(pair[1], DetailedReenactor):
        raise ConfigError(f"--model {model} cannot drive large pivots in two parts; lite and classical can")
    networks = Networks(dists=True, vgg=False, identity=True)
    by_clip: dict[str, dict[str, dict[str, float]]] = {}
    costs: dict[str, dict[str, float]] = {}
    try:
        for path in clips:
            by_clip[path.stem], costs[path.stem] = _measure_clip(path, seconds, pair, (guided, alone), networks)
            of_clip = by_clip[path.stem].items()
            say(f"{path.stem}: " + "  ".join(f"{name} {of['lpips_alex']:.3f}" for name, of in of_clip))
    except KeyboardInterrupt:
        if not by_clip:
            raise
        say(f"stopped after {len(by_clip)} of {len(clips)} clips")
    names = list(next(iter(by_clip.values())))
    return {
        **provenance(),
        "settings": {
            "seconds": seconds,
            "side": SIDE,
            "model": model,
            "lpips_every_n_frames": LOOK_EVERY,
            "dists_and_identity_every_n_frames": DEEP_EVERY,
            "dists_of": f"the {SIDE // 2} pixels in the middle",
            "pivots": f"one a second, SVT-AV1 crf {PIVOT_CRF}, low delay",
            "weights": {weights.name: weights.short_hash for weights in (guided, alone)},
        },
        "clips": list(by_clip),
        "pivot_kbps": _mean(list(costs.values())),
        "systems": [
            {
                "system": name,
                "metrics": _mean([of[name] for of in by_clip.values()]),
                "clips": {clip: of[name] for clip, of in by_clip.items()},
            }
            for name in names
        ],
    }


def _measure_clip(
    path: Path,
    seconds: float,
    pair: tuple[KeypointDetector, Reenactor],
    weights: tuple[Weights, Weights],
    networks: Networks,
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Every system's measures, and what the pivots cost in kbit/s."""
    frames = read_frames(path, FPS)[: round(seconds * FPS)]
    if frames[0].shape[:2] != (SIDE, SIDE) or len(frames) < FPS:
        raise InputError(f"{path.name}: give clips of {SIDE}x{SIDE} pixels and at least a second")
    pivots = choose_pivots(PIVOT_1S, frames, FPS)
    reduced = [_reduced(frame) for frame in frames]
    small = choose_pivots(PIVOT_1S, reduced, FPS)
    kbps = {"pivot_512": pivots.kbps(len(frames), FPS), "pivot_256": small.kbps(len(frames), FPS)}
    meshes = find_meshes(frames)
    if all(landmarks is None for landmarks in meshes):
        raise InputError(f"{path.name}: no face found")
    keypoints = find_keypoints(pair[0], frames, meshes)[0]
    motions = find_motions(reduced, keypoints, find_scenes(reduced, meshes), pivots)[0]
    shown = _show(pair[1], _systems(*weights), pivots, keypoints, motions)
    judge = _Judge(frames, networks)
    return {name: judge.judge(video) for name, video in shown.items()}, kbps


def _systems(guided: Weights, alone: Weights) -> dict[str, tuple[SuperResolver, bool]]:
    """The super-resolvers, and whether they are given the reference."""
    return {
        "bicubic": (BicubicSuperResolver(), False),
        "lanczos": (_Lanczos(), False),
        "blend": (BlendSuperResolver(), True),
        "alone": (PatchSuperResolver(None, alone), False),
        "guided": (PatchSuperResolver(guided, alone), True),
        f"guided_{FEW}_patches": (PatchSuperResolver(guided, alone, limit=FEW), True),
    }


def _show(
    reenactor: Reenactor,
    systems: dict[str, tuple[SuperResolver, bool]],
    pivots: Pivots,
    keypoints: list[Keypoints],
    motions: list[SceneMotion],
) -> dict[str, _Shown]:
    shown = {name: _Shown() for name in (*systems, DIRECT)}
    encoded: Encoded | None = None
    reduced: Encoded | None = None
    for picture, start, end in pivots.spans(len(keypoints)):
        encoded = followed(reenactor, reenactor.encode(picture, keypoints[start]), encoded)
        reduced = followed(reenactor, reenactor.encode(_reduced(picture), keypoints[start]), reduced)
        for points, motion in zip(keypoints[start:end], motions[start:end], strict=True):
            began = time.thread_time()
            detailed = driven_detailed(reenactor, encoded, points, motion)
            detailed_ms = _since_ms(began)
            assert detailed is not None
            began = time.thread_time()
            driven(reenactor, reduced, points, motion)
            small_ms = _since_ms(began)
            for name, (system, takes_reference) in systems.items():
                video = shown[name]
                guide = Guide(detailed.reference if takes_reference else None, points)
                began = time.thread_time()
                video.frames.append(system.upscale(detailed.image, SIDE, guide))
                video.upscale_ms.append(_since_ms(began))
                video.drive_ms.append(detailed_ms if takes_reference else small_ms)
            began = time.thread_time()
            shown[DIRECT].frames.append(driven(reenactor, encoded, points, motion))
            shown[DIRECT].drive_ms.append(_since_ms(began))
            shown[DIRECT].upscale_ms.append(0.0)
    return shown


class _Judge:
    """Compares shown videos with one original."""

    def __init__(self, original: list[Image], networks: Networks) -> None:
        self._original, self._networks = original, networks
        self._mesh = FaceMesh(video=False)
        self._looks = range(LOOK_EVERY - 1, len(original), LOOK_EVERY)
        self._deep = range(2 * LOOK_EVERY - 1, len(original), DEEP_EVERY)
        self._flicker = metrics.flicker(original)
        with torch.inference_mode():
            self._alex = {index: networks.alex.features(tensor(original[index])) for index in self._looks}
            self._dists = {index: networks.dists.features(tensor(original[index][FACE, FACE])) for index in self._deep}
        self._faces = {index: self._embed(original[index]) for index in self._deep}
        self._seams = float(np.mean([seam_contrast(original[index]) for index in self._looks]))

    @torch.inference_mode()
    def judge(self, video: _Shown) -> dict[str, float]:
        frames, networks = video.frames, self._networks
        lpips = [_distance(networks.alex, truth, frames[index]) for index, truth in self._alex.items()]
        dists = [_distance(networks.dists, truth, frames[index][FACE, FACE]) for index, truth in self._dists.items()]
        faces = [(self._faces[index], self._embed(frames[index])) for index in self._deep]
        aed = [embedding_distance(a, b) for a, b in faces if a is not None and b is not None]
        seams = float(np.mean([seam_contrast(frames[index]) for index in self._looks]))
        return {
            "lpips_alex": float(np.mean(lpips)),
            "dists": float(np.mean(dists)),
            "psnr": float(np.mean([metrics.psnr(self._original[index], frames[index]) for index in self._looks])),
            "aed": float(np.mean(aed)) if aed else float("nan"),
            "flicker_ratio": metrics.flicker(frames) / self._flicker,
            "seam_ratio": seams / self._seams,
            "drive_ms": float(np.median(video.drive_ms)),
            "upscale_ms": float(np.median(video.upscale_ms)),
            "upscale_p95_ms": float(np.percentile(video.upscale_ms, 95)),
        }

    def _embed(self, image: Image) -> NDArray[np.float64] | None:
        landmarks = self._mesh.find(image)
        return None if landmarks is None else self._networks.identity.embed(image, landmarks)


def _distance(network: Lpips | Dists, truth: list[torch.Tensor], image: Image) -> float:
    return float(network.compare(truth, network.features(tensor(image))))


def seam_contrast(image: Image) -> float:
    """Mean |step| of the luma across the borders of patches, relative to that across all other lines of cells; 1 where
    borders show no more than other lines."""
    luma = metrics.luma(image)
    total = []
    for axis in (0, 1):
        steps = np.abs(np.diff(luma, axis=axis)).mean(axis=1 - axis)  # steps[i] is between line i and i + 1
        lines = np.arange(CELL - 1, len(steps), CELL)
        border = (lines + 1) % (PATCH * CELL) == 0
        total.append(float(steps[lines[border]].mean() / max(steps[lines[~border]].mean(), 1e-9)))
    return float(np.mean(total))


def _mean(clips: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.nanmean([clip[name] for clip in clips])), 5) for name in clips[0]}


def _since_ms(began: float) -> float:
    return (time.thread_time() - began) * 1000.0


def _reduced(image: Image) -> Image:
    return np.asarray(cv2.resize(image, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8)
