"""`avcall bench NAME`: each bench is a module of `avcall.cli.benches`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from avcall.bench.bandwidth_config import BandwidthConfig
from avcall.cli import add_debug_flag
from avcall.cli.benches.ablation import AblationConfig, bench_ablation
from avcall.cli.benches.bandwidth import bench_bandwidth
from avcall.cli.benches.calls import CallsConfig, bench_calls
from avcall.cli.benches.detector import DetectorConfig, bench_detector
from avcall.cli.benches.enhancement import EnhancementConfig, bench_enhancement
from avcall.cli.benches.fuzz import FuzzConfig, bench_fuzz
from avcall.cli.benches.interpolation import InterpolationConfig, bench_interpolation
from avcall.cli.benches.keypoints import KeypointsConfig, bench_keypoints
from avcall.cli.benches.loss import LossConfig, bench_loss
from avcall.cli.benches.output import command_line, write_results
from avcall.cli.benches.pivot_chain import PivotChainConfig, bench_pivot_chain
from avcall.cli.benches.pivot_intra import PivotIntraConfig, bench_pivot_intra
from avcall.cli.benches.pivots import PivotsConfig, bench_pivots
from avcall.cli.benches.rate_control import RateControlConfig, bench_rate_control
from avcall.cli.benches.speed import SpeedConfig, bench_speed
from avcall.cli.benches.super_resolution import SuperResolutionConfig, bench_super_resolution
from avcall.cli.flags import HelpFormatter, add_flags, build

DESCRIPTION = """Measures on this machine.

  speed        frames a second that each end can sustain on one core
  calls        a real call over loopback for each video of a folder, and the means of their reports
  pivot-intra  coders for pivots: likeness at a given size, and time
  pivot-chain  how the links of a chain of pivots are coded: likeness at the same bytes, and time
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
  avcall bench pivot-chain --clips CLIPS_DIR --json results/pivot_chain.json
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
_BENCHES: dict[str, tuple[type[Any], Callable[[Any], dict[str, Any]]]] = {
    "speed": (SpeedConfig, bench_speed),
    "calls": (CallsConfig, bench_calls),
    "pivot-intra": (PivotIntraConfig, bench_pivot_intra),
    "pivot-chain": (PivotChainConfig, bench_pivot_chain),
    "pivots": (PivotsConfig, bench_pivots),
    "keypoints": (KeypointsConfig, bench_keypoints),
    "interpolation": (InterpolationConfig, bench_interpolation),
    "super-resolution": (SuperResolutionConfig, bench_super_resolution),
    "enhancement": (EnhancementConfig, bench_enhancement),
    "ablation": (AblationConfig, bench_ablation),
    "detector": (DetectorConfig, bench_detector),
    "rate-control": (RateControlConfig, bench_rate_control),
    "loss": (LossConfig, bench_loss),
    "fuzz": (FuzzConfig, bench_fuzz),
    "bandwidth": (BandwidthConfig, bench_bandwidth),
}


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
    results = {"command": command_line(values.what, built), **measure(built)}
    if built.json is not None:
        write_results(built.json, results)
    return 0
