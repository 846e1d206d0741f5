"""The flags of `avcall bench bandwidth`, and which settings are tried at which rate. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from avcall.common.config import flag
from avcall.common.errors import ConfigError, InputError, OutputError

FPS = 25.0
AVCALL = "avcall"
CODEC_NAMES = ("x264", "x265", "vp8", "vp9", "aom", "svt-av1", "vvenc", "vvenc-ra")
JVET_GFV = "jvet-gfv"
SPAN_MS = 120.0
"""One bundle of keypoints."""
PIVOT_EVERY_S = (0.5, 1.0, 2.0, 4.0, 8.0)
DEEP_FRAMES = 91
"""DISTS, which costs far more, looks at about so many frames apart."""
QUICK_EVERY = 23
"""Settings are compared by LPIPS on every 23rd frame."""
LADDERS: dict[int, dict[float, tuple[tuple[float, float], ...]]] = {
    256: {
        3: ((1, 2), (1, 1), (0.5, 2)),
        6: ((0.5, 25), (1, 5), (1, 2)),
        12: ((1, 25), (0.5, 25), (1, 12.5), (1, 5)),
        18: ((1, 25), (1, 12.5), (1, 5)),
        25: ((1, 25), (1, 12.5)),
        50: ((1, 25),),
    },
    512: {
        6: ((0.25, 25), (0.5, 5), (0.5, 2), (1, 1)),
        12: ((0.5, 25), (0.5, 12.5), (1, 5), (1, 2)),
        18: ((1, 25), (0.5, 25), (0.5, 12.5), (1, 5)),
        30: ((1, 25), (0.5, 25), (1, 12.5), (1, 5)),
        50: ((1, 25), (1, 12.5)),
    },
}
"""Per display size and target in kbit/s: (share of the side, pictures a second) to try."""
AVCALL_BUDGETS = {256: (3.0, 4.0, 6.0, 9.0, 12.0, 18.0), 512: (4.0, 6.0, 9.0, 12.0, 18.0, 30.0)}


@dataclass(frozen=True, kw_only=True, slots=True)
class BandwidthConfig:
    """Likeness and motion against the rate: avcall and the video codecs on the same clips, with real bytes.

    Each finished cell (one clip, system and rate) is a file in OUT/cells: the same command goes on where it was
    stopped, and measures avcall's cells again when its weights change."""

    clips: Path | None = flag(None, "folder of videos of one face each; without it, the built-in sample", metavar="DIR")
    out: Path = flag(Path(), "folder for cells, results, plots and the page with videos", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    size: int = flag(256, "side at which everything is shown and compared: 256 or 512", metavar="PIXELS")
    codecs: tuple[str, ...] = flag(
        (), f"measure only these (comma-separated or repeated): avcall, {', '.join(CODEC_NAMES)}", metavar="NAMES"
    )
    models: tuple[str, ...] = flag((), "avcall's models; classical and lite if not given", metavar="NAMES")
    budgets: tuple[str, ...] = flag((), "targets in kbit/s instead of the usual ladder", metavar="KBPS")
    seconds: float = flag(10.0, "only the first seconds of each clip; 0 means all", metavar="SECONDS")
    limit: int = flag(0, "only the first N clips; 0 means all", metavar="N")
    stride: int = flag(7, "look at every n-th frame with the slow measures", metavar="N")
    every_setting: bool = flag(False, "try every size and frame rate at every target: hours")
    videos: int = flag(3, "clips shown side by side on the page", metavar="N")
    conditions: str = flag(
        "", "the lengths, size and rate of JVET's generative face video test", choices=("", JVET_GFV)
    )

    def command(self) -> str:
        """The command line that this is, with the names of files and folders but not the places of this machine."""
        words = ["avcall bench bandwidth"]
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default and not field.metadata["required"]:
                continue
            name = "--" + field.name.replace("_", "-")
            if isinstance(value, bool):
                words.append(name)
            elif isinstance(value, tuple):
                words += [name, ",".join(value)]
            else:
                words += [name, value.resolve().name if isinstance(value, Path) else f"{value}"]
        return " ".join(words)

    def names(self) -> tuple[str, ...]:
        """The systems asked for: avcall and codecs."""
        return _listed(self.codecs) or (*CODEC_NAMES, AVCALL)

    def model_names(self) -> tuple[str, ...]:
        return _listed(self.models) or ("classical", "lite")

    def targets(self, name: str) -> tuple[float, ...]:
        """The rates in kbit/s that a system is asked for."""
        if self.budgets:
            return tuple(sorted(_number(text) for text in _listed(self.budgets)))
        return AVCALL_BUDGETS[self.size] if name == AVCALL else tuple(LADDERS[self.size])

    def tried(self, target: float) -> tuple[tuple[float, float], ...]:
        """(share of the side, pictures a second) that codecs try at a target: those of the nearest rung."""
        ladder = LADDERS[self.size]
        if self.every_setting:
            shares = sorted({share for rung in ladder.values() for share, _ in rung}, reverse=True)
            return tuple((share, fps) for share in shares for fps in (25, 12.5, 5, 2, 1))
        return ladder[min(ladder, key=lambda rung: abs(math.log(rung / target)))]


def checked(config: BandwidthConfig) -> BandwidthConfig:
    """The configuration with its conditions applied, after a check of all flags.

    Raises:
        ConfigError, InputError, OutputError: a flag that makes no sense.
    """
    if config.conditions == JVET_GFV:
        config = replace(config, size=256, seconds=0.0)
        if config.clips is None:
            raise ConfigError(f"--conditions {JVET_GFV}: give --clips with your own copy of its sequences")
    if config.size not in LADDERS:
        raise ConfigError(f"--size {config.size}: 256 or 512")
    if config.stride < 1 or any(not round(2 * every) % config.stride for every in (12.5, 25, 50, 100)):
        raise ConfigError(f"--stride {config.stride}: must not divide the frames from one pivot to the next; try 7")
    if not (config.seconds == 0 or config.seconds >= 2) or config.limit < 0 or config.videos < 0:
        raise ConfigError("--seconds must be 0 or at least 2, --limit and --videos not below 0")
    for name in config.names():
        if name not in (AVCALL, *CODEC_NAMES):
            raise ConfigError(f"--codecs {name}: there is {AVCALL}, {', '.join(CODEC_NAMES)}")
    if any(not 0.5 <= target <= 1000 for target in config.targets(AVCALL)):
        raise ConfigError("--budgets: give kbit/s from 0.5 to 1000")
    if config.clips is not None and not config.clips.is_dir():
        raise InputError(f"--clips {config.clips}: no such folder")
    for name, path in (("--out", config.out), ("--json", config.json)):
        if path is not None and not path.resolve().parent.is_dir():
            raise OutputError(f"{name} {path}: there is no folder {path.resolve().parent}")
    return config


def settings(config: BandwidthConfig) -> dict[str, Any]:
    """What a cell depends on besides clip, system and target."""
    return {
        "size": config.size,
        "seconds": config.seconds,
        "fps": FPS,
        "lpips_every_n_frames": config.stride,
        "dists_every_n_frames": config.stride * deep_every(config.stride),
        "settings_compared_every_n_frames": QUICK_EVERY,
    }


def deep_every(stride: int) -> int:
    """DISTS looks at so many-th of the frames that LPIPS looks at."""
    return max(1, round(DEEP_FRAMES / stride))


def _listed(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"--budgets {text}: not a number of kbit/s") from error
