"""A training pack made of nothing: moving gradients with a face's points, for tests that must not wait."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from avcall.common.keypoints import MESH_INDICES

FACE = [(0, 0.2), (0, 0.3), (-0.2, 0.25), (0.2, 0.25), (0, 0.6), (0, 0), (-0.25, -0.25), (0.25, -0.25)]


def make_pack(folder: Path, side: int = 128, frames: int = 30) -> Path:
    """Three clips of `frames` pictures of `side` pixels, one of them held out."""
    clips = []
    for number, split in enumerate(("train", "train", "val")):
        generator = np.random.default_rng(number)
        clip = folder / split / f"clip{number}"
        clip.mkdir(parents=True)
        shift = np.cumsum(generator.normal(scale=0.01, size=(frames, 1, 2)), axis=0)
        landmarks = generator.uniform(-0.5, 0.5, (1, 468, 3)).repeat(frames, 0).astype(np.float32)
        landmarks[:, MESH_INDICES, :2] = np.array([*FACE, (-0.35, -0.2), (0.35, -0.2)]) + shift
        ramp = np.linspace(0, 255, side)
        picture = np.stack(
            [np.add.outer(ramp, ramp) / 2, np.subtract.outer(ramp, ramp) / 2 + 127, ramp + 0 * ramp[:, None]], -1
        )
        moved = [np.roll(picture, tuple((s[0, ::-1] * side / 2).astype(int)), (0, 1)) for s in shift]
        pictures = np.stack(moved).astype(np.uint8)
        np.save(clip / "frames.npy", pictures)
        np.save(clip / "landmarks.npy", landmarks)
        np.save(clip / "segmentation.npy", np.full((frames, 64, 64), 255, dtype=np.uint8))
        np.save(clip / "coded.npy", pictures[::6])
        np.save(clip / "coded_index.npy", np.arange(0, frames, 6, dtype=np.int32))
        clips.append({"name": clip.name, "split": split, "source": "nothing", "frames": frames})
    (folder / "manifest.json").write_text(json.dumps({"resolution": side, "fps": 12.5, "clips": clips}))
    return folder
