"""Turns any folder of talking videos into a training pack: `avcall prepare`.

A pack is a folder that training maps into memory without decoding anything:

    manifest.json                       written last: a pack without it is not a pack
    <split>/<clip>/frames.npy           uint8 (n, side, side, 3), RGB, every `step`-th frame of 25 a second
    <split>/<clip>/landmarks.npy        float32 (n, 468, 3), mediapipe's mesh in the keypoint convention
    <split>/<clip>/segmentation.npy     uint8 (n, 64, 64), probability of person times 255
    <split>/<clip>/scene.npy            float32 (n, 7): where the scene is (`avcall.models.training.scenes`)
    <split>/<clip>/coded.npy            uint8 (m, side, side, 3): decoded pivots, in chains of one a second
    <split>/<clip>/coded_index.npy      int32 (m,): which frame each coded pivot shows
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avcall.common.config import flag
from avcall.common.errors import InputError, OutputError
from avcall.common.keypoints import Image
from avcall.models.face_mesh import FaceMesh
from avcall.models.segmentation import Segmenter
from avcall.models.training import scenes
from avcall.models.training.clips import Clip, face_crops, read_frames
from avcall.models.training.coded_pivots import code_chains

VERSION = 1
FPS = 25.0
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
MIN_CLIPS = 2
MIN_FRAMES = 12
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareConfig:
    """`avcall prepare`."""

    videos: Path = flag(Path(), "folder of talking videos, searched in depth", metavar="DIR", required=True)
    out: Path = flag(Path(), "folder to write the pack to", metavar="DIR", required=True)
    resolution: int = flag(256, "side of the square crops in pixels", metavar="PIXELS")
    step: int = flag(1, "keep every n-th frame of 25 a second", metavar="N")
    crop: str = flag(
        "auto",
        "find and crop faces: auto leaves square videos as they are",
        choices=("auto", "always", "never"),
    )
    val_percent: float = flag(
        5.0, "share of clips held out, where the folder has no train/ and val/", metavar="PERCENT"
    )
    processes: int = flag(0, "how many processes; 0 means one a core", metavar="N")


def prepare(config: PrepareConfig) -> dict[str, Any]:
    """Makes the pack and returns its manifest.

    Clips that cannot be read or show no face are left out, with the reason in the manifest's `skipped`.

    Raises:
        InputError: no such folder, no videos in it, or fewer than two usable clips.
        OutputError: the pack cannot be written, or there is one already.
    """
    jobs = list(_jobs(config))
    if (config.out / "manifest.json").exists():
        raise OutputError(f"--out {config.out} already holds a pack: give another folder, or delete it")
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {config.out} cannot be made: {error.strerror}") from error
    workers = min(config.processes or os.cpu_count() or 1, len(jobs))
    clips: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for video, (made, reasons) in zip(jobs, pool.map(_prepare_one, jobs, [config] * len(jobs)), strict=True):
            clips += made
            skipped += [{"file": str(video[1].relative_to(config.videos)), "reason": reason} for reason in reasons]
            _log.info("%s: %d clips%s", video[1].name, len(made), f" ({'; '.join(reasons)})" if reasons else "")
    if len(clips) < MIN_CLIPS:
        why = f" (first: {skipped[0]['file']}: {skipped[0]['reason']})" if skipped else ""
        shutil.rmtree(config.out, ignore_errors=True)
        raise InputError(
            f"--videos {config.videos}: {len(clips)} usable clips of {len(jobs)} videos{why}: "
            f"at least {MIN_CLIPS} clips with one face each are needed"
        )
    if not any(clip["split"] == "val" for clip in clips):  # every run must be judged on something it has not seen
        clips[-1]["split"] = "val"
        _move_split(config.out, clips[-1])
    manifest = {
        "version": VERSION,
        "resolution": config.resolution,
        "fps": FPS / config.step,
        "frames": sum(clip["frames"] for clip in clips),
        "config": {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()},
        "clips": clips,
        "skipped": skipped,
    }
    partial = config.out / "manifest.json.part"
    partial.write_text(json.dumps(manifest, indent=1))
    partial.rename(config.out / "manifest.json")
    return manifest


def _jobs(config: PrepareConfig) -> list[tuple[str, Path]]:
    """(split, video) of every video, in a stable order."""
    if not config.videos.is_dir():
        raise InputError(f"--videos {config.videos} is no folder")
    if config.step < 1 or config.resolution % 32:
        raise InputError("--step must be at least 1 and --resolution a multiple of 32")
    given = [split for split in ("train", "val") if (config.videos / split).is_dir()]
    jobs = []
    for root in [config.videos / split for split in given] or [config.videos]:
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() not in VIDEO_SUFFIXES:
                continue
            if given:
                split = root.name
            else:
                digest = int.from_bytes(hashlib.sha256(path.stem.encode()).digest()[:4], "big")
                split = "val" if digest % 10_000 < config.val_percent * 100 else "train"
            jobs.append((split, path))
    if not jobs:
        raise InputError(f"--videos {config.videos} holds no videos ({', '.join(VIDEO_SUFFIXES)})")
    return jobs


def _move_split(out: Path, clip: dict[str, Any]) -> None:
    source = out / "train" / clip["name"]
    (out / "val").mkdir(exist_ok=True)
    source.rename(out / "val" / clip["name"])


def _prepare_one(job: tuple[str, Path], config: PrepareConfig) -> tuple[list[dict[str, Any]], list[str]]:
    """One video: the manifest lines of its clips and the reasons for what was left out. Runs in its own process."""
    split, path = job
    cv2.setNumThreads(1)
    try:
        frames = read_frames(path, FPS)
    except InputError as error:
        return [], [str(error)]
    square = frames[0].shape[0] == frames[0].shape[1]
    if config.crop == "always" or (config.crop == "auto" and not square):
        crops = face_crops(frames, FPS)
        if not crops:
            return [], ["no stretch of two seconds with one face"]
    else:
        side = min(frames[0].shape[:2])
        top, left = (frames[0].shape[0] - side) // 2, (frames[0].shape[1] - side) // 2
        crops = [Clip(0, len(frames), left, top, side)]
    made, reasons = [], []
    for number, crop in enumerate(crops):
        name = path.stem if len(crops) == 1 else f"{path.stem}_{number:02d}"
        images = [crop.cut(frame, config.resolution) for frame in frames[crop.start : crop.end : config.step]]
        found = _write_clip(config.out / split / name, images, max(1, round(FPS / config.step)))
        if found:
            made.append({"name": name, "split": split, "source": path.name, "frames": found})
        else:
            reasons.append(f"a face in fewer than {MIN_FRAMES} frames")
    return made, reasons


def _write_clip(folder: Path, images: list[Image], second: int) -> int:
    """Writes one clip's arrays and returns how many frames with a face they hold; 0 writes nothing."""
    mesh = FaceMesh(video=True)
    segmenter = Segmenter()
    kept: list[Image] = []
    landmarks: list[NDArray[np.float32]] = []
    masks: list[NDArray[np.uint8]] = []
    for image in images:
        points = mesh.find(image)
        if points is None:
            continue
        kept.append(image)
        landmarks.append(points)
        masks.append(segmenter.segment(image))
    mesh.close()
    segmenter.close()
    if len(kept) < MIN_FRAMES:
        return 0
    partial = folder.with_name(folder.name + ".part")
    partial.mkdir(parents=True, exist_ok=True)
    coded, index = code_chains(kept, second)
    np.save(partial / "frames.npy", np.stack(kept))
    np.save(partial / "landmarks.npy", np.stack(landmarks))
    np.save(partial / "segmentation.npy", np.stack(masks))
    np.save(partial / "scene.npy", scenes.track(zip(kept, landmarks, masks, strict=True)))
    np.save(partial / "coded.npy", coded)
    np.save(partial / "coded_index.npy", index)
    partial.rename(folder)
    return len(kept)
