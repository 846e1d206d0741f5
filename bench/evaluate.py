"""`avcall evaluate`: every system on the same clips by the same protocols, into one results file.

    {"version", "commit", "machine", "command", "settings", "clips": {name: {"frames", "sha256"}}, "skipped",
     "not_measured", "systems": [{"system", "protocol", "weights", "metrics": {...}, "clips": {name: {...}}}]}

The file is written anew after each clip, so a run that is stopped is taken up by the same command with --resume.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from avcall.bench.evaluate_clip import DEEP_EVERY, Networks, Original, find_meshes, mean_over_clips
from avcall.bench.evaluate_show import (
    FIRST_FRAME,
    PIVOT_1S,
    PIVOT_CRF,
    PIVOT_PRESET,
    choose_pivots,
    find_keypoints,
    show_driven,
    show_pivots,
)
from avcall.bench.evaluate_systems import REPEAT_PIVOT, SYSTEMS, Pair, load_system
from avcall.bench.evaluate_table import markdown
from avcall.bench.provenance import provenance
from avcall.common.config import flag
from avcall.common.errors import AvcallError, ConfigError, InputError, OutputError
from avcall.common.keypoints import Image
from avcall.models.registry import SUFFIX, device_from_flag
from avcall.models.training.clips import read_frames
from avcall.models.training.prepare import VIDEO_SUFFIXES

PROTOCOLS = (FIRST_FRAME, PIVOT_1S)
FPS = 25
_FOLDERS = re.compile(r"(?<!\w)[./~][^\s'\"]*/")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """`avcall evaluate CLIPS_DIR`."""

    clips: Path = flag(Path(), "folder of clips of one face each, square", metavar="CLIPS_DIR", required=True)
    json: Path = flag(Path(), "write the results to this file", metavar="FILE", required=True)
    table: Path | None = flag(None, "write the results as Markdown tables to this file too", metavar="FILE.md")
    models: tuple[str, ...] = flag(
        (), f"evaluate only this system: {', '.join(SYSTEMS)}, or the path of a weights file", metavar="NAME"
    )
    limit: int = flag(0, "only the first N clips; 0 means all", metavar="N")
    seconds: float = flag(20.0, "only the first seconds of each clip", metavar="SECONDS")
    size: int = flag(256, "side in pixels at which all is compared; clips of other sizes are resized", metavar="PIXELS")
    stride: int = flag(6, "look at every n-th frame with the slow measures", metavar="N")
    dists: bool = flag(True, "measure DISTS")
    vgg: bool = flag(False, "measure LPIPS with VGG16 too")
    identity: bool = flag(True, "measure whether it is the same person")
    threads: int = flag(1, "threads of the networks", metavar="N")
    device: str = flag("cpu", "where the models compute", choices=("cpu", "cuda"))
    resume: bool = flag(False, "keep what the results file already has of the same settings")

    def command(self) -> str:
        """The command line that this is, with the names of files and folders but not the places of this machine."""
        words = ["avcall evaluate", self.clips.resolve().name, "--json", self.json.name]
        words += [word for name in self.models for word in ("--models", Path(name).name)]
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("clips", "json", "models", "table", "resume") or value == field.default:
                continue
            name = field.name.replace("_", "-")
            words += (
                [f"--{name}" if value else f"--no-{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
            )
        return " ".join(words)


def evaluate(config: EvaluateConfig, load: Callable[[str, str], Pair] = load_system) -> dict[str, Any]:
    """Runs the evaluation and returns what the results file holds.

    Raises:
        ConfigError: a flag that makes no sense, or no system that can be loaded.
        InputError: no usable clip in the folder.
        OutputError: the results file cannot be written.
        CheckpointError: the LPIPS weights are not at hand.
    """
    paths = _check(config)
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    run = _Run(config, load)
    for number, path in enumerate(paths, 1):
        began = time.perf_counter()
        try:
            run.add_clip(path)
        except InputError as error:
            run.skip(path.name, str(error))
            continue
        run.write()
        logger.info("%d of %d: %s, %.0f s", number, len(paths), path.stem, time.perf_counter() - began)
    if not run.clips:
        raise InputError(
            f"--clips {config.clips}: no usable clip; the first problem: {next(iter(run.skipped.values()))}"
        )
    return run.write()


class _Run:
    """The results so far, and what is loaded to make more."""

    def __init__(self, config: EvaluateConfig, load: Callable[[str, str], Pair]) -> None:
        self._config = config
        self.clips: dict[str, dict[str, Any]] = {}
        self.skipped: dict[str, str] = {}
        self._pairs: dict[str, Pair | None] = {}
        device = device_from_flag(config.device)
        for name in config.models or SYSTEMS:
            system = Path(name).stem if name.endswith(SUFFIX) else name
            try:
                self._pairs[system] = None if name == REPEAT_PIVOT else load(name, device)
            except AvcallError as error:
                self.skip(system, str(error))
        if not self._pairs:
            raise ConfigError(f"--models: none of {', '.join(config.models)} can be loaded: {self.skipped}")
        self._networks = Networks(config.dists, config.vgg, config.identity)
        self._units = {
            (name, protocol): dict[str, dict[str, float | None]]() for name in self._pairs for protocol in PROTOCOLS
        }
        self._earlier = _read_earlier(config) if config.resume else {}

    def skip(self, name: str, reason: str) -> None:
        self.skipped[name] = _FOLDERS.sub("", reason)  # results name no places of a machine
        logger.warning("skipped %s: %s", name, reason)

    def add_clip(self, path: Path) -> None:
        """Evaluates all systems on one clip, or takes the earlier results where they are of the same file."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        missing = [unit for unit in self._units if not self._take_earlier(unit, path.stem, sha256)]
        if missing:
            frames = _read_square(path, self._config)
            meshes = find_meshes(frames)
            if not any(landmarks is not None for landmarks in meshes):
                raise InputError(f"{path.name}: no face found; give clips that 'avcall prepare' made")
            original = Original(frames, meshes, self._networks, self._config.stride, FPS)
            for name in dict.fromkeys(name for name, _ in missing):
                wanted = [protocol for system, protocol in missing if system == name]
                for protocol, measured in self._evaluate(name, wanted, original).items():
                    self._units[name, protocol][path.stem] = {key: _finite(value) for key, value in measured.items()}
            self.clips[path.stem] = {"frames": len(frames), "sha256": sha256}
        else:
            self.clips[path.stem] = self._earlier["clips"][path.stem]

    def write(self) -> dict[str, Any]:
        """Writes the results file and returns its content."""
        config = self._config
        results = {
            **provenance(),
            "command": config.command(),
            "settings": _settings(config),
            "clips": self.clips,
            "skipped": self.skipped,
            "not_measured": self._networks.not_measured,
            "systems": [self._entry(name, protocol) for name, protocol in self._units],
        }
        unfinished = config.json.with_name(config.json.name + ".part")
        try:
            unfinished.write_text(json.dumps(results, indent=1) + "\n")
            unfinished.replace(config.json)
            if config.table is not None:
                config.table.write_text(markdown(results))
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be written ({error.strerror})") from error
        return results

    def _entry(self, name: str, protocol: str) -> dict[str, Any]:
        clips = self._units[name, protocol]
        return {
            "system": name,
            "protocol": protocol,
            "weights": self._weights(name),
            "metrics": mean_over_clips(list(clips.values())),
            "clips": clips,
        }

    def _weights(self, name: str) -> str | None:
        pair = self._pairs[name]
        return pair[1].model.weights if pair else None

    def _evaluate(self, name: str, protocols: list[str], original: Original) -> dict[str, dict[str, float]]:
        pair, frames = self._pairs[name], original.frames
        keypoints, detect_ms = find_keypoints(pair[0], frames, original.meshes) if pair else ([], 0.0)
        results = {}
        for protocol in protocols:
            pivots = choose_pivots(protocol, frames, FPS)
            shown = show_driven(pair[1], pivots, keypoints) if pair else show_pivots(pivots, len(frames))
            results[protocol] = original.judge(shown.frames)
            if protocol == PIVOT_1S:
                results[protocol]["pivot_kbps"] = pivots.kbps(len(frames), FPS)
            if pair:
                results[protocol] |= {"detect_ms": detect_ms, "encode_ms": shown.encode_ms, "drive_ms": shown.drive_ms}
        return results

    def _take_earlier(self, unit: tuple[str, str], clip: str, sha256: str) -> bool:
        known = self._earlier.get("clips", {}).get(clip, {})
        for entry in self._earlier.get("systems", []):
            same = (entry["system"], entry["protocol"]) == unit and entry["weights"] == self._weights(unit[0])
            if same and known.get("sha256") == sha256 and clip in entry["clips"]:
                self._units[unit][clip] = entry["clips"][clip]
                return True
        return False


def _check(config: EvaluateConfig) -> list[Path]:
    if config.stride < 1 or config.stride % 5 == 0:
        raise ConfigError(
            f"--stride {config.stride}: give a number from 1 that 5 does not divide; a pivot is shown for 25 frames, "
            "and the others would always look at the same ages of it"
        )
    if config.seconds < 1 or config.size < 32 or config.limit < 0 or config.threads < 1:
        raise ConfigError("--seconds must be at least 1, --size 32, --threads 1 and --limit 0")
    if not config.clips.is_dir():
        raise InputError(f"--clips {config.clips}: no such folder")
    paths = sorted(path for path in config.clips.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise InputError(f"--clips {config.clips}: no video in it ({', '.join(VIDEO_SUFFIXES)})")
    if not config.json.parent.is_dir() or config.json.is_dir():
        raise OutputError(f"--json {config.json}: not a file in an existing folder")
    return paths[: config.limit or None]


def _read_square(path: Path, config: EvaluateConfig) -> list[Image]:
    frames = read_frames(path, FPS)[: round(config.seconds * FPS)]
    height, width = frames[0].shape[:2]
    if height != width:
        raise InputError(f"{path.name}: {width}x{height} is not square; 'avcall prepare' cuts square clips")
    if len(frames) < FPS:
        raise InputError(f"{path.name}: shorter than a second")
    if width == config.size:
        return frames
    how = cv2.INTER_AREA if width > config.size else cv2.INTER_CUBIC
    return [np.asarray(cv2.resize(frame, (config.size, config.size), interpolation=how), np.uint8) for frame in frames]


def _read_earlier(config: EvaluateConfig) -> dict[str, Any]:
    """The results file as it stands, if it is of the same settings."""
    if not config.json.exists():
        return {}
    try:
        earlier = json.loads(config.json.read_text())
        if earlier["settings"] == _settings(config):
            return dict(earlier)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--json {config.json}: not a results file to resume ({error}); leave out --resume") from error
    raise ConfigError(f"--resume: {config.json} was made with other settings; give another --json")


def _settings(config: EvaluateConfig) -> dict[str, Any]:
    """What a figure depends on besides system, protocol and clip."""
    return {
        "seconds": config.seconds,
        "size": config.size,
        "fps": FPS,
        "lpips_every_n_frames": config.stride,
        "dists_and_identity_every_n_frames": config.stride * DEEP_EVERY,
        "dists": config.dists,
        "vgg": config.vgg,
        "identity": config.identity,
        "device": config.device,
        "pivot_1s": f"SVT-AV1 preset {PIVOT_PRESET} crf {PIVOT_CRF}, low delay, one chain a clip, a picture a second",
    }


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
