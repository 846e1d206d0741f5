"""The flags of `avcall evaluate`, what they may be, and the constants of its protocols. Imports nothing heavy: the
command line reads it for its help."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from avcall.common.config import flag
from avcall.common.errors import ConfigError, InputError, OutputError
from avcall.models.pivot_video import PRESET
from avcall.receiver.dissolve import FADE_TICKS

FPS = 25
REPEAT_PIVOT, WARP_ONLY, CARRIED, LITE = "repeat_pivot", "warp_only", "lite_carried", "lite"
SYSTEMS = (REPEAT_PIVOT, "classical", WARP_ONLY, CARRIED, LITE, "fomm")
PIVOT_CRF = 45
DEEP_EVERY = 7
"""DISTS, LPIPS-vgg and identity look at every 7th of the frames that LPIPS-alex looks at: they cost far more. Of every
6th frame that makes every 42nd, whose places within the 25 frames of a pivot are spread evenly."""


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
    cross: bool = flag(False, "drive each face by another clip's too, without a true picture to compare with")
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


def find_clips(config: EvaluateConfig) -> list[Path]:
    """The folder's videos in order of name, after a check of all flags.

    Raises:
        ConfigError, InputError, OutputError: see `evaluate`.
    """
    from avcall.models.training.prepare import VIDEO_SUFFIXES  # loads the decoders

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
    return paths


def settings(config: EvaluateConfig) -> dict[str, Any]:
    """What a figure depends on besides system, protocol and clip."""
    return {
        "folder": config.clips.resolve().name,
        "seconds": config.seconds,
        "size": config.size,
        "fps": FPS,
        "lpips_every_n_frames": config.stride,
        "dists_and_identity_every_n_frames": config.stride * DEEP_EVERY,
        "dists": config.dists,
        "vgg": config.vgg,
        "identity": config.identity,
        "device": config.device,
        "pivot_1s": f"SVT-AV1 preset {PRESET}, variance boost, crf {PIVOT_CRF}, one chain a clip, a picture a second, "
        f"its changes dissolved over {FADE_TICKS} pictures",
    }
