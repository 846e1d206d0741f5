"""`avcall bench pivots`: the adaptive selector against a fixed interval and DAC's rule, at the same bytes.

Every rule's pivots are links of one chain by the same coder; the first, a key frame, is the same for all and not
counted. The selector spends its budget as in a call. The other two are tuned for each clip to the bytes that it took,
with hindsight, which a call would not have. A pivot can be referred to ARRIVES_AFTER frames after its own. Shown is
what the classical reenactor makes of the decoded pivots; LPIPS-alex is taken on every STRIDE-th frame.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avcall.bench.encoded_pivots import add_pivot
from avcall.bench.pivot_play import ARRIVES_AFTER, Played, TrackedFrame, play, track_clip
from avcall.bench.pivot_rules import FixedInterval, RunningMean
from avcall.bench.provenance import provenance
from avcall.bench.speed import read_clip
from avcall.bench.tensors import tensor
from avcall.common.errors import NoFaceError
from avcall.models import metrics
from avcall.models.classical import ClassicalReenactor, MeshDetector
from avcall.models.interfaces import Encoded, followed
from avcall.models.lpips import Lpips
from avcall.sender.adaptive_selector import AdaptiveSelector
from avcall.sender.selector import PivotSelector

BUDGETS_KBPS = (1.5, 3.0, 6.0)
FPS = 25
STRIDE = 7
"""Of the frames that are judged: in no step with checks, or with pivots a second apart."""
TRIALS, CLOSE = 6, 0.02
"""Of a rule's parameter, halving its range (in the logarithm) each time, until its bytes are so close."""
INTERVALS_MS, THRESHOLDS = (80.0, 8000.0), (0.004, 0.4)
RULES = ("adaptive", "fixed_interval", "running_mean")


class Judge:
    """LPIPS of a clip's frames as shown; what depends on the original alone is computed once."""

    def __init__(self, frames: Sequence[TrackedFrame], reenactor: ClassicalReenactor, network: Lpips) -> None:
        self._frames = frames
        self._reenactor = reenactor
        self._network = network
        self._samples = range(STRIDE, len(frames), STRIDE)
        with torch.inference_mode():
            self._features = [network.features(tensor(frames[number].view.image)) for number in self._samples]

    def judge(self, played: Played) -> dict[str, float]:
        """The clip's mean, its worst second, and what was sent after the first pivot."""
        encoded: list[Encoded] = []
        found = []
        with torch.inference_mode():
            for number, features in zip(self._samples, self._features, strict=True):
                reference = played.references[number]
                for pivot in played.pivots[len(encoded) : reference + 1]:
                    add_pivot(encoded, self._reenactor, pivot.coded.shown, pivot.keypoints)
                    encoded = [followed(self._reenactor, old, encoded[-1]) for old in encoded[:-1]] + encoded[-1:]
                view = self._frames[number].view
                shown = self._reenactor.drive(encoded[reference], view.keypoints, played.motions[number])
                found.append(float(self._network.compare(features, self._network.features(tensor(shown)))))
        seconds = len(self._frames) / FPS
        return {
            "lpips_alex": float(np.mean(found)),
            "lpips_alex_worst_s": metrics.worst_second(np.array(found), FPS / STRIDE),
            "link_kbps": played.link_bytes() * 8 / 1000 / seconds,
            "links": len(played.pivots) - 1,
            "key_bytes": played.pivots[0].size_bytes,
        }


def matched(
    make: Callable[[float], PivotSelector],
    span: tuple[float, float],
    target_bytes: int,
    run: Callable[[PivotSelector], Played],
) -> tuple[float, Played]:
    """The parameter whose links come nearest to `target_bytes`, and its play; a larger one means fewer of them."""
    low, high = span
    best: tuple[float, Played] | None = None
    for _ in range(TRIALS):
        middle = float(np.sqrt(low * high))
        played = run(make(middle))
        size = played.link_bytes()
        if best is None or abs(size - target_bytes) < abs(best[1].link_bytes() - target_bytes):
            best = middle, played
        if abs(size - target_bytes) <= CLOSE * target_bytes:
            break
        low, high = (middle, high) if size > target_bytes else (low, middle)
    assert best is not None
    return best


def measure_clip(
    frames: Sequence[TrackedFrame], reenactor: ClassicalReenactor, network: Lpips
) -> dict[str, dict[str, dict[str, float]]]:
    """Every rule at every budget: {budget: {rule: measures}}."""
    judge = Judge(frames, reenactor, network)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for kbps in BUDGETS_KBPS:
        adaptive = play(frames, AdaptiveSelector(kbps, max_age_ms=10_000.0), kbps, reenactor)
        target = adaptive.link_bytes()

        def run(selector: PivotSelector, kbps: float = kbps) -> Played:
            return play(frames, selector, kbps, reenactor)

        def blindly(selector: PivotSelector, kbps: float = kbps) -> Played:
            return play(frames, selector, kbps, None)  # a clock looks at nothing: the bytes are the same

        interval_ms, _ = matched(FixedInterval, INTERVALS_MS, target, blindly)
        results[f"{kbps:g}"] = {
            "adaptive": judge.judge(adaptive),
            "fixed_interval": judge.judge(run(FixedInterval(interval_ms))),
            "running_mean": judge.judge(matched(RunningMean, THRESHOLDS, target, run)[1]),
        }
    return results


def measure_pivots(
    clips: Sequence[Path], seconds: float, kept: Path | None, told: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """The results of `avcall bench pivots`, but for its "command". `kept`: a folder in which each clip's results are
    left when it is done, and taken from when the command is given again.

    Raises:
        InputError, NoFaceError, CheckpointError: clips that cannot be read or show no face; no weights for LPIPS.
    """
    reenactor, network = ClassicalReenactor(), Lpips("alex")
    per_clip: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for clip in clips:
        file = None if kept is None else kept / f"{clip.stem}.json"
        if file is not None and file.exists():
            per_clip[clip.stem] = json.loads(file.read_text(encoding="utf-8"))
            continue
        frames = track_clip(read_clip(clip, round(seconds * FPS))[0], MeshDetector())
        if len(frames) < 2 * FPS:
            raise NoFaceError(f"--clips: {clip.name} shows a face for less than two seconds: leave it out")
        per_clip[clip.stem] = measure_clip(frames, reenactor, network)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(per_clip[clip.stem]) + "\n", encoding="utf-8")
        told(f"{clip.stem}: {summary(per_clip[clip.stem]['3'])}")
    budgets = {name: mean_of([found[name] for found in per_clip.values()]) for name in map("{:g}".format, BUDGETS_KBPS)}
    return {
        **provenance(),
        "clips": list(per_clip),
        "settings": {"seconds": seconds, "stride": STRIDE, "arrives_after_frames": ARRIVES_AFTER, "side": 256},
        "budgets": budgets,
        "per_clip": per_clip,
    }


def mean_of(clips: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over clips, and what the selector gains on each of the others (0.1: a tenth less)."""
    means = {
        rule: {name: float(np.mean([clip[rule][name] for clip in clips])) for name in clips[0][rule]} for rule in RULES
    }
    ours = means["adaptive"]
    gains = {
        rule: {name: 1.0 - ours[name] / means[rule][name] for name in ("lpips_alex", "lpips_alex_worst_s")}
        for rule in RULES[1:]
    }
    return {"rules": means, "adaptive_gains": gains}


def summary(rules: dict[str, dict[str, float]]) -> str:
    """One line: mean / worst second of each rule, and the selector's rate."""
    parts = [f"{rule} {rules[rule]['lpips_alex']:.3f}/{rules[rule]['lpips_alex_worst_s']:.3f}" for rule in RULES]
    return f"{rules['adaptive']['link_kbps']:.2f} kbit/s; " + ", ".join(parts)
