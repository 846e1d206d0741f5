"""From cells to curves: means over the clips that every system has been measured on, and what the results file holds.

    {"version", "commit", "machine", "command", "settings", "clips": {name: {"frames", "sha256"}}, "skipped",
     "systems": [{"system", "title", "version", "low_delay", "curves": {"best": [point], "moving": [point]}}],
     "metrics": {"comparison": ..., "goals": ...}}

A point is one target: {"target_kbps", "payload_kbps", "payload": {kind: kbit/s}, "wire_kbps", "fits", "settings",
"metrics"}; rates are measured ones, "fits" is the share of the clips whose stream fits the target at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avcall.bench.bandwidth_compare import compare
from avcall.bench.bandwidth_config import BandwidthConfig, settings
from avcall.bench.bandwidth_systems import System
from avcall.bench.evaluate_clip import mean_over_clips
from avcall.bench.provenance import provenance

CURVES = ("best", "moving")
Cell = Mapping[str, Any]


class Shelf:
    """The cells of a run, in order."""

    def __init__(self, config: BandwidthConfig, systems: Sequence[System]) -> None:
        self.config, self.systems = config, list(systems)
        self.skipped: dict[str, str] = {}
        self.cells: dict[str, dict[str, dict[float, Cell]]] = {system.name: {} for system in systems}

    def add(self, cell: Cell) -> None:
        """Takes a finished cell."""
        self.cells[cell["system"]].setdefault(cell["clip"], {})[cell["target_kbps"]] = cell

    @property
    def present(self) -> list[System]:
        """Systems with at least one whole clip."""
        return [system for system in self.systems if self._whole(system)]

    @property
    def clips(self) -> list[str]:
        """Clips on which every system that is present is whole."""
        sets = [set(self._whole(system)) for system in self.present]
        return sorted(set.intersection(*sets)) if sets else []

    def points(self, system: System, curve: str) -> list[dict[str, Any]]:
        """One point a target, by rising rate; a target that most clips cannot reach is left out, unless it is the
        least that the system can do."""
        found = []
        for target in self._targets(system):
            rows = [self.cells[system.name][clip][target][curve] for clip in self.clips]
            if all(row is not None for row in rows):
                found.append(_point(target, rows))
        reached = [point for point in found if point["fits"] > 0.5]
        floor = [point for point in found if point["fits"] <= 0.5][-1:]
        return sorted(floor + reached, key=lambda point: float(point["payload_kbps"]))

    def _targets(self, system: System) -> list[float]:
        return sorted({target for cells in self.cells[system.name].values() for target in cells})

    def _whole(self, system: System) -> list[str]:
        targets = set(self._targets(system))
        return [clip for clip, cells in self.cells[system.name].items() if set(cells) == targets]


def summarise(shelf: Shelf) -> dict[str, Any]:
    """What the results file holds."""
    systems = [
        {
            "system": system.name,
            "title": system.title,
            "version": system.version,
            "low_delay": system.low_delay,
            "options": system.key,
            "curves": {curve: shelf.points(system, curve) for curve in CURVES},
        }
        for system in shelf.present
    ]
    any_system = shelf.cells[shelf.present[0].name]
    return {
        "system": "avcall and video codecs",
        **provenance(),
        "command": shelf.config.command(),
        "settings": settings(shelf.config),
        "clips": {
            clip: {key: next(iter(any_system[clip].values()))[key] for key in ("frames", "clip_sha256")}
            for clip in shelf.clips
        },
        "skipped": shelf.skipped,
        "systems": systems,
        "metrics": compare(systems, shelf.config.size),
    }


def _point(target: float, rows: Sequence[Cell]) -> dict[str, Any]:
    kinds = sorted({kind for row in rows for kind in row["payload"]})
    return {
        "target_kbps": target,
        "payload_kbps": _mean([row["payload_kbps"] for row in rows]),
        "payload": {kind: _mean([row["payload"].get(kind, 0.0) for row in rows]) for kind in kinds},
        "wire_kbps": _mean([row["wire_kbps"] for row in rows]),
        "fits": _mean([float(row["fits"]) for row in rows]),
        "settings": dict(Counter(row["label"] for row in rows).most_common()),
        "metrics": {
            name: None if value is None else round(value, 5)
            for name, value in mean_over_clips([row["metrics"] for row in rows]).items()
        },
    }


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)
