"""What the super-resolution network learns from: patches as a call makes them, with the true large patch beside each.

A coded large pivot is driven to a frame up to two seconds younger by a reenactor (`drive_detailed`), by the keypoints,
the scene's motion and the residual flow that a call tells: the small picture and the reference carry the faults of
coder, tracker and warp. Patches are cut about mouth, eyes and anywhere. They are
made once and lie in the pack they were made from:

    <pack>/super_resolution_<model>/<split>/small.npy        uint8 (n, 64, 64, 3)
    <pack>/super_resolution_<model>/<split>/reference.npy    uint8 (n, 128, 128, 3)
    <pack>/super_resolution_<model>/<split>/truth.npy        uint8 (n, 128, 128, 3)
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import ConfigError, InputError, OutputError
from avcall.common.keypoints import Image, Keypoints, to_pixels
from avcall.common.scene import SceneMotion
from avcall.models.interfaces import Detailed, DetailedReenactor, Encoded, Reenactor, driven_detailed
from avcall.models.registry import load_pair
from avcall.models.training import scenes
from avcall.models.training.carrying import settled_flow
from avcall.models.training.pairs import Pack, TrainingClip

LARGE, SIDE = 512, 128
"""Of the large picture, and of a patch of it, in pixels."""
MAX_AGE_S = 2.0
PIVOTS_PER_CLIP, FRAMES_PER_PIVOT = 6, 3
_MOUTH, _EYES = (0, 1, 2, 3), (6, 7)
_JITTER = 0.15
"""How far from the middle of mouth or eyes a patch may lie, as a share of the picture's side."""
_NAMES = ("small", "reference", "truth")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches of one split, in step; mapped into memory."""

    small: NDArray[np.uint8]
    reference: NDArray[np.uint8]
    truth: NDArray[np.uint8]


def load_patches(pack: Path, model: str, split: str) -> Patches:
    """The patches that `make_patches` made.

    Raises:
        InputError: there are none, or they are damaged.
    """
    folder = _folder(pack, model) / split
    try:
        return Patches(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: damaged patches ({error}): delete {folder.parent} and train again") from error


def make_patches(pack: Path, model: str) -> None:
    """Makes the patches of both splits with the reenactor `model`, unless they are there.

    Raises:
        InputError: no pack, or one of small pictures. ConfigError: a model that cannot use large pivots.
        OutputError: the pack's folder cannot be written.
    """
    folder = _folder(pack, model)
    if folder.exists():
        return
    reenactor = load_pair(model, "cpu")[1]
    if not isinstance(reenactor, DetailedReenactor):
        raise ConfigError(f"--model {model} cannot drive large pivots in two parts; classical can")
    partial = folder.with_name(folder.name + ".part")
    for split in ("train", "val"):
        clips = Pack(pack, split)
        if clips.resolution != LARGE:
            raise InputError(f"--data {pack}: pictures of {clips.resolution}; prepare with --resolution {LARGE}")
        cut: list[list[Image]] = [[], [], []]
        for clip in clips.clips:
            for patch in _of_clip(clip, clips.fps, reenactor):
                for kind, image in zip(cut, patch, strict=True):
                    kind.append(image)
            _log.info("patches of %s: %d so far", clip.name, len(cut[0]))
        if not cut[0]:
            raise InputError(f"--data {pack}: the model {model} made nothing of the {split} clips")
        try:
            (partial / split).mkdir(parents=True, exist_ok=True)
            for name, images in zip(_NAMES, cut, strict=True):
                np.save(partial / split / f"{name}.npy", np.stack(images))
        except OSError as error:
            raise OutputError(f"--data {pack}: patches cannot be written there ({error.strerror})") from error
    partial.rename(folder)


def _folder(pack: Path, model: str) -> Path:
    return pack / f"super_resolution_{Path(model).stem}"


def _of_clip(clip: TrainingClip, fps: float, reenactor: Reenactor) -> list[tuple[Image, Image, Image]]:
    """Small, reference and true patches; the same of a clip in every run."""
    generator = np.random.default_rng(list(hashlib.sha256(clip.name.encode()).digest()[:8]))
    made = []
    count = min(PIVOTS_PER_CLIP, len(clip.coded_index))
    for number in generator.choice(len(clip.coded_index), count, replace=False):
        start = int(clip.coded_index[number])
        encoded = reenactor.encode(np.array(clip.coded[number]), clip.keypoints[start])
        last = min(len(clip.frames) - 1, start + round(MAX_AGE_S * fps))
        for frame in generator.integers(start, last + 1, FRAMES_PER_PIVOT):
            points, truth = clip.keypoints[frame], np.asarray(clip.frames[frame])
            detailed = _driven(reenactor, encoded, points, scenes.motion(clip.scene, start, int(frame)), truth)
            if detailed is not None:
                made += _cut(detailed, truth, points, generator)
    return made


def _driven(
    reenactor: Reenactor, encoded: Encoded, points: Keypoints, scene: SceneMotion, truth: Image
) -> Detailed | None:
    """As a call shows the true frame."""
    before = driven_detailed(reenactor, encoded, points, scene)
    if before is None:
        return None
    flow = settled_flow(before.image, truth, points)
    return driven_detailed(reenactor, encoded, points, replace(scene, flow=flow))


def _cut(
    detailed: Detailed, truth: Image, points: Keypoints, generator: np.random.Generator
) -> list[tuple[Image, Image, Image]]:
    """A patch about the mouth, one about the eyes, one anywhere."""
    middles = [to_pixels(points[list(part)], LARGE, LARGE).mean(0) for part in (_MOUTH, _EYES)]
    middles = [middle + generator.uniform(-_JITTER, _JITTER, 2) * LARGE for middle in middles]
    middles.append(generator.uniform(0, LARGE, 2))
    patches = []
    for middle in middles:
        left, top = (np.clip(np.round((middle - SIDE / 2) / 4) * 4, 0, LARGE - SIDE)).astype(int).tolist()
        large = (slice(top, top + SIDE), slice(left, left + SIDE))
        small = (slice(top // 2, (top + SIDE) // 2), slice(left // 2, (left + SIDE) // 2))
        patches.append((detailed.image[small], detailed.reference[large], truth[large]))
    return patches
