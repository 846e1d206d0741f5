"""`avcall bench speed`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.common.config import DEFAULT_MODEL, flag
from avcall.common.errors import ConfigError

SPEED_CLIPS = 5
"""More add nothing to a speed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedConfig:
    """Runs the stages of both ends on one core each, without network, and counts frames a second."""

    clips: Path | None = flag(None, f"measure with the first {SPEED_CLIPS} videos of this folder", metavar="DIR")
    video: Path | None = flag(None, "measure with this video; without it and --clips, with the sample", metavar="FILE")
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    model: str = flag(DEFAULT_MODEL, "reenactment model", metavar="NAME")
    device: str = flag("cpu", "where networks compute", choices=("auto", "cpu", "cuda"))
    size: int = flag(256, "side of the square picture in pixels", metavar="PIXELS")
    display_size: int = flag(512, "side of the picture as it is shown", metavar="PIXELS")
    frames: int = flag(250, "at most so many of each video", metavar="N")


def bench_speed(config: SpeedConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.sample import write_sample
    from avcall.bench.speed import measure_speed
    from avcall.cli.checks import SIZES
    from avcall.cli.quiet import one_thread_each
    from avcall.models.registry import device_from_flag, load_pair

    if config.clips is not None and config.video is not None:
        raise ConfigError("--clips and --video are both given: choose one")
    if not 20 <= config.frames <= 5000:
        raise ConfigError(f"--frames {config.frames}: give a number from 20 to 5000")
    if config.size % 16 or not SIZES[0] <= config.size <= SIZES[1]:
        raise ConfigError(f"--size {config.size}: give a multiple of 16 from {SIZES[0]} to {SIZES[1]}, such as 256")
    if not 64 <= config.display_size <= 2160:
        raise ConfigError(f"--display-size {config.display_size}: give a number from 64 to 2160, such as 512")
    one_thread_each()
    with tempfile.TemporaryDirectory() as folder:
        if config.clips is not None:
            clips = clips_in(config.clips, SPEED_CLIPS)
        elif config.video is not None:
            clips = [config.video]
        else:
            clips = [Path(folder) / "sample.mp4"]
            write_sample(clips[0], config.frames / 25.0)
        detector, reenactor = load_pair(config.model, device_from_flag(config.device))
        results = measure_speed(
            clips, detector, reenactor, size=config.size, display_size=config.display_size, frames=config.frames
        )
    print(_table(results))
    return results


def _table(results: dict[str, Any]) -> str:
    """The results for the terminal."""
    lines = []
    for end, metrics in results["metrics"].items():
        lines.append(
            f"{end}: {metrics['fps']:.0f} frames a second on one core "
            f"({metrics['cpu_ms_a_frame']:.1f} ms of CPU a frame; {metrics['fps_elapsed']:.0f} a second elapsed here)"
        )
        for stage, took in metrics["stage_ms"].items():
            lines.append(f"  {stage.replace('_', ' '):18s} {took['p50']:7.2f} ms median {took['p95']:8.2f} ms 95 %")
    return "\n".join(lines)
