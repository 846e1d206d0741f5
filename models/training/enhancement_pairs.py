"""What face enhancement learns from: pictures as a receiver has them, in threes, beside the true ones.

Each sample is a coded pivot of a training pack, driven by a reenactor to the moments 40 ms before, at and 40 ms after a
later frame of the pack. Half of the keypoints in the middle are interpolated in keypoint space, as those that were not
sent are; all carry the wire's noise. Scene, residual flow and borrowed mouths are those of a call. So the errors are
those of coder, tracker, generator and interpolator. Made once, kept on disk:

    <out>/<split>/<clip>/shown.npy    uint8 (n, 3, S, S, 3)
    <out>/<split>/<clip>/frame.npy    int32 (n,): the pack's frame that the middle one shows
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import InputError, OutputError
from avcall.common.keypoints import Keypoints
from avcall.common.scene import SceneMotion
from avcall.models.classical import ClassicalReenactor
from avcall.models.classical_reader import Known
from avcall.models.interfaces import Encoded, Reenactor, driven, followed
from avcall.models.training import scenes
from avcall.models.training.carrying import settled_flow
from avcall.models.training.pairs import Pack, TrainingClip

THREES_PER_PIVOT = 2
NOISE_PX = 0.15
"""Deviation of the keypoints' noise, in pixels at 256: half a step of the wire's quantisation, and what is left of the
mesh's jitter behind the sender's filter."""
INTERPOLATED_SHARE = 0.5
OLD_SHARE = 0.3
"""Share of samples whose pivot may be of any earlier moment; the others' is at most RECENT_S old."""
RECENT_S = 1.5
_STEP_S = 0.04
_log = logging.getLogger(__name__)


def make_pairs(pack: Pack, reenactors: list[Reenactor], out: Path, per_clip: int, seed: int = 0) -> None:
    """Writes the samples of one split of a pack to `out`, `per_clip` of each clip, which take the reenactors in turn;
    clips that are there already are kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    for number, clip in enumerate(pack.clips):
        folder = out / clip.name
        if folder.exists():
            continue
        shown, frame = _drive(clip, pack.fps, reenactors, per_clip, np.random.default_rng([seed, number]))
        partial = folder.with_name(folder.name + ".part")
        try:
            partial.mkdir(parents=True, exist_ok=True)
            np.save(partial / "shown.npy", shown)
            np.save(partial / "frame.npy", frame)
            partial.rename(folder)
        except OSError as error:
            raise OutputError(f"--pairs {out} cannot be written: {error.strerror}") from error
        _log.info("%d of %d: %s, %d samples", number + 1, len(pack.clips), clip.name, len(frame))


@dataclass(frozen=True, slots=True)
class EnhancementClip:
    """The samples of one clip, mapped into memory."""

    shown: NDArray[np.uint8]
    frame: NDArray[np.int32]
    clip: TrainingClip


def read_pairs(pack: Pack, folder: Path) -> list[EnhancementClip]:
    """The samples that `make_pairs` wrote to `folder`, of every clip of the same split.

    Raises:
        InputError: missing or damaged.
    """
    clips = []
    for clip in pack.clips:
        place = folder / clip.name
        try:
            shown, frame = np.load(place / "shown.npy", mmap_mode="r"), np.load(place / "frame.npy")
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: damaged samples ({error}): delete the folder to make them again") from error
        if shown.shape[2:] != clip.frames.shape[1:] or not len(frame) or frame.max() >= len(clip.frames):
            raise InputError(f"{place}: samples of another pack: give another --pairs folder")
        clips.append(EnhancementClip(shown, frame, clip))
    return clips


def _drive(
    clip: TrainingClip, fps: float, reenactors: list[Reenactor], count: int, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    shown: list[NDArray[np.uint8]] = []
    frames: list[int] = []
    last = len(clip.frames) - 2
    usable = np.flatnonzero(clip.coded_index < last)
    wanted = -(-count // THREES_PER_PIVOT)
    # in order of time: each borrows of those before it, as in a call
    pivots = np.sort(generator.choice(usable, wanted, replace=wanted > len(usable)))
    ready: dict[int, Encoded] = {}
    teller = ClassicalReenactor()
    for turn, pivot in enumerate(pivots):
        start, which = int(clip.coded_index[pivot]), turn % len(reenactors)
        picture, reenactor = np.array(clip.coded[pivot]), reenactors[which]
        points = clip.keypoints[start]
        ready[which] = followed(reenactor, reenactor.encode(picture, points), ready.get(which))
        told = teller.encode_known(picture, points, Known(clip.landmarks[start], np.array(clip.segmentation[start])))
        for _ in range(min(THREES_PER_PIVOT, count - len(frames))):
            latest = last if generator.random() < OLD_SHARE else min(last, start + round(RECENT_S * fps))
            frame = int(generator.integers(start + 1, latest + 1))
            three = _moments(clip, start, frame, _STEP_S * fps, generator)
            before = teller.drive(told, *three[1])
            flow = settled_flow(before, np.asarray(clip.frames[frame]), three[1][0])
            shown.append(
                np.stack([driven(reenactor, ready[which], at, replace(scene, flow=flow)) for at, scene in three])
            )
            frames.append(frame)
    return np.stack(shown), np.array(frames, dtype=np.int32)


def _moments(
    clip: TrainingClip, start: int, frame: int, step: float, generator: np.random.Generator
) -> list[tuple[Keypoints, SceneMotion]]:
    """Noisy keypoints, and how the scene has moved since `start`: `step` (at most 1) frames before `frame`, at it, and
    as much after it."""
    rows: list[Keypoints] = []
    moved: list[SceneMotion] = []
    for other, share in ((frame - 1, step), (frame, 0.0), (frame + 1, step)):
        points = clip.keypoints[frame] + share * (clip.keypoints[other] - clip.keypoints[frame])
        rows.append(points + generator.normal(size=points.shape) * NOISE_PX * 2 / 255)
        moved.append(scenes.motion(clip.scene, start, frame, other, share))
    if generator.random() < INTERPOLATED_SHARE:
        rows[1] = (rows[0] + rows[2]) / 2
    return [(np.asarray(points, dtype=np.float32), scene) for points, scene in zip(rows, moved, strict=True)]
