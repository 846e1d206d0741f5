"""`avcall bench super-resolution`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.checks import check_length
from avcall.cli.benches.output import say
from avcall.common.config import DEFAULT_MODEL, flag


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperResolutionConfig:
    """Shows each clip at 512 from pictures of 256, with and without the network and its reference."""

    clips: Path = flag(Path(), "folder of clips of 512x512 pixels", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    seconds: float = flag(3.0, "only the first seconds of each clip", metavar="SECONDS")
    model: str = flag(DEFAULT_MODEL, "the reenactor that drives", metavar="NAME")
    limit: int = flag(0, "only the first N videos; 0 means all", metavar="N")


def bench_super_resolution(config: SuperResolutionConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.super_resolution import measure_super_resolution
    from avcall.bench.super_resolution_table import table
    from avcall.cli.quiet import one_thread_each
    from avcall.models.checkpoint import load_weights
    from avcall.models.super_resolution.resolver import ALONE, GUIDED

    check_length(config.seconds, config.limit)
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    weights = load_weights(GUIDED), load_weights(ALONE)
    results = measure_super_resolution(clips, *weights, config.seconds, say, model=config.model)
    print(table(results))
    return results
