"""Pairs to learn from: a pivot and a driving frame of one clip, drawn from a pack by (seed, rank, step) alone.

A draw depends on nothing that came before it, so a resumed run sees the pairs that an unbroken one would have seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.errors import InputError
from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, LID_LEFT, LID_RIGHT, LOWER_LIP, MESH_INDICES, UPPER_LIP
from avcall.models.reenactment.shut_lids import ShutLids
from avcall.models.training import scenes
from avcall.models.training.carrying import Carrier, Pivot, mirrored

MIRROR = (0, 1, 3, 2, 4, 5, 7, 6, 9, 8)
"""Which keypoint each one becomes in a mirrored picture."""
RECENT_SHARE, FAR_SHARE = 0.5, 0.35
"""Share of pivots coded and at most RECENT_S old, and of pivots uncoded and of any age; the rest: coded, any age."""
RECENT_S = 2.0
CANDIDATES = 4
BLINK_SHARE = 0.2
"""Share of pairs between open and closed eyes: by chance they are one in thirty, too few to learn a blink from."""
LENDERS, LENT_SHARE = 12, 0.75
"""Of how many earlier coded pivots a coded one may borrow a mouth, at most, and in what share of pairs: a call's first
pivots have none before them."""
CLOSED, OPEN = 0.7, 0.88
"""Height of the eyes relative to the clip's median, below and above which they count as closed and open."""
NOISE_PX = 0.3
"""Deviation of the keypoints' noise, in pixels at 256: what the wire's quantisation and the mesh's jitter leave."""
CROP_EIGHTHS = 16
"""Side of the learned crops in units of 8 pixels, at 256."""
ANYWHERE_SHARE = 0.5
"""Share of crops that may lie anywhere; the others lie on lips or lids."""
CROP_JITTER = 2.0
"""How far, in units of 8 pixels, crops of lips and lids may be off."""


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """One clip of a pack, mapped into memory."""

    name: str
    frames: NDArray[np.uint8]
    coded: NDArray[np.uint8]
    coded_index: NDArray[np.int32]
    landmarks: NDArray[np.float32]
    """(n, 468, 3): mediapipe's mesh of every frame."""
    segmentation: NDArray[np.uint8]
    """(n, 64, 64): probability of person times 255."""
    scene: NDArray[np.float32]
    """(n, 7): see `avcall.models.training.scenes`."""
    keypoints: NDArray[np.float32]
    """(n, 10, 2): the mesh points that travel, with lids that shut."""
    shape: NDArray[np.float32]
    """(n, 8): mouth opening, lids and head pose in units of their own deviation, to choose pairs that differ."""
    closed: NDArray[np.intp]
    """Frames with closed eyes."""
    open: NDArray[np.intp]


class Choice(NamedTuple):
    """A pair of one clip, before anything is made of it."""

    clip: TrainingClip
    coded: int | None
    """Which of the clip's coded pictures the pivot is; None: its frame as it was."""
    start: int
    """The pivot's frame."""
    end: int
    """The driving frame."""
    blink: bool = False
    """Whether it was chosen for a blink."""

    @property
    def pivot(self) -> NDArray[np.uint8]:
        """Its picture (S, S, 3)."""
        picture = self.clip.frames[self.start] if self.coded is None else self.clip.coded[self.coded]
        return np.asarray(picture, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A batch: pictures uint8 (N, S, S, 3), keypoints float32 (N, 10, 2), R crops of each (N * R,) in units of 8
    pixels; of the classical reenactor the picture float32 (N, 3, S, S) in [0, 1] and the displacement (N, 2, S, S)."""

    pivot: Tensor
    driving: Tensor
    carried: Tensor
    displacement: Tensor
    pivot_keypoints: Tensor
    driving_keypoints: Tensor
    crop_left: Tensor
    crop_top: Tensor


class Pack:
    """The clips of one split of a pack."""

    def __init__(self, folder: Path, split: str, pivots: Path | None = None) -> None:
        """`pivots`, from `avcall.models.training.repaired_pivots`, takes the place of the pack's own coded pivots.

        Raises:
            InputError: no pack there, or an empty split.
        """
        try:
            manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        except FileNotFoundError as error:
            raise InputError(f"--data {folder} is no training pack: make one with avcall prepare") from error
        self.resolution = int(manifest["resolution"])
        self.fps = float(manifest["fps"])
        self._carrier: Carrier | None = None
        names = [clip["name"] for clip in manifest["clips"] if clip["split"] == split]
        coded = folder if pivots is None else pivots
        self.clips = [_load(folder / split / name, coded / split / name, name) for name in names]
        if not self.clips:
            raise InputError(f"--data {folder} has no {split} clips: make the pack again with avcall prepare")
        lengths = np.array([len(clip.frames) for clip in self.clips], dtype=np.float64)
        # between one clip one vote and one frame one vote: long clips hold more, but of the same person
        self._weights = np.sqrt(lengths) / np.sqrt(lengths).sum()
        blinks = np.array([np.sqrt(len(c.closed)) if len(c.open) else 0.0 for c in self.clips])
        self._blink_weights = blinks / blinks.sum() if blinks.any() else None

    def any_clip(self, generator: np.random.Generator) -> TrainingClip:
        """One clip, longer ones more often."""
        return self.clips[generator.choice(len(self.clips), p=self._weights)]

    def draw(self, generator: np.random.Generator, count: int, crops: int = 1) -> Pairs:
        """A batch of pairs, with so many crops of each."""
        rows = [self._draw_one(generator, crops) for _ in range(count)]
        *columns, places = (np.stack(column) for column in zip(*rows, strict=True))
        columns += [places[..., 0].ravel(), places[..., 1].ravel()]
        return Pairs(*(torch.from_numpy(np.ascontiguousarray(column)) for column in columns))

    def choose(self, generator: np.random.Generator) -> Choice:
        """A pair of one clip."""
        blink = generator.random() < BLINK_SHARE and self._blink_weights is not None
        return self._blink(generator) if blink else self._any(generator)

    def _draw_one(self, generator: np.random.Generator, crops: int) -> tuple[Any, ...]:
        """One row, in the order of the fields of `Pairs`; of its crops left and top (R, 2)."""
        if self._carrier is None:
            self._carrier = Carrier()
        choice = self.choose(generator)
        clip, end = choice.clip, choice.end
        mirror_it = bool(generator.random() < 0.5)
        pivot_picture, driving = choice.pivot, clip.frames[end]
        pivot = self._pivot(clip, pivot_picture, choice.start, generator)
        driving_points = self._noisy(clip.keypoints[end], generator)
        places = np.array([self._crop(clip.keypoints[end], generator, choice.blink) for _ in range(crops)])
        scene = scenes.motion(clip.scene, choice.start, end)
        carried, displacement = self._carrier.carry(
            pivot, driving_points, self.earlier(choice, generator), scene, np.asarray(driving)
        )
        pivot_points = pivot.keypoints
        if mirror_it:
            pivot_picture, driving = pivot_picture[:, ::-1], driving[:, ::-1]
            carried, displacement = mirrored(carried, displacement)
            pivot_points, driving_points = mirror(pivot_points), mirror(driving_points)
            places[:, 0] = self.resolution // 8 - CROP_EIGHTHS - places[:, 0]
        return pivot_picture, driving, carried, displacement, pivot_points, driving_points, places

    def _pivot(
        self, clip: TrainingClip, picture: NDArray[np.uint8], frame: int, generator: np.random.Generator
    ) -> Pivot:
        points = self._noisy(clip.keypoints[frame], generator)
        return Pivot(picture, points, clip.landmarks[frame], np.array(clip.segmentation[frame]))

    def earlier(self, choice: Choice, generator: np.random.Generator) -> list[Pivot]:
        """Coded pivots from before both frames, as a call would have had: those that may lend their mouths."""
        clip = choice.clip
        if choice.coded is None or generator.random() >= LENT_SHARE:
            return []
        before = np.flatnonzero(clip.coded_index < min(choice.start, choice.end))
        if len(before) > LENDERS:
            before = np.sort(generator.choice(before, LENDERS, replace=False))
        return [self._pivot(clip, clip.coded[at], int(clip.coded_index[at]), generator) for at in before]

    def _blink(self, generator: np.random.Generator) -> Choice:
        """Open eyes and closed ones, now and then the other way."""
        clip = self.clips[generator.choice(len(self.clips), p=self._blink_weights)]
        closed, opened = int(generator.choice(clip.closed)), int(generator.choice(clip.open))
        if generator.random() < 0.25:
            return Choice(clip, None, closed, opened, True)
        ages = closed - clip.coded_index
        recent = np.flatnonzero((ages >= 0) & (ages <= RECENT_S * self.fps) & np.isin(clip.coded_index, clip.open))
        if len(recent) and generator.random() < 0.6:
            number = int(generator.choice(recent))
            return Choice(clip, number, int(clip.coded_index[number]), closed, True)
        return Choice(clip, None, opened, closed, True)

    def _any(self, generator: np.random.Generator) -> Choice:
        """Any two frames that are not too much alike."""
        clip = self.any_clip(generator)
        total = len(clip.frames)
        number: int | None = None
        kind = generator.random()
        if kind < RECENT_SHARE:
            number = int(generator.integers(len(clip.coded_index)))
            start = int(clip.coded_index[number])
            choices = generator.integers(start, min(total, start + round(RECENT_S * self.fps) + 1), CANDIDATES)
        elif kind < RECENT_SHARE + FAR_SHARE:
            start = int(generator.integers(total))
            choices = generator.integers(0, total, CANDIDATES)
        else:
            number = int(generator.integers(len(clip.coded_index)))
            start = int(clip.coded_index[number])
            choices = generator.integers(0, total, CANDIDATES)
        end = int(choices[0])
        if generator.random() < 0.6:  # of some candidates, the one whose mouth, lids and pose differ most
            change = np.abs(clip.shape[choices] - clip.shape[start]) @ generator.exponential(size=clip.shape.shape[1])
            end = int(choices[np.argmax(change)])
        return Choice(clip, number, start, end)

    def _noisy(self, points: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        noise = generator.normal(size=points.shape) * (NOISE_PX * 2 / 255 * generator.random())
        return (points + noise).astype(np.float32)

    def _crop(self, points: NDArray[np.float32], generator: np.random.Generator, eyes: bool) -> tuple[int, int]:
        """Left and top of a crop in units of 8 pixels."""
        room = self.resolution // 8 - CROP_EIGHTHS
        if not eyes and generator.random() < ANYWHERE_SHARE:
            left, top = generator.integers(0, room + 1, 2)
            return int(left), int(top)
        lips_or_lids = points[:4] if not eyes and generator.random() < 0.6 else points[6:]
        centre = (lips_or_lids.mean(0) + 1) / 2 * self.resolution / 8
        centre = centre + generator.uniform(-CROP_JITTER, CROP_JITTER, 2)
        left, top = np.clip(np.round(centre - CROP_EIGHTHS / 2), 0, room)
        return int(left), int(top)


def mirror(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The keypoints of the mirrored picture."""
    return points[list(MIRROR)] * np.array([-1.0, 1.0], dtype=np.float32)


def face_shape(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 8): mouth opening, both lids' height over the outer corner, and the points' mean and spread: what pairs
    should differ in."""
    size = np.linalg.norm(keypoints[:, EYE_LEFT] - keypoints[:, EYE_RIGHT], axis=-1, keepdims=True)
    mouth = np.linalg.norm(keypoints[:, LOWER_LIP] - keypoints[:, UPPER_LIP], axis=-1, keepdims=True)
    lids = keypoints[:, [LID_LEFT, LID_RIGHT], 1] - keypoints[:, [EYE_LEFT, EYE_RIGHT], 1]
    about = keypoints - keypoints.mean(1, keepdims=True)
    turn = np.stack([about[:, 5, 0], about[:, 5, 1]], -1)  # the nose against the face's middle
    columns = np.concatenate([mouth / size, lids / size, keypoints.mean(1), turn / size, size], 1)
    return np.asarray(columns / (columns.std(0) + 1e-2), dtype=np.float32)


def eye_height(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,): distance between the lids, mean of both eyes, relative to that between the outer corners."""
    apart = np.linalg.norm(landmarks[:, 33, :2] - landmarks[:, 263, :2], axis=-1)
    left = np.linalg.norm(landmarks[:, 159, :2] - landmarks[:, 145, :2], axis=-1)
    right = np.linalg.norm(landmarks[:, 386, :2] - landmarks[:, 374, :2], axis=-1)
    return np.asarray((left + right) / 2 / apart, dtype=np.float32)


def _load(folder: Path, coded: Path, name: str) -> TrainingClip:
    try:
        landmarks = np.load(folder / "landmarks.npy", mmap_mode="r")
        lids = ShutLids()
        keypoints = np.stack([lids.shut(np.array(mesh[list(MESH_INDICES), :2]), mesh) for mesh in landmarks])
        height = eye_height(landmarks)
        height = height / np.median(height)
        scene = folder / "scene.npy"
        return TrainingClip(
            name,
            np.load(folder / "frames.npy", mmap_mode="r"),
            np.load(coded / "coded.npy", mmap_mode="r"),
            np.load(coded / "coded_index.npy"),
            landmarks,
            np.load(folder / "segmentation.npy", mmap_mode="r"),
            np.load(scene) if scene.exists() else np.zeros((len(landmarks), 7), np.float32),  # older packs: still
            keypoints,
            face_shape(keypoints),
            np.flatnonzero(height < CLOSED),
            np.flatnonzero(height > OPEN),
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: a damaged clip ({error}): make the pack again with avcall prepare") from error
