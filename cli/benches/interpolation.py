"""`avcall bench interpolation`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.checks import check_length
from avcall.cli.benches.output import say
from avcall.common.config import DEFAULT_MODEL, flag


@dataclass(frozen=True, kw_only=True, slots=True)
class InterpolationConfig:
    """Makes frames that were left out again, and calls that leave out keypoints, by each way to interpolate."""

    clips: Path = flag(Path(), "folder of clips of one face each", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    model: str = flag(DEFAULT_MODEL, "reenactment model", metavar="NAME")
    seconds: float = flag(4.0, "only the first seconds of each clip", metavar="SECONDS")
    limit: int = flag(0, "only the first N videos; 0 means all", metavar="N")


def bench_interpolation(config: InterpolationConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.interpolation import measure_interpolation
    from avcall.cli.quiet import one_thread_each
    from avcall.models.registry import load_pair

    check_length(config.seconds, config.limit, least_s=2.0)
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    pair = load_pair(config.model, "cpu")
    results = measure_interpolation(clips, pair, config.seconds, say)
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
