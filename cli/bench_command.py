"""`avcall bench speed` and `avcall bench pivot-intra`."""

from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from avcall.cli import add_debug_flag
from avcall.cli.flags import HelpFormatter, path
from avcall.common.config import DEFAULT_MODEL
from avcall.common.errors import ConfigError, InputError, OutputError

DESCRIPTION = """Measures on this machine.

  speed        frames a second that each end can sustain on one core
  pivot-intra  coders for pivots: likeness at a given size, and time"""
EXAMPLES = """  avcall bench speed
  avcall bench speed --clips CLIPS_DIR --json results/speed.json
  avcall bench pivot-intra CLIPS_DIR --json results/pivot_intra.json"""
MAX_CLIPS = 5
"""More add nothing to a speed."""


def add_arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="speed|pivot-intra")
    speed = kinds.add_parser(
        "speed",
        description="Runs the stages of both ends on one core each, without network, and counts frames a second.",
        epilog="examples:\n  avcall bench speed\n  avcall bench speed --video talk.mp4 --json speed.json",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    speed.add_argument(
        "--clips", type=path, metavar="DIR", help=f"measure with the first {MAX_CLIPS} videos of a folder"
    )
    speed.add_argument("--video", type=path, metavar="FILE", help="measure with this video (default: the sample)")
    speed.add_argument("--json", type=path, metavar="FILE", help="also write the results to this file")
    speed.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help=f"model (default: {DEFAULT_MODEL})")
    speed.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"), help="of networks (default: cpu)")
    speed.add_argument("--size", type=int, default=256, metavar="PIXELS", help="side of the crop (default: 256)")
    speed.add_argument("--display-size", type=int, default=512, metavar="PIXELS", help="shown at (default: 512)")
    speed.add_argument("--frames", type=int, default=250, metavar="N", help="of each clip, at most (default: 250)")
    add_debug_flag(speed)
    intra = kinds.add_parser(
        "pivot-intra",
        description="Codes first pictures of clips with each coder at 1 to 5 kB and measures likeness and time.",
        epilog="example:\n  avcall bench pivot-intra CLIPS_DIR --json results/pivot_intra.json",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    intra.add_argument("clips", type=path, metavar="CLIPS_DIR", help="folder of clips, all of one size")
    intra.add_argument("--json", type=path, metavar="FILE", help="also write the results to this file")
    add_debug_flag(intra)


def run(values: Namespace) -> int:
    return _run_speed(values) if values.what == "speed" else _run_pivot_intra(values)


def _run_speed(values: Namespace) -> int:
    from avcall.bench.sample import write_sample
    from avcall.bench.speed import measure_speed
    from avcall.cli.checks import SIZES
    from avcall.cli.quiet import one_thread_each
    from avcall.models.registry import device_from_flag, load_pair

    if values.clips is not None and values.video is not None:
        raise ConfigError("--clips and --video are both given: choose one")
    if not 20 <= values.frames <= 5000:
        raise ConfigError(f"--frames {values.frames}: give a number from 20 to 5000")
    if values.size % 16 or not SIZES[0] <= values.size <= SIZES[1]:
        raise ConfigError(f"--size {values.size}: give a multiple of 16 from {SIZES[0]} to {SIZES[1]}, such as 256")
    if not 64 <= values.display_size <= 2160:
        raise ConfigError(f"--display-size {values.display_size}: give a number from 64 to 2160, such as 512")
    _check_json(values.json)
    one_thread_each()
    detector, reenactor = load_pair(values.model, device_from_flag(values.device))
    with tempfile.TemporaryDirectory() as folder:
        if values.clips is not None:
            clips = videos_in(values.clips)[:MAX_CLIPS]
        elif values.video is not None:
            clips = [values.video]
        else:
            clips = [Path(folder) / "sample.mp4"]
            write_sample(clips[0], values.frames / 25.0)
        results = measure_speed(
            clips, detector, reenactor, size=values.size, display_size=values.display_size, frames=values.frames
        )
    results["command"] = _speed_command(values)
    print(speed_table(results))
    _write(values.json, results)
    return 0


def _run_pivot_intra(values: Namespace) -> int:
    from avcall.bench.pivot_intra import measure

    _check_json(values.json)
    results = measure(videos_in(values.clips))
    print(json.dumps(results["metrics"], indent=1))
    _write(values.json, results)
    return 0


def speed_table(results: dict[str, Any]) -> str:
    """The results for the terminal."""
    lines = []
    for end, metrics in results["metrics"].items():
        lines.append(
            f"{end}: {metrics['fps_one_core']:.0f} frames a second on one core "
            f"({metrics['cpu_ms_a_frame']:.1f} ms of CPU a frame; {metrics['fps_elapsed']:.0f} a second elapsed here)"
        )
        for stage, took in metrics["stage_ms"].items():
            lines.append(f"  {stage.replace('_', ' '):18s} {took['p50']:7.2f} ms median {took['p95']:8.2f} ms 95 %")
    return "\n".join(lines)


def videos_in(folder: Path) -> list[Path]:
    """The videos of a folder in order of name.

    Raises:
        InputError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder of videos")
    found = sorted(
        each for each in folder.iterdir() if each.suffix.lower() in (".mp4", ".mkv", ".webm", ".mov", ".avi")
    )
    if not found:
        raise InputError(f"{folder} has no videos (mp4, mkv, webm, mov, avi) in it")
    return found


def _speed_command(values: Namespace) -> str:
    """As it was given, with names of files but not the places of this machine."""
    words = ["avcall bench speed", "--model", Path(values.model).name]
    for name in ("clips", "video", "json"):
        given = getattr(values, name)
        words += [] if given is None else [f"--{name}", given.name]
    return " ".join([*words, "--size", str(values.size), "--frames", str(values.frames)])


def _check_json(file: Path | None) -> None:
    from avcall.cli.checks import check_writable

    if file is not None:
        check_writable("--json", file)


def _write(file: Path | None, results: dict[str, Any]) -> None:
    if file is None:
        return
    try:
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--json {file}: {error.strerror}: give a file that can be written") from error
