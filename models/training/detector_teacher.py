"""The detector's teacher: the face mesh asked several times about the same picture, a little shifted.

The mesh's answer depends on where in its own crop the face lies, and that crop follows the answer before. So one
picture, shown at several places one after the other, gets several answers, and their mean jitters a fifth less than one
of them, without any lag. An answer about a face out of its crop's middle is also off by a constant few tenths of a
pixel: each view is moved by its mean difference, over the clip, from the pack's own mesh, so the meaning of the points
stays what the reenactment network was trained on.
"""

from __future__ import annotations

import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import InputError, OutputError
from avcall.common.keypoints import Image, Landmarks
from avcall.models.face_mesh import FaceMesh

SHIFTS = ((0, 0), (5, 3), (-4, 5), (4, -5), (-5, -3), (2, 0))
"""Of the views, in pixels of a picture of 256, in the order in which they are shown. Whole pixels: nothing is
resampled. The first one only brings the mesh's crop to the picture."""
_FROM_SIDE = 256
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taught:
    """Some frames of one split: pictures, segmentations (n, 64, 64) and meshes (n, views, 468, 2) in the keypoint
    convention, the pack's own first; the clip of each frame."""

    frames: list[NDArray[np.uint8]]
    segmentation: NDArray[np.uint8]
    views: NDArray[np.float32]
    clip: NDArray[np.int32]


def load_taught(folder: Path, split: str, per_clip: int, keep: Path) -> Taught:
    """At most `per_clip` frames of each clip of a pack. Their views are found, which takes some 40 ms a frame, and kept
    in the folder `keep` for the next time, unless that is empty.

    Raises:
        InputError: no pack there, or an empty split. OutputError: `keep` cannot be written.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        names = [clip["name"] for clip in manifest["clips"] if clip["split"] == split]
        frames: list[NDArray[np.uint8]] = []
        masks, views, clips = [], [], []
        for number, name in enumerate(names):
            pictures = np.load(folder / split / name / "frames.npy", mmap_mode="r")
            landmarks = np.load(folder / split / name / "landmarks.npy")
            chosen = np.unique(np.linspace(0, len(pictures) - 1, per_clip).round().astype(int))
            frames += [pictures[i] for i in chosen]
            masks.append(np.load(folder / split / name / "segmentation.npy")[chosen])
            path = keep / f"{split}_{name}_{per_clip}.npy"
            found = _kept(path) if keep != Path() else None
            if found is None or len(found) != len(chosen):
                found = find_views([np.asarray(pictures[i]) for i in chosen], landmarks[chosen])
                if keep != Path():
                    _keep(path, found)
                _log.info("teacher: %s %d of %d", split, number + 1, len(names))
            views.append(found)
            clips += [number] * len(chosen)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"--data {folder} is no training pack ({error}): make one with avcall prepare") from error
    if not frames:
        raise InputError(f"--data {folder} has no {split} clips: make the pack again with avcall prepare")
    return Taught(frames, np.concatenate(masks), np.concatenate(views), np.array(clips, dtype=np.int32))


def find_views(images: list[Image], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Meshes (n, 6, 468, 2) of one clip's frames: the given ones (n, 468, 3), then those of the shifted views. Where a
    view shows no face, the given mesh stands in."""
    mesh = FaceMesh(video=True)
    own = landmarks[..., :2]
    answers = np.stack([_ask(mesh, image, points) for image, points in zip(images, own, strict=True)])
    mesh.close()
    steady = answers - (answers - own[:, None]).mean(0)
    return np.asarray(np.concatenate([own[:, None], steady], 1), dtype=np.float32)


def _ask(mesh: FaceMesh, image: Image, own: Landmarks) -> NDArray[np.float32]:
    """The answers (views, 468, 2) about one picture."""
    side = image.shape[0]
    around = max(abs(part) for shift in SHIFTS for part in shift) * side // _FROM_SIDE
    wide = cv2.copyMakeBorder(image, around, around, around, around, cv2.BORDER_REPLICATE)
    answers = []
    for shift in SHIFTS:
        x, y = (part * side // _FROM_SIDE for part in shift)
        top, left = around - y, around - x
        found = mesh.find(np.ascontiguousarray(wide[top : top + side, left : left + side], dtype=np.uint8))
        answers.append(own if found is None else found[:, :2] - np.array([x, y]) * 2.0 / (side - 1))
    return np.stack(answers[1:])


def _kept(path: Path) -> NDArray[np.float32] | None:
    return np.asarray(np.load(path), dtype=np.float32) if path.exists() else None


def _keep(path: Path, views: NDArray[np.float32]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, views)
    except OSError as error:
        raise OutputError(f"--teacher {path.parent} cannot be written: {error.strerror}") from error
