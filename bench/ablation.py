"""`avcall bench ablation`: the receiver's whole chain, and the same with one stage off or replaced by its twin.

Of each clip a pivot a second is coded, keypoints of every second frame are coded and sent, the pictures between are
interpolated, all are enhanced; on clips of 512 pixels they are enlarged from 256, too. Stages whose networks are not
shipped run by their twins, in all rows alike; `settings` says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.evaluate_clip import Networks, find_meshes
from avcall.bench.evaluate_config import FPS, PIVOT_CRF
from avcall.bench.evaluate_show import PIVOT_1S, Pivots, choose_pivots, find_keypoints, find_motions, find_scenes
from avcall.bench.provenance import provenance
from avcall.bench.stage_judge import StageJudge, mean_over_clips, read_square
from avcall.common import keypoint_coder
from avcall.common.errors import InputError
from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import SceneMotion
from avcall.models.checkpoint import table as table_of_weights
from avcall.models.interfaces import (
    Encoded,
    Enhancer,
    Guide,
    Interpolator,
    KeypointDetector,
    Reenactor,
    SuperResolver,
    driven,
    driven_detailed,
    followed,
)
from avcall.models.interpolation.flow import FlowInterpolator
from avcall.models.interpolation.interpolator import LITE as INTERPOLATOR
from avcall.models.interpolation.interpolator import load_interpolator
from avcall.models.pivot_codec import decode_pivot, encode_pivot
from avcall.models.registry import CLASSICAL, load_enhancers, load_pair, load_super_resolvers
from avcall.models.scene_tracker import Scene

SIDE, LARGE = 256, 512
LOOK_EVERY = 18
BUNDLE = 3
"""Frames whose keypoints are coded together, as `--wire coded` sends them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """One setting of the receiver's chain; the defaults are all stages on."""

    classical: bool = False
    repaired_pivots: bool = True
    coded_keypoints: bool = True
    scene: bool = True
    """Background and body move with the camera."""
    flow: bool = True
    """The residual flow is told."""
    every: int = 2
    """Keypoints of every frame (1) or every second one (2) are sent."""
    between: str = "network"
    """How the others are made: "network", "keypoints" (a drive at interpolated keypoints) or "hold"."""
    inter_pivots: bool = True
    enhanced: bool = True
    enlarged: bool = True


FULL = "all stages"
VARIANTS = {
    FULL: Chain(),
    "the classical twin drives": Chain(classical=True),
    "keypoints not coded": Chain(coded_keypoints=False),
    "no residual flow": Chain(flow=False),
    "no residual flow, and the background stands": Chain(flow=False, scene=False),
    "keypoints of every frame": Chain(every=1),
    "interpolated by keypoints": Chain(between="keypoints"),
    "held instead of interpolated": Chain(between="hold"),
    "each pivot coded alone": Chain(inter_pivots=False),
    "pivots not repaired": Chain(repaired_pivots=False),
    "pictures not enhanced": Chain(enhanced=False),
}
LARGE_VARIANTS = {
    FULL: Chain(every=1),
    "no residual flow": Chain(every=1, flow=False),
    "pivots not repaired": Chain(every=1, repaired_pivots=False),
    "pictures not enhanced": Chain(every=1, enhanced=False),
    "enlarged by the twin": Chain(every=1, enlarged=False),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the chain is made of."""

    pair: tuple[KeypointDetector, Reenactor]
    plain: tuple[KeypointDetector, Reenactor]
    """The same, without repair of pivots."""
    classical: tuple[KeypointDetector, Reenactor]
    interpolator: Interpolator
    enhancer: Enhancer
    upscalers: tuple[SuperResolver, SuperResolver]
    """The twin and the best."""
    names: dict[str, str]
    """What runs, by stage."""


def shipped_parts(model: str) -> Parts:
    """The stages of a call: every network that is shipped, the twins of the others.

    Raises:
        ConfigError: no such model. CheckpointError: damaged weights.
    """
    interpolator: tuple[str, Interpolator] = ("flow", FlowInterpolator())
    if INTERPOLATOR in table_of_weights():
        interpolator = (INTERPOLATOR, load_interpolator("cpu"))
    enhancers, upscalers = load_enhancers("cpu"), load_super_resolvers("cpu")
    return Parts(
        load_pair(model, "cpu"),
        load_pair(model, "cpu", enhance_pivots=False),
        load_pair(CLASSICAL, "cpu"),
        interpolator[1],
        enhancers[-1][1],
        (upscalers[0][1], upscalers[-1][1]),
        {"drive": model, "interpolate": interpolator[0], "enhance": enhancers[-1][0], "upscale": upscalers[-1][0]},
    )


def measure_ablation(
    clips: list[Path], large: list[Path], parts: Parts, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Every variant on the first `seconds` of every clip, `large` ones or not, and the means.

    Raises:
        CheckpointError: measuring networks are missing. InputError: a clip that is not square or shows no face.
    """
    networks = Networks(dists=True, vgg=False, identity=True)
    entries = []
    for side, paths, variants in ((SIDE, clips, VARIANTS), (LARGE, large, LARGE_VARIANTS)):
        by_variant: dict[str, dict[str, dict[str, float]]] = {name: {} for name in variants}
        for path in paths:
            stage = _Clip(read_square(path, side, seconds), path.name, parts)
            judge = StageJudge(stage.frames, networks, LOOK_EVERY)
            for name, chain in variants.items():
                shown, took_ms = stage.show(chain)
                by_variant[name][path.stem] = {
                    **judge.judge(shown),
                    "ms_a_frame": took_ms,
                    "pivot_kbps": stage.pivots(chain.inter_pivots).kbps(len(stage.frames), FPS),
                }
            say(f"{path.stem}: LPIPS " + "  ".join(f"{of[path.stem]['lpips_alex']:.3f}" for of in by_variant.values()))
        entries += [
            {"system": name, "side": side, "metrics": mean_over_clips(list(of.values())), "clips": of}
            for name, of in by_variant.items()
            if of
        ]
    return {
        **provenance(),
        "clips": [path.stem for path in clips],
        "large_clips": [path.stem for path in large],
        "settings": {
            "seconds": seconds,
            "lpips_every_n_frames": LOOK_EVERY,
            "dists_and_identity_every_n_frames": 2 * LOOK_EVERY,
            "pivots": f"one a second, SVT-AV1 crf {PIVOT_CRF}, low delay; coded alone, in as many bytes",
            "stages": parts.names,
        },
        "systems": entries,
    }


class _Clip:
    """One clip, and what variants share of the work on it."""

    def __init__(self, frames: list[Image], name: str, parts: Parts) -> None:
        self.frames, self._parts = frames, parts
        self._meshes = find_meshes(frames)
        if all(landmarks is None for landmarks in self._meshes):
            raise InputError(f"{name}: no face found")
        self._inter = choose_pivots(PIVOT_1S, frames, FPS)
        self._intra: Pivots | None = None
        self._found: dict[bool, list[Keypoints]] = {}
        self._driven: dict[Chain, tuple[list[tuple[Image, Image | None]], float]] = {}

    def pivots(self, inter: bool) -> Pivots:
        """Coded as a slow video, or each alone in as many bytes as a pivot has there on average."""
        if inter:
            return self._inter
        if self._intra is None:
            pictures, total = [], 0
            for start in self._inter.starts:
                image = self.frames[start]
                codec, data = encode_pivot(image, self._inter.size_bytes // len(self._inter.starts))
                pictures.append(decode_pivot(codec, data, image.shape[1], image.shape[0]))
                total += len(data)
            self._intra = Pivots(self._inter.starts, pictures, total)
        return self._intra

    def show(self, chain: Chain) -> tuple[list[Image], float]:
        """The video as shown, and what it took of CPU time, in ms a frame."""
        driven, took_ms = self._drive(chain)
        began = time.thread_time()
        small = [image for image, _ in driven]
        if chain.every > 1 and chain.between != "keypoints":
            gaps = self._gaps(chain.every)
            took_ms *= 1.0 - len(gaps) / len(small)  # those need no drive
            for number in gaps:
                before, after = small[number - 1], small[number + 1]
                hold = chain.between == "hold"
                small[number] = before if hold else self._parts.interpolator.interpolate(before, after, 0.5)
        if chain.enhanced:
            small = [self._parts.enhancer.enhance(image) for image in small]
        side = len(self.frames[0])
        if len(small[0]) != side:
            upscaler = self._parts.upscalers[chain.enlarged]
            points = self._keypoints(chain)
            small = [
                upscaler.upscale(image, side, Guide(reference, at))
                for image, (_, reference), at in zip(small, driven, points, strict=True)
            ]
        return small, took_ms + (time.thread_time() - began) * 1000.0 / len(small)

    def _gaps(self, every: int) -> list[int]:
        """Frames that were not sent, between two of the same pivot."""
        spans = zip(self._inter.starts, [*self._inter.starts[1:], len(self.frames)], strict=True)
        return [start + at for start, end in spans for at in range(1, end - start - 1) if at % every]

    def _drive(self, chain: Chain) -> tuple[list[tuple[Image, Image | None]], float]:
        """Every frame driven at the keypoints that a receiver has or interpolates: picture and reference."""
        key = replace(chain, between="keypoints", enhanced=True, enlarged=True)
        if key in self._driven:
            return self._driven[key]
        whole = self._parts.pair if chain.repaired_pivots else self._parts.plain
        _, reenactor = self._parts.classical if chain.classical else whole
        points, pivots = self._keypoints(chain), self.pivots(chain.inter_pivots)
        motions = self._motions(chain, points, pivots)
        made: list[tuple[Image, Image | None]] = []
        began = time.thread_time()
        encoded: Encoded | None = None
        for picture, start, end in zip(pivots.pictures, pivots.starts, [*pivots.starts[1:], len(points)], strict=True):
            encoded = followed(reenactor, reenactor.encode(picture, points[start]), encoded)
            for number in range(start, end):
                detailed = driven_detailed(reenactor, encoded, points[number], motions[number])
                if detailed is None:
                    made.append((driven(reenactor, encoded, points[number], motions[number]), None))
                else:
                    made.append((detailed.image, detailed.reference))
        self._driven[key] = made, (time.thread_time() - began) * 1000.0 / len(made)
        return self._driven[key]

    def _motions(self, chain: Chain, points: list[Keypoints], pivots: Pivots) -> list[SceneMotion]:
        """How the scene of every frame has moved, as a receiver has it."""
        scenes = self._scenes if chain.scene else [Scene()] * len(points)
        return find_motions(self.frames, points, scenes, pivots, flow=chain.flow)[0]

    @cached_property
    def _scenes(self) -> list[Scene]:
        return find_scenes(self.frames, self._meshes)

    def _keypoints(self, chain: Chain) -> list[Keypoints]:
        """Of every frame, as received or interpolated between those received."""
        if chain.classical not in self._found:
            detector, _ = self._parts.classical if chain.classical else self._parts.pair
            self._found[chain.classical] = find_keypoints(detector, self.frames, self._meshes)[0]
        found = self._found[chain.classical]
        points = []
        for start, end in zip(self._inter.starts, [*self._inter.starts[1:], len(found)], strict=True):
            sent = found[start : end : chain.every]
            if chain.coded_keypoints:
                sent = [
                    one
                    for at in range(0, len(sent), BUNDLE)
                    for one in _coded(sent[at : at + BUNDLE], keypoint_coder.quantise(found[start]))
                ]
            places = np.arange(0, end - start, chain.every)
            for number in range(end - start):
                right = min(int(np.searchsorted(places, number)), len(places) - 1)
                left = right if places[right] <= number else right - 1
                share = 0.0 if left == right else (number - places[left]) / (places[right] - places[left])
                points.append(np.asarray((1 - share) * sent[left] + share * sent[right], dtype=np.float32))
        return points


def _coded(frames: list[Keypoints], pivot: Keypoints) -> list[Keypoints]:
    return keypoint_coder.decode(keypoint_coder.encode(frames, pivot), len(frames), pivot)[0]
