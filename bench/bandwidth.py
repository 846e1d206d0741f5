"""`avcall bench bandwidth`: avcall and the video codecs on the same clips, likeness and motion against the rate.

Clip by clip, every system at every target: so a run that is stopped has whole clips to show.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from avcall.bench.bandwidth_avcall import PIVOT_CRFS, AvcallRunner
from avcall.bench.bandwidth_cells import CellStore, Measured, cell_key
from avcall.bench.bandwidth_clip import Clip
from avcall.bench.bandwidth_config import (
    AVCALL,
    CODEC_NAMES,
    FPS,
    PIVOT_EVERY_S,
    SPAN_MS,
    BandwidthConfig,
    checked,
    settings,
)
from avcall.bench.bandwidth_results import Shelf
from avcall.bench.bandwidth_systems import CodecRunner, Setting, System
from avcall.bench.codecs import Ffmpeg, codec
from avcall.bench.evaluate_clip import Networks
from avcall.common import wire
from avcall.common.errors import AvcallError, ConfigError, InputError
from avcall.common.scene_coder import REFRESH
from avcall.models.checkpoint import table
from avcall.models.classical import MeshDetector
from avcall.models.pivot_video import BOOST, PRESET
from avcall.models.reenactment import carried_points, shut_lids
from avcall.models.registry import load_pair, load_super_resolvers
from avcall.models.training.prepare import VIDEO_SUFFIXES
from avcall.receiver.dissolve import FADE_TICKS
from avcall.receiver.smoothing import BENDS, STIFFNESS, WITHIN

SMALL = 256
"""Side of the pictures that networks draw, and of small pivots."""
logger = logging.getLogger(__name__)
Told = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    done: int
    total: int
    clip: str
    system: str
    target_kbps: float
    seconds: float
    """Since the start; `fresh` cells were measured in them."""
    fresh: int

    @property
    def left_s(self) -> float | None:
        """An estimate; None at the beginning."""
        return self.seconds / self.fresh * (self.total - self.done) if self.fresh else None


@dataclass(frozen=True, slots=True)
class Job:
    """One cell to be."""

    path: Path
    system: System
    target_kbps: float


def run_bandwidth(config: BandwidthConfig, clips: list[Path], told: Told = lambda progress: None) -> Shelf:
    """Measures what is missing and returns all cells; `bandwidth_results.summarise` makes the results of them.

    Raises:
        ConfigError, InputError, OutputError: a flag, clip or folder that cannot be used.
        CheckpointError: the measuring networks' weights are not at hand.
    """
    config = checked(config)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    systems = make_systems(config)
    store = CellStore(config.out / "cells")
    shelf = Shelf(config, systems)
    networks = Networks(dists=True, vgg=False, identity=False)
    began, done, fresh = time.perf_counter(), 0, 0
    total = len([kind for kind in _cells(config, systems) if _kind(kind[0]) in config.names()]) * len(clips)
    for path in clips:
        bench = _Bench(config, path, networks)
        for system, target in _cells(config, systems):
            key = bench.key(system, target)
            cell = store.load(path.stem, system.name, target, key)
            asked = _kind(system) in config.names()
            if cell is None and asked:
                try:
                    measured = bench.measure(system, target)
                except InputError as error:
                    logger.warning("skipped %s: %s", path.name, error)
                    shelf.skipped[path.name] = str(error)
                    break
                cell = {"key": key, "clip": path.stem, "system": system.name, **measured}
                store.save(cell)
                fresh += 1
            if cell is not None:
                shelf.add(cell)
            if asked:
                done += 1
                told(Progress(done, total, path.stem, system.name, target, time.perf_counter() - began, fresh))
    if not shelf.clips:
        raise InputError(f"--clips: no usable clip; the first problem: {next(iter(shelf.skipped.values()), 'none')}")
    return shelf


def make_systems(config: BandwidthConfig) -> list[System]:
    """Everything that can be compared, codecs first: what is not asked for is shown where its cells are there.

    Raises:
        ConfigError: a model or codec that does not exist, or no FFmpeg.
    """
    ffmpeg = Ffmpeg()
    made = [_codec(ffmpeg, name) for name in CODEC_NAMES]
    for model in config.model_names():
        try:
            made.append(_avcall(model, config.size))
        except ConfigError as error:
            if config.models:
                raise
            logger.warning("left out: %s", error)
    return made


def clips_of(folder: Path, limit: int = 0) -> list[Path]:
    """A folder's videos: first one of each person (the name up to "_"), then the rest, so that a run that is stopped
    has seen as many people as it could.

    Raises:
        InputError: there is none.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise InputError(f"--clips {folder}: no video in it ({', '.join(VIDEO_SUFFIXES)})")
    seen: dict[str, int] = {}
    rank = {}
    for path in paths:
        person = path.stem.partition("_")[0]
        rank[path] = seen[person] = seen.get(person, -1) + 1
    ordered = sorted(paths, key=lambda path: (rank[path], path))
    return ordered[: limit or None]


class _Bench:
    """A clip and the systems at work on it, opened when a cell of them is missing."""

    def __init__(self, config: BandwidthConfig, path: Path, networks: Networks) -> None:
        self._config, self._path, self._networks = config, path, networks
        self._clip: Clip | None = None
        self._at_work: dict[str, Measured] = {}
        self._stamp = [hashlib.sha256(path.read_bytes()).hexdigest(), settings(config)]

    def key(self, system: System, target: float) -> str:
        return cell_key(self._stamp, system.key, [setting.label for setting in self._settings(system, target)])

    def measure(self, system: System, target: float) -> dict[str, Any]:
        if self._clip is None:
            config = self._config
            self._clip = Clip(self._path, config.size, config.seconds, config.stride, self._networks)
        if system.name not in self._at_work:
            self._at_work[system.name] = Measured(system.open(self._clip), self._clip)
        head = {"clip_sha256": self._clip.sha256, "frames": len(self._clip.frames)}
        return {**head, **self._at_work[system.name].cell(self._settings(system, target), target)}

    def _settings(self, system: System, target: float) -> list[Setting]:
        size = self._config.size
        if _kind(system) == AVCALL:
            sides = (SMALL,) if size == SMALL else (SMALL, size)
            return [Setting(side, FPS, every) for side in sides for every in PIVOT_EVERY_S]
        tried = [Setting(round(size * share), float(fps)) for share, fps in self._config.tried(target)]
        return tried if system.low_delay else [setting for setting in tried if setting.fps == FPS]


def _cells(config: BandwidthConfig, systems: list[System]) -> Iterator[tuple[System, float]]:
    for system in systems:
        for target in config.targets(_kind(system)):
            if _has_settings(config, system, target):
                yield system, target


def _has_settings(config: BandwidthConfig, system: System, target: float) -> bool:
    """The random-access bound is only asked for at 25 pictures a second."""
    return system.low_delay or any(fps == FPS for _, fps in config.tried(target))


def _kind(system: System) -> str:
    return AVCALL if system.name.startswith(AVCALL) else system.name


def _codec(ffmpeg: Ffmpeg, name: str) -> System:
    one = codec(name)
    key = {"options": one.options.split(), "range": [one.finest, one.coarsest], "ffmpeg": ffmpeg.version}
    return System(
        name, one.title, key, lambda clip: CodecRunner(ffmpeg, one, clip.frames), one.low_delay, ffmpeg.version
    )


def _avcall(model: str, size: int) -> System:
    try:
        detector, reenactor = load_pair(model, "cpu")
        upscaler = load_super_resolvers("cpu")[-1][1]
    except AvcallError as error:
        raise ConfigError(f"--models {model}: {error}") from error
    name = f"{AVCALL}-{Path(model).stem}"
    warp = MeshDetector().model.weights  # other constants of the warp draw other pictures
    key = {
        "weights": reenactor.model.weights,
        "warp": warp,
        "points": [*carried_points.CONSTANTS, *shut_lids.CONSTANTS],
        "span_ms": SPAN_MS,
        "pivots": [*PIVOT_CRFS, PRESET, BOOST],
        "dissolve": FADE_TICKS,
        "runs": [wire.VERSION, REFRESH, STIFFNESS, WITHIN, BENDS],
    }
    if size != SMALL:
        key["upscale"] = [line["sha256"] for line in table().values() if line["kind"] == "super_resolver"]
    return System(
        name,
        f"avcall, {Path(model).stem}",
        key,
        lambda clip: AvcallRunner(detector, reenactor, clip.frames, clip.meshes, upscaler),
        version=reenactor.model.weights,
    )
