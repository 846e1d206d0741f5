"""`avcall bench enhancement`: what face enhancement makes of the pictures of each reenactor.

Of each clip a coded pivot is sent every second, as decoded or repaired, and driven by the tracked keypoints, as in
`avcall evaluate`. Every enhancer of pictures is given the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.evaluate_clip import Networks, find_meshes
from avcall.bench.evaluate_config import FPS, PIVOT_CRF
from avcall.bench.evaluate_show import PIVOT_1S, choose_pivots, find_keypoints, find_motions, find_scenes, show_driven
from avcall.bench.provenance import provenance
from avcall.bench.stage_judge import StageJudge, mean_over_clips, read_square
from avcall.bench.stage_tables import NONE
from avcall.common.errors import InputError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import Weights
from avcall.models.enhancement.enhancer import PIVOT_SIDE, NetworkEnhancer, UnsharpEnhancer
from avcall.models.interfaces import Enhancer
from avcall.models.registry import load_pair
from avcall.models.twins import IdentityEnhancer

SIDE = 256
LOOK_EVERY = 18
TWIN, PIVOTS, PICTURES, BOTH = "unsharp", "pivots repaired", "pictures repaired", "both repaired"


def measure_enhancement(
    clips: list[Path],
    models: tuple[str, ...],
    weights: Weights | None,
    pivot_weights: Weights | None,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Every enhancer on the pictures of every model, for the first `seconds` of every clip, and the means. `weights`
    repair pictures, `pivot_weights` pivots; what is None is not measured.

    Raises:
        ConfigError: no such model. CheckpointError: weights or measuring networks are missing. InputError: a clip that
        is not square or shows no face.
    """
    as_given = IdentityEnhancer()
    chains: dict[str, tuple[Enhancer, Enhancer]] = {NONE: (as_given, as_given), TWIN: (as_given, UnsharpEnhancer())}
    if pivot_weights is not None:
        chains[PIVOTS] = (NetworkEnhancer(pivot_weights, "cpu", PIVOT_SIDE), as_given)
    if weights is not None:
        chains[PICTURES] = (as_given, NetworkEnhancer(weights, "cpu"))
    if pivot_weights is not None and weights is not None:
        chains[BOTH] = (chains[PIVOTS][0], chains[PICTURES][1])
    networks = Networks(dists=True, vgg=False, identity=True)
    pairs = {name: load_pair(name, "cpu", enhance_pivots=False) for name in models}
    by_clip: dict[tuple[str, str], dict[str, dict[str, float]]] = {(m, e): {} for m in pairs for e in chains}
    for path in clips:
        frames = read_square(path, SIDE, seconds)
        meshes = find_meshes(frames)
        if all(landmarks is None for landmarks in meshes):
            raise InputError(f"{path.name}: no face found")
        pivots, scenes = choose_pivots(PIVOT_1S, frames, FPS), find_scenes(frames, meshes)
        judge = StageJudge(frames, networks, LOOK_EVERY)
        for model, (detector, reenactor) in pairs.items():
            points = find_keypoints(detector, frames, meshes)[0]
            motions = find_motions(frames, points, scenes, pivots)[0]
            driven: dict[Enhancer, list[Image]] = {}
            for name, (of_pivots, of_pictures) in chains.items():
                if of_pivots not in driven:
                    repaired = replace(pivots, pictures=_enhanced(of_pivots, pivots.pictures)[0])
                    driven[of_pivots] = show_driven(reenactor, repaired, points, motions).frames
                shown, took_ms = _enhanced(of_pictures, driven[of_pivots])
                by_clip[model, name][path.stem] = {**judge.judge(shown), "enhance_ms": took_ms}
        say(
            f"{path.stem}: LPIPS "
            + "  ".join(f"{m} {e} {of[path.stem]['lpips_alex']:.3f}" for (m, e), of in by_clip.items())
        )
    return {
        **provenance(),
        "clips": [path.stem for path in clips],
        "settings": {
            "seconds": seconds,
            "side": SIDE,
            "lpips_every_n_frames": LOOK_EVERY,
            "dists_and_identity_every_n_frames": 2 * LOOK_EVERY,
            "pivots": f"one a second, SVT-AV1 crf {PIVOT_CRF}, low delay",
            "weights": {given.name: given.short_hash for given in (weights, pivot_weights) if given is not None}
            | {m: pair[1].model.weights for m, pair in pairs.items()},
        },
        "systems": [
            {"system": model, "enhancer": name, "metrics": mean_over_clips(list(of.values())), "clips": of}
            for (model, name), of in by_clip.items()
        ],
    }


def _enhanced(enhancer: Enhancer, frames: list[Image]) -> tuple[list[Image], float]:
    """The video, and the median CPU time of a picture in ms."""
    shown, took_ms = [], []
    for frame in frames:
        began = time.thread_time()
        shown.append(enhancer.enhance(frame))
        took_ms.append((time.thread_time() - began) * 1000.0)
    return shown, float(np.median(took_ms))
