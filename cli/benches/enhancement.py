"""`avcall bench enhancement`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.checks import check_length
from avcall.cli.benches.output import say
from avcall.common.config import flag


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


def bench_enhancement(config: EnhancementConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.enhancement import measure_enhancement
    from avcall.bench.stage_tables import enhancement_table
    from avcall.cli.quiet import one_thread_each
    from avcall.models.checkpoint import load_weights, read_weights, table
    from avcall.models.registry import ENHANCER, PIVOT_ENHANCER

    check_length(config.seconds, config.limit)
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    weights, pivot_weights = (
        read_weights(given) if given is not None else load_weights(name) if name in table() else None
        for given, name in ((config.weights, ENHANCER), (config.pivot_weights, PIVOT_ENHANCER))
    )
    models = config.models or ("classical", "lite")
    results = measure_enhancement(clips, models, weights, pivot_weights, config.seconds, say)
    print(enhancement_table(results))
    return results
