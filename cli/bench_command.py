"""`avcall bench speed`, `calls`, `pivot-intra`, `keypoints`, `rate-control`, `fuzz`, `bandwidth` and others."""

from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.bench.bandwidth_config import BandwidthConfig
from avcall.cli import add_debug_flag
from avcall.cli.flags import HelpFormatter, add_flags, build
from avcall.common.config import AUTO, DEFAULT_MODEL, WIRES, flag
from avcall.common.errors import ConfigError, InputError, OutputError

DESCRIPTION = """Measures on this machine.

  speed        frames a second that each end can sustain on one core
  calls        a real call over loopback for each video of a folder, and the means of their reports
  pivot-intra  coders for pivots: likeness at a given size, and time
  pivots       when to send a pivot: the adaptive selector against two simple rules at the same bytes
  keypoints    what coded keypoints cost, and how far they are off
  interpolation
               ways to make the frames, or the keypoints, that were not sent
  super-resolution
               ways to show a picture of 256 pixels at 512
  enhancement  what face enhancement makes of the pictures of each reenactor
  detector     learned keypoint detectors beside the face mesh: jitter, distance, time
  ablation     the receiver's whole chain, and the same with one stage off
  rate-control
               what the rate controller finds and leaves to others, in simulated time
  loss         whole calls through losses and thin links, in virtual time
  fuzz         hostile messages against everything that takes bytes from a peer
  bandwidth    avcall against the video codecs: likeness and motion at each rate"""
EXAMPLES = """  avcall bench speed
  avcall bench calls --two-way --seconds 30 --clips CLIPS_DIR --resume --json results/calls.json
  avcall bench calls --wire thesis --clips CLIPS_DIR --json results/calls_thesis.json
  avcall bench pivot-intra --clips CLIPS_DIR --json results/pivot_intra.json
  avcall bench pivots --clips CLIPS_DIR --json results/pivots.json
  avcall bench keypoints --clips CLIPS_DIR --json results/keypoints.json
  avcall bench interpolation --clips CLIPS_DIR --json results/interpolation.json
  avcall bench super-resolution --clips CLIPS_DIR --json results/super_resolution.json
  avcall bench enhancement --clips CLIPS_DIR --json results/enhancement.json
  avcall bench detector --clips CLIPS_DIR --weights detector.safetensors --json results/detector.json
  avcall bench ablation --clips CLIPS_DIR --large-clips CLIPS_512_DIR --json results/ablation.json
  avcall bench rate-control --page out/rate_control.html --json results/rate_control.json
  avcall bench loss --json results/loss.json
  avcall bench fuzz --cases 1000000 --json results/fuzz.json
  avcall bench bandwidth --clips CLIPS_DIR --out out/bandwidth --json results/bandwidth.json"""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class CallsConfig:
    """A real call, as in 'avcall demo', for each video of a folder; writes the mean of their reports. With --two-way,
    the other end sends the next video of the folder, and both begin again where they end before the call."""

    clips: Path = flag(Path(), "folder of videos", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    seconds: float = flag(8.0, "how long each call lasts", metavar="SECONDS")
    two_way: bool = flag(False, "calls in both directions")
    wire: str = flag(WIRES[0], "as in 'avcall send'", choices=WIRES)
    span_ms: str = flag(AUTO, "as in 'avcall send'", metavar="MS|auto")
    voice_kbps: float = flag(8.0, "as in 'avcall send'", metavar="KBPS")
    resume: bool = flag(False, "keep the calls that --json has already, and write it after each")
    limit: int = flag(0, "only the first N videos; 0 means all", metavar="N")
    model: str = flag(DEFAULT_MODEL, "reenactment model", metavar="NAME")


@dataclass(frozen=True, kw_only=True, slots=True)
class PivotIntraConfig:
    """Codes a picture of each clip with each coder at 1 to 5 kB and measures likeness and time."""

    clips: Path = flag(Path(), "folder of clips, all of one size", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")


@dataclass(frozen=True, kw_only=True, slots=True)
class PivotsConfig:
    """Plays each clip with each rule at 1.5, 3 and 6 kbit/s and judges what would be shown."""

    clips: Path = flag(Path(), "folder of clips of one face each", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    keep: Path | None = flag(
        None, "leave each clip's results in this folder, and go on from there when started again", metavar="DIR"
    )
    seconds: float = flag(8.0, "only the first seconds of each clip", metavar="SECONDS")
    limit: int = flag(0, "only the first N videos; 0 means all", metavar="N")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointsConfig:
    """Tracks the faces of a folder of videos and codes their keypoints as '--wire coded' does."""

    clips: Path = flag(Path(), "folder of videos", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    model: str = flag(DEFAULT_MODEL, "reenactment model", metavar="NAME")


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperResolutionConfig:
    """Shows each clip at 512 from pictures of 256, with and without the network and its reference."""

    clips: Path = flag(Path(), "folder of clips of 512x512 pixels", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    seconds: float = flag(3.0, "only the first seconds of each clip", metavar="SECONDS")
    limit: int = flag(0, "only the first N videos; 0 means all", metavar="N")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhancementConfig:
    """Repairs driven pictures of each clip with each enhancer."""

    clips: Path = flag(Path(), "folder of clips of one face each, square", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    models: tuple[str, ...] = flag(
        (), "reenactor whose pictures are repaired (classical and lite if none is given)", metavar="NAME"
    )
    weights: Path | None = flag(
        None, "repair pictures with this weights file instead of the shipped one", metavar="FILE.safetensors"
    )
    pivot_weights: Path | None = flag(
        None, "repair pivots with this weights file instead of the shipped one", metavar="FILE.safetensors"
    )
    seconds: float = flag(5.0, "only the first seconds of each clip", metavar="SECONDS")
    limit: int = flag(0, "only the first N clips; 0 means all", metavar="N")


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorBenchConfig:
    """Jitter of learned detectors beside the face mesh's own, distance to it, and the time of the detect path."""

    clips: Path = flag(Path(), "folder of clips of one face each, square", metavar="DIR", required=True)
    weights: tuple[Path, ...] = flag((), "weights of a detector, from avcall train detector", metavar="FILE")
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    seconds: float = flag(6.0, "only the first seconds of each clip", metavar="SECONDS")


@dataclass(frozen=True, kw_only=True, slots=True)
class InterpolationConfig:
    """Makes frames that were left out again, and calls that leave out keypoints, by each way to interpolate."""

    clips: Path = flag(Path(), "folder of clips of one face each", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    model: str = flag(DEFAULT_MODEL, "reenactment model", metavar="NAME")
    seconds: float = flag(4.0, "only the first seconds of each clip", metavar="SECONDS")
    limit: int = flag(0, "only the first N videos; 0 means all", metavar="N")


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationConfig:
    """Runs the receiver's chain on each clip with all stages, and with each of them off or by its twin."""

    clips: Path = flag(
        Path(), "folder of clips of one face each, square, shown at 256 pixels", metavar="DIR", required=True
    )
    large_clips: Path | None = flag(None, "folder of clips of 512 pixels, for super-resolution", metavar="DIR")
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    model: str = flag("lite", "reenactor of all rows but the classical one", metavar="NAME")
    seconds: float = flag(3.0, "only the first seconds of each clip; of large ones, half of that", metavar="SECONDS")
    limit: int = flag(0, "only the first N clips of each folder; 0 means all", metavar="N")


@dataclass(frozen=True, kw_only=True, slots=True)
class RateControlConfig:
    """Runs the rate controller over simulated bottlenecks: the cases of RFC 8867 that apply, and some more."""

    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    page: Path | None = flag(None, "also plot all cases in this HTML file", metavar="FILE")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Whole calls in both directions on virtual time, through losses and thin links: face, camera and network are made
    up, all else is real."""

    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    seeds: int = flag(6, "so many calls of each kind, each with losses and jitter of its own", metavar="N")
    seconds: float = flag(30.0, "how long each call lasts", metavar="SECONDS")


@dataclass(frozen=True, kw_only=True, slots=True)
class FuzzConfig:
    """Throws made messages, most of them malformed, at both ends' intakes; fails at the first that does harm."""

    cases: int = flag(100_000, "how many messages", metavar="N")
    seed: int = flag(1, "where to begin: the same seed gives the same messages", metavar="N")
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")


def add_arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="|".join(_BENCHES))
    for name, (config, _) in _BENCHES.items():
        bench = kinds.add_parser(
            name,
            description=config.__doc__,
            epilog=f"example:\n{next(line for line in EXAMPLES.splitlines() if f' bench {name}' in line)}",
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        add_flags(bench, config)
        add_debug_flag(bench)


def run(values: Namespace) -> int:
    from avcall.cli.checks import check_writable

    config, measure = _BENCHES[values.what]
    built = build(config, values)
    if built.json is not None:
        check_writable("--json", built.json)
    results = {"command": _command(values.what, built), **measure(built)}
    if built.json is not None:
        _write(built.json, results)
    return 0


def _speed(config: SpeedConfig) -> dict[str, Any]:
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
    print(speed_table(results))
    return results


def _calls(config: CallsConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in, measure_calls
    from avcall.cli.checks import check_span

    if not 2.0 <= config.seconds <= 600.0 or config.limit < 0:
        raise ConfigError("--seconds must be from 2 to 600 and --limit not below 0")
    check_span(config.span_ms)
    if config.resume and config.json is None:
        raise ConfigError("--resume needs the results to go on with: give --json FILE")
    clips = clips_in(config.clips, config.limit)
    flags = ["--model", config.model, "--wire", config.wire, "--span-ms", config.span_ms]
    flags += ["--voice-kbps", f"{config.voice_kbps:g}"]
    head = {"model": config.model, "wire": config.wire, "span_ms": config.span_ms, "voice_kbps": config.voice_kbps}

    def keep(results: dict[str, Any]) -> None:
        if config.resume and config.json is not None:
            _write(config.json, {"command": _command("calls", config), **head, **results})

    results = measure_calls(
        clips,
        config.seconds,
        flags,
        lambda line: print(line, flush=True),
        two_way=config.two_way,
        done=_done(config, head) if config.resume else None,
        keep=keep,
    )
    print(json.dumps(results["metrics"], indent=1))
    return {**head, **results}


def _done(config: CallsConfig, head: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The calls of an earlier run with the same settings."""
    if config.json is None or not config.json.is_file():
        return {}
    try:
        before = json.loads(config.json.read_text(encoding="utf-8"))
        same = {**head, "seconds": config.seconds, "two_way": config.two_way}
        return dict(before["calls"]) if same.items() <= before.items() else {}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"--json {config.json}: not results of 'avcall bench calls': give another file") from error


def _write(path: Path, results: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--json {path}: {error.strerror}: give a file that can be written") from error


def _pivot_intra(config: PivotIntraConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.pivot_intra import measure
    from avcall.bench.provenance import provenance
    from avcall.cli.quiet import one_thread_each

    clips = clips_in(config.clips)
    one_thread_each()
    results = measure(clips)
    for row in results["rows"]:
        print(
            f"{row['coder']:14s} {row['budget_bytes']:5d} B  {row['psnr_db']:5.1f} dB  SSIM {row['ssim']:.3f}  "
            f"LPIPS {row['lpips_alex']:.3f}  {row['encode_ms']:4.0f} ms"
        )
    return {**provenance(), **results}


def _keypoints(config: KeypointsConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.keypoints import measure_keypoints
    from avcall.cli.quiet import one_thread_each
    from avcall.models.registry import load_pair

    clips = clips_in(config.clips)
    one_thread_each()
    results = measure_keypoints(clips, load_pair(config.model, "cpu")[0], lambda line: print(line, flush=True))
    for row in results["spans"]:
        print(
            f"{row['span_ms']:4d} ms  {row['coded_bytes_a_frame']:5.2f} B a frame, {row['coded_kbps']:.2f} kbit/s, "
            f"with headers {row['bundle_kbps']:.2f} kbit/s; {row['rms_px_per_coordinate']:.3f} px rms"
        )
    return results


def _pivots(config: PivotsConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.pivots import measure_pivots, summary
    from avcall.cli.quiet import one_thread_each

    _check_length(config.seconds, config.limit)
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    results = measure_pivots(clips, config.seconds, config.keep, lambda line: print(line, flush=True))
    for kbps, found in results["budgets"].items():
        print(f"{kbps:>4} kbit/s: {summary(found['rules'])}")
    return results


def _bandwidth(config: BandwidthConfig) -> dict[str, Any]:
    from avcall.bench.bandwidth import clips_of, run_bandwidth
    from avcall.bench.bandwidth_config import checked
    from avcall.bench.bandwidth_page import write_page
    from avcall.bench.bandwidth_progress import ProgressLine
    from avcall.bench.bandwidth_results import summarise
    from avcall.bench.bandwidth_table import markdown
    from avcall.bench.sample import write_sample
    from avcall.cli.quiet import one_thread_each

    config = checked(config)
    one_thread_each()
    with tempfile.TemporaryDirectory() as folder:
        if config.clips is None:
            clips = [Path(folder) / "sample.mp4"]
            write_sample(clips[0], config.seconds or 10.0)
        else:
            clips = clips_of(config.clips, config.limit)
        shelf = run_bandwidth(config, clips, ProgressLine())
        results = summarise(shelf)
        write_page(shelf, results, clips)
    print(markdown(results))
    return results


def _super_resolution(config: SuperResolutionConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.super_resolution import measure_super_resolution
    from avcall.bench.super_resolution_table import table
    from avcall.cli.quiet import one_thread_each
    from avcall.models.checkpoint import load_weights
    from avcall.models.super_resolution.resolver import ALONE, GUIDED

    if not 1.0 <= config.seconds <= 600.0 or config.limit < 0:
        raise ConfigError("--seconds must be from 1 to 600 and --limit not below 0")
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    weights = load_weights(GUIDED), load_weights(ALONE)
    results = measure_super_resolution(clips, *weights, config.seconds, lambda line: print(line, flush=True))
    print(table(results))
    return results


def _enhancement(config: EnhancementConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.enhancement import measure_enhancement
    from avcall.bench.stage_tables import enhancement_table
    from avcall.cli.quiet import one_thread_each
    from avcall.models.checkpoint import load_weights, read_weights, table
    from avcall.models.registry import ENHANCER, PIVOT_ENHANCER

    _check_length(config.seconds, config.limit)
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    weights, pivot_weights = (
        read_weights(given) if given is not None else load_weights(name) if name in table() else None
        for given, name in ((config.weights, ENHANCER), (config.pivot_weights, PIVOT_ENHANCER))
    )
    models = config.models or ("classical", "lite")
    results = measure_enhancement(
        clips, models, weights, pivot_weights, config.seconds, lambda line: print(line, flush=True)
    )
    print(enhancement_table(results))
    return results


def _ablation(config: AblationConfig) -> dict[str, Any]:
    from avcall.bench.ablation import measure_ablation, shipped_parts
    from avcall.bench.calls import clips_in
    from avcall.bench.stage_tables import ablation_table
    from avcall.cli.quiet import one_thread_each

    _check_length(config.seconds, config.limit)
    clips = clips_in(config.clips, config.limit)
    large = [] if config.large_clips is None else clips_in(config.large_clips, config.limit)
    one_thread_each()
    parts = shipped_parts(config.model)
    results = measure_ablation(clips, large, parts, config.seconds, lambda line: print(line, flush=True))
    print(ablation_table(results))
    return results


def _check_length(seconds: float, limit: int) -> None:
    if not 1.0 <= seconds <= 600.0 or limit < 0:
        raise ConfigError("--seconds must be from 1 to 600 and --limit not below 0")


def _detector(config: DetectorBenchConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.detector import measure_detectors
    from avcall.cli.quiet import one_thread_each

    if config.seconds < 1.0:
        raise ConfigError("--seconds must be at least 1")
    clips = clips_in(config.clips)
    one_thread_each()
    results = measure_detectors(clips, config.weights, config.seconds, lambda line: print(line, flush=True))
    for row in results["rows"]:
        print(
            f"{row['detector']:16s} jitter {row['jitter_px']:.3f} px, "
            f"{row['distance_to_mesh_px']:.2f} px from the mesh, detect path {row['detect_path_ms']:.1f} ms"
        )
    return results


def _interpolation(config: InterpolationConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.interpolation import measure_interpolation
    from avcall.cli.quiet import one_thread_each
    from avcall.models.registry import load_pair

    if not 2.0 <= config.seconds <= 600.0 or config.limit < 0:
        raise ConfigError("--seconds must be from 2 to 600 and --limit not below 0")
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    pair = load_pair(config.model, "cpu")
    results = measure_interpolation(clips, pair, config.seconds, lambda line: print(line, flush=True))
    for row in results["triplets"]:
        print(
            f"1 of {row['every']} true, {row['system']:10s} {row['psnr']:5.2f} dB  SSIM {row['ssim']:.4f}  "
            f"LPIPS {row['lpips_alex']:.4f}  {results['cpu_ms'][row['system']]:6.1f} ms"
        )
    for row in results["call"]:
        print(
            f"keypoints of 1 in {row['every']}, {row['system']:10s} LPIPS {row['lpips_alex']:.4f} "
            f"({100 * (row['lpips_over_all'] - 1):+.1f} %)  lips {row['lip_lmd_px']:.2f} px"
        )
    return results


def _rate_control(config: RateControlConfig) -> dict[str, Any]:
    from avcall.bench.rate_control import measure_rate_control, write_page
    from avcall.cli.checks import check_writable

    if config.page is not None:
        check_writable("--page", config.page)
    results = measure_rate_control(lambda line: print(line, flush=True))
    if config.page is not None:
        write_page({"command": _command("rate-control", config), **results}, config.page)
    return results


def _loss(config: LossConfig) -> dict[str, Any]:
    from avcall.bench.loss import measure_loss
    from avcall.cli.calling import Both
    from avcall.cli.quiet import one_thread_each

    if not 1 <= config.seeds <= 1000 or not 2.0 <= config.seconds <= 600.0:
        raise ConfigError("--seeds must be from 1 to 1000 and --seconds from 2 to 600")
    one_thread_each()
    return measure_loss(Both, config.seeds, config.seconds, lambda line: print(line, flush=True))


def _fuzz(config: FuzzConfig) -> dict[str, Any]:
    from avcall.bench.fuzz import measure_fuzz
    from avcall.cli.quiet import one_thread_each

    if not 1_000 <= config.cases <= 10**9:
        raise ConfigError(f"--cases {config.cases}: give a number from 1000 to 1000000000")
    one_thread_each()
    results = measure_fuzz(config.cases, config.seed, lambda line: print(line, flush=True))
    memory = results["memory_mb"]
    print(
        f"{results['cases']} cases, {results['cases_a_second']} a second: {results['accepted']} taken, "
        f"{results['refused']} refused, slowest {results['slowest_ms']:.0f} ms; "
        f"memory {memory['begin']:.0f} to {memory['peak']:.0f} MB"
    )
    return results


_BENCHES: dict[str, tuple[type[Any], Callable[[Any], dict[str, Any]]]] = {
    "speed": (SpeedConfig, _speed),
    "calls": (CallsConfig, _calls),
    "pivot-intra": (PivotIntraConfig, _pivot_intra),
    "pivots": (PivotsConfig, _pivots),
    "keypoints": (KeypointsConfig, _keypoints),
    "interpolation": (InterpolationConfig, _interpolation),
    "super-resolution": (SuperResolutionConfig, _super_resolution),
    "enhancement": (EnhancementConfig, _enhancement),
    "ablation": (AblationConfig, _ablation),
    "detector": (DetectorBenchConfig, _detector),
    "rate-control": (RateControlConfig, _rate_control),
    "loss": (LossConfig, _loss),
    "fuzz": (FuzzConfig, _fuzz),
    "bandwidth": (BandwidthConfig, _bandwidth),
}


def speed_table(results: dict[str, Any]) -> str:
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


def _command(name: str, config: Any) -> str:
    """The command line, with names of files and folders but not the places of this machine."""
    words = ["avcall bench", name]
    for field in config.__dataclass_fields__.values():
        value = getattr(config, field.name)
        if field.metadata["required"] or value != field.default:
            for each in value if isinstance(value, tuple) else (value,):
                words += [
                    f"--{field.name.replace('_', '-')}",
                    each.resolve().name if isinstance(each, Path) else str(each),
                ]
    return " ".join(words)
