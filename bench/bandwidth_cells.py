"""One cell of the benchmark: a clip, a system and a target rate. Each is a file, so that a run may stop at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avcall.bench.bandwidth_clip import Clip
from avcall.bench.bandwidth_config import FPS
from avcall.bench.bandwidth_systems import Candidate, Runner, Setting
from avcall.common.errors import OutputError


class CellStore:
    """The finished cells of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--out {folder.parent}: {error.strerror}") from error

    def load(self, clip: str, system: str, target: float, key: str) -> dict[str, Any] | None:
        """The cell, if it is there and was made under the same key; a damaged file counts as missing."""
        try:
            cell = json.loads(self._path(clip, system, target).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return dict(cell) if isinstance(cell, dict) and cell.get("key") == key else None

    def save(self, cell: dict[str, Any]) -> None:
        """Writes a cell whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        path = self._path(cell["clip"], cell["system"], cell["target_kbps"])
        unfinished = path.with_suffix(".part")
        try:
            unfinished.write_text(json.dumps(cell, indent=1) + "\n", encoding="utf-8")
            unfinished.replace(path)
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}") from error

    def _path(self, clip: str, system: str, target: float) -> Path:
        return self._folder / f"{clip}__{system}__{target:g}.json"


def cell_key(*parts: Any) -> str:
    """A short hash of everything that a cell depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Measured:
    """A system on a clip, with what was already looked at: several targets often share a stream."""

    def __init__(self, runner: Runner, clip: Clip) -> None:
        self._runner, self._clip = runner, clip
        self._glances: dict[tuple[Setting, int], float] = {}
        self._judged: dict[tuple[Setting, int], dict[str, float | None]] = {}

    def cell(self, settings: Sequence[Setting], target_kbps: float) -> dict[str, Any]:
        """Tries all settings at a target; "best" is the one that looks best to LPIPS, "moving" the best of those with
        25 moving pictures a second. Where none fits, it is the one that takes the least, and "fits" is false."""
        budget = int(target_kbps * 1000 / 8 * self._clip.seconds)
        tried = [self._runner.fit(setting, budget) for setting in settings]
        moving = [candidate for candidate in tried if candidate.setting.fps == FPS]
        best = self._choose(tried)
        chosen = {"best": best, "moving": self._choose(moving) if moving else None}
        return {
            "target_kbps": target_kbps,
            "tried": [self._row(candidate) for candidate in tried],
            **{name: None if one is None else self._row(one) | self._judge(one) for name, one in chosen.items()},
        }

    def _choose(self, candidates: Sequence[Candidate]) -> Candidate:
        fitting = [candidate for candidate in candidates if candidate.fits]
        if not fitting:
            return min(candidates, key=lambda candidate: candidate.payload_bytes)
        return min(fitting, key=self._glance)

    def _glance(self, candidate: Candidate) -> float:
        name = candidate.setting, candidate.quality
        if name not in self._glances:
            self._glances[name] = self._clip.glance(self._runner.glimpse(candidate, self._clip.glimpses))
        return self._glances[name]

    def _judge(self, candidate: Candidate) -> dict[str, Any]:
        name = candidate.setting, candidate.quality
        if name not in self._judged:
            self._judged[name] = self._clip.judge(self._runner.shown(candidate))
        return {"metrics": self._judged[name]}

    def _row(self, candidate: Candidate) -> dict[str, Any]:
        kbps: Callable[[int], float] = lambda size: round(size * 8 / 1000 / self._clip.seconds, 4)  # noqa: E731
        glance = self._glances.get((candidate.setting, candidate.quality))
        return {
            "setting": asdict(candidate.setting),
            "label": candidate.setting.label,
            "quality": candidate.quality,
            "fits": candidate.fits,
            "payload_kbps": kbps(candidate.payload_bytes),
            "payload": {kind: kbps(size) for kind, size in candidate.payload.items()},
            "wire_kbps": kbps(candidate.wire_bytes),
            "glance": None if glance is None else round(glance, 5),
        }
