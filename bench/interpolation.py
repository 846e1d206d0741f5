"""Frame interpolation, measured: against true frames that were left out, and in a call that leaves out keypoints.

{"version", "commit", "machine", "clips", "settings", "not_measured",
 "triplets": [{"system", "every", "frames", "psnr", "ssim", "lpips_alex"}],   every 2: the middle one of three
 "cpu_ms": {system: median of one frame}, "rife_over": {system: how many times as fast as RIFE},
 "call": [{"system", "every", "lpips_alex", "lpips_over_all", "psnr", "lip_lmd_px"}],
 "keypoints": [{"every", "frames_sent", "coded_kbps", "bundle_kbps", "saved_percent"}]}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avcall.bench.evaluate_clip import find_meshes
from avcall.bench.interpolation_call import Call, keypoint_costs, show_call
from avcall.bench.provenance import provenance
from avcall.bench.rife import RifeInterpolator
from avcall.bench.tensors import tensor
from avcall.common.errors import CheckpointError, NoFaceError
from avcall.common.keypoints import Image, Keypoints
from avcall.models.interfaces import Interpolator, KeypointDetector, Reenactor
from avcall.models.interpolation.flow import FlowInterpolator
from avcall.models.interpolation.interpolator import load_interpolator
from avcall.models.lpips import Lpips
from avcall.models.metrics import psnr, ssim
from avcall.models.training.clips import read_frames
from avcall.models.training.windows import centre_squares
from avcall.models.twins import BlendInterpolator, HoldInterpolator

EVERY = (2, 3)
APART = 12
"""Frames from one measured triplet to the next."""
FPS = 25
KEYPOINTS, RIFE = "keypoints", "rife"
_OPTIONAL: dict[str, Callable[[], Interpolator]] = {
    "network": lambda: load_interpolator("cpu"),
    RIFE: RifeInterpolator,
}
"""RIFE runs in float32, as its users run it."""


@dataclass(slots=True)
class _Scores:
    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    lpips_alex: list[float] = field(default_factory=list)

    def means(self) -> dict[str, float]:
        return {name: float(np.mean(getattr(self, name))) for name in self.__slots__}


def measure_interpolation(
    clips: Sequence[Path],
    pair: tuple[KeypointDetector, Reenactor],
    seconds: float,
    told: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The results of `avcall bench interpolation`, but for its "command". Of each clip the first `seconds`.

    Raises:
        InputError, NoFaceError: a clip that cannot be read, is too short or shows no face.
        CheckpointError: the LPIPS weights are not at hand.
    """
    detector, reenactor = pair
    lpips = Lpips("alex")
    systems: dict[str, Interpolator] = {
        "hold": HoldInterpolator(),
        "blend": BlendInterpolator(),
        "flow": FlowInterpolator(),
    }
    missing = {}
    for name, make in _OPTIONAL.items():
        try:
            systems[name] = make()
        except CheckpointError as error:
            missing[name] = str(error)
    triplets = _Triplets(systems, reenactor, lpips)
    calls = []
    for clip in clips:
        frames = centre_squares(read_frames(clip, FPS)[: round(seconds * FPS)])
        meshes = find_meshes(frames)
        if len(frames) < 2 * FPS or all(mesh is None for mesh in meshes):
            raise NoFaceError(f"--clips: {clip.name} is shorter than 2 s or shows no face: leave it out")
        found = [None if m is None else detector.detect(i, m) for i, m in zip(frames, meshes, strict=True)]
        for every in EVERY:
            triplets.add(frames, found, every)
        calls.append(show_call(frames, meshes, detector, reenactor, systems, EVERY, lpips))
        told(f"{clip.stem}: {len(frames)} frames")
    return {
        **provenance(),
        "model": reenactor.model.name,
        "clips": [clip.stem for clip in clips],
        "settings": {"seconds": seconds, "fps": FPS, "frames_between_triplets": APART},
        "not_measured": missing,
        **triplets.results(),
        "call": Call.table(calls),
        "keypoints": keypoint_costs([call.tracks for call in calls]),
    }


class _Triplets:
    """Frames left out of a clip, made again from their neighbours, and compared with the true ones."""

    def __init__(self, systems: dict[str, Interpolator], reenactor: Reenactor, lpips: Lpips) -> None:
        self._systems, self._reenactor, self._lpips = systems, reenactor, lpips
        self._scores: dict[tuple[str, int], _Scores] = {}
        self._took_ms: dict[str, list[float]] = {}

    def add(self, frames: list[Image], keypoints: list[Keypoints | None], every: int) -> None:
        """Every APART frames one; of a gap of three the first and the second frame in turns."""
        for number, start in enumerate(range(0, len(frames) - every, APART)):
            step = 1 + number % (every - 1)
            systems = self._systems.items()
            before, truth, after = frames[start], frames[start + step], frames[start + every]
            made = {name: self._timed(name, one.interpolate, before, after, step / every) for name, one in systems}
            ends = keypoints[start], keypoints[start + every]
            if ends[0] is not None and ends[1] is not None:
                encoded = self._reenactor.encode(before, ends[0])
                points = ends[0] + np.float32(step / every) * (ends[1] - ends[0])
                made[KEYPOINTS] = self._timed(KEYPOINTS, self._reenactor.drive, encoded, points)
            with torch.inference_mode():
                features = self._lpips.features(tensor(truth))
                for name, image in made.items():
                    scores = self._scores.setdefault((name, every), _Scores())
                    scores.psnr.append(psnr(truth, image))
                    scores.ssim.append(ssim(truth, image))
                    distance = self._lpips.compare(self._lpips.features(tensor(image)), features)
                    scores.lpips_alex.append(float(distance))

    def results(self) -> dict[str, Any]:
        took_ms = {name: float(np.median(times)) for name, times in self._took_ms.items()}
        rows = [
            {"system": name, "every": every, "frames": len(scores.psnr), **scores.means()}
            for (name, every), scores in sorted(self._scores.items(), key=lambda item: (item[0][1], item[0][0]))
        ]
        faster = {name: took_ms[RIFE] / ms for name, ms in took_ms.items() if name != RIFE} if RIFE in took_ms else {}
        return {"triplets": rows, "cpu_ms": took_ms, "rife_over": faster}

    def _timed(self, name: str, make: Callable[..., Image], *arguments: Any) -> Image:
        start_s = time.process_time()
        image = make(*arguments)
        self._took_ms.setdefault(name, []).append((time.process_time() - start_s) * 1000)
        return image
