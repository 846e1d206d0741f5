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
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from avcall.bench.evaluate_clip import Networks, Original, find_meshes, mean_over_clips
from avcall.bench.evaluate_config import FPS, REPEAT_PIVOT, SYSTEMS, EvaluateConfig, find_clips, settings
from avcall.bench.evaluate_cross import CROSS_IDENTITY, Driver, Source, evaluate_cross
from avcall.bench.evaluate_show import (
    FIRST_FRAME,
    PIVOT_1S,
    choose_pivots,
    find_keypoints,
    find_motions,
    find_scenes,
    show_driven,
    show_pivots,
)
from avcall.bench.evaluate_systems import Pair, load_system
from avcall.bench.evaluate_table import markdown
from avcall.bench.provenance import provenance
from avcall.common.errors import AvcallError, ConfigError, InputError, OutputError
from avcall.common.keypoints import Image, Landmarks
from avcall.models.registry import SUFFIX, device_from_flag
from avcall.models.scene_tracker import Scene
from avcall.models.training.clips import read_frames

__all__ = ["EvaluateConfig", "evaluate"]
PROTOCOLS = (FIRST_FRAME, PIVOT_1S)
_AND = " and "
_FOLDERS = re.compile(r"(?<!\w)[./~][^\s'\"]*/")
logger = logging.getLogger(__name__)


def evaluate(config: EvaluateConfig, load: Callable[[str, str], Pair] = load_system) -> dict[str, Any]:
    """Runs the evaluation and returns what the results file holds.

    Raises:
        ConfigError: a flag that makes no sense, or no system that can be loaded.
        InputError: no usable clip in the folder.
        OutputError: the results file cannot be written.
        CheckpointError: the LPIPS weights are not at hand.
    """
    every_path = find_clips(config)
    paths = every_path[: config.limit or None]
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    run = _Run(config, load)
    for number, path in enumerate(paths, 1):
        began = time.perf_counter()
        try:
            # half the folder away: neighbours are often clips of one person
            run.add_clip(path, every_path[(every_path.index(path) + len(every_path) // 2) % len(every_path)])
        except InputError as error:
            run.skip(path.name, str(error))
            continue
        run.measured += 1
        run.write()
        logger.info("%d of %d: %s, %.0f s", number, len(paths), path.stem, time.perf_counter() - began)
    if not run.measured:
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
        self.measured = 0
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
        protocols = (*PROTOCOLS, CROSS_IDENTITY) if config.cross else PROTOCOLS
        self._commits: dict[tuple[str, str], str | None] = {}
        self._units = {
            (name, protocol): dict[str, dict[str, float | None]]() for name in self._pairs for protocol in protocols
        }
        self._head = provenance()
        self._earlier = read_earlier(config) if config.resume else {}
        self._take_earlier()

    def skip(self, name: str, reason: str) -> None:
        self.skipped[name] = _FOLDERS.sub("", reason)  # results name no places of a machine
        logger.warning("skipped %s: %s", name, reason)

    def add_clip(self, path: Path, driver: Path) -> None:
        """Evaluates all systems on one clip, but for those whose earlier results are of the same file."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if self.clips.get(path.stem, {}).get("sha256") != sha256:
            for clips in self._units.values():
                clips.pop(path.stem, None)
        missing = [unit for unit, clips in self._units.items() if path.stem not in clips]
        if not missing:
            return
        frames = _read_square(path, self._config)
        meshes = find_meshes(frames)
        if not any(landmarks is not None for landmarks in meshes):
            raise InputError(f"{path.name}: no face found; give clips that 'avcall prepare' made")
        plain = [unit for unit in missing if unit[1] != CROSS_IDENTITY]
        cross = [name for name, protocol in missing if protocol == CROSS_IDENTITY]
        if plain:
            self._add_plain(plain, path.stem, Original(frames, meshes, self._networks, self._config.stride, FPS))
        if cross:
            self._add_cross(cross, path, frames, meshes, driver)
        self.clips[path.stem] = {"frames": len(frames), "sha256": sha256}

    def _add_plain(self, plain: list[tuple[str, str]], clip: str, original: Original) -> None:
        scenes = find_scenes(original.frames, original.meshes)
        for name in dict.fromkeys(name for name, _ in plain):
            wanted = [protocol for system, protocol in plain if system == name]
            for protocol, measured in self._evaluate(name, wanted, original, scenes).items():
                self._keep(name, protocol, clip, measured)

    def _add_cross(
        self, names: list[str], path: Path, frames: list[Image], meshes: list[Landmarks | None], driver: Path
    ) -> None:
        try:
            driving = _read_square(driver, self._config)
        except InputError as error:
            self.skip(f"{CROSS_IDENTITY} of {path.name}", str(error))
            return
        driving_meshes = find_meshes(driving)
        if meshes[0] is None or driving_meshes[0] is None:
            self.skip(f"{CROSS_IDENTITY} of {path.name} and {driver.name}", "a first frame shows no face")
            return
        source, motion = Source(frames[0], meshes[0]), Driver(driving, driving_meshes, FPS)
        for name in names:
            measured = evaluate_cross(self._pairs[name], source, motion, self._networks, self._config.stride)
            self._keep(name, CROSS_IDENTITY, path.stem, measured)

    def _keep(self, name: str, protocol: str, clip: str, measured: dict[str, float]) -> None:
        clips = self._units[name, protocol]
        before = self._commits.get((name, protocol)) if clips else None
        self._commits[name, protocol] = joined_commits(before, self._head["commit"])
        clips[clip] = {key: _finite(value) for key, value in measured.items()}

    def write(self) -> dict[str, Any]:
        """Writes the results file and returns its content."""
        config = self._config
        results = {
            **self._head,
            "command": config.command(),
            "settings": settings(config),
            "clips": self.clips,
            "skipped": self.skipped,
            "not_measured": self._networks.not_measured,
            "systems": [self._entry(name, protocol) for name, protocol in self._units] + self._others(),
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
            "commit": self._commits.get((name, protocol)),
            "metrics": mean_over_clips(list(clips.values())),
            "clips": clips,
        }

    def _others(self) -> list[dict[str, Any]]:
        """What the file had of systems and protocols that are not asked for now."""
        earlier = self._earlier.get("systems", [])
        return [entry for entry in earlier if (entry["system"], entry["protocol"]) not in self._units]

    def _weights(self, name: str) -> str | None:
        pair = self._pairs[name]
        return pair[1].model.weights if pair else None

    def _evaluate(
        self, name: str, protocols: list[str], original: Original, scenes: list[Scene]
    ) -> dict[str, dict[str, float]]:
        pair, frames = self._pairs[name], original.frames
        keypoints, detect_ms = find_keypoints(pair[0], frames, original.meshes) if pair else ([], 0.0)
        results = {}
        for protocol in protocols:
            pivots = choose_pivots(protocol, frames, FPS)
            if pair:
                motions, size_bytes = find_motions(frames, keypoints, scenes, pivots)
                shown = show_driven(pair[1], pivots, keypoints, motions)
            else:
                shown, size_bytes = show_pivots(pivots, len(frames)), 0
            results[protocol] = original.judge(shown.frames)
            if protocol == PIVOT_1S:
                results[protocol]["pivot_kbps"] = pivots.kbps(len(frames), FPS)
            if pair:
                results[protocol]["motion_kbps"] = size_bytes * 8 / 1000 / (len(frames) / FPS)
                results[protocol] |= {"detect_ms": detect_ms, "encode_ms": shown.encode_ms, "drive_ms": shown.drive_ms}
        return results

    def _take_earlier(self) -> None:
        """Takes over what the file has of the systems asked for, where the weights are the same."""
        self.clips |= self._earlier.get("clips", {})
        for entry in self._earlier.get("systems", []):
            unit = (entry["system"], entry["protocol"])
            if unit in self._units and entry["weights"] == self._weights(unit[0]):
                self._units[unit] |= entry["clips"]
                self._commits[unit] = entry["commit"]


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


def read_earlier(config: EvaluateConfig) -> dict[str, Any]:
    """The results file as it stands, if it is of the same settings; every entry with its commit.

    Raises:
        InputError: not a results file. ConfigError: one of other settings.
    """
    if not config.json.exists():
        return {}
    try:
        earlier = json.loads(config.json.read_text())
        if earlier["settings"] == settings(config):
            for entry in earlier["systems"]:
                entry.setdefault("commit", earlier["commit"])  # files had one for all
            return dict(earlier)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--json {config.json}: not a results file to resume ({error}); leave out --resume") from error
    raise ConfigError(f"--resume: {config.json} was made with other settings; give another --json")


def joined_commits(before: str | None, now: str | None) -> str | None:
    """What measured an entry's clips, "a and b" where they are of two commits; None: a wheel."""
    if before is None or now == before:
        return now
    added = now or "a wheel"
    return before if added in before.split(_AND) else before + _AND + added


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
