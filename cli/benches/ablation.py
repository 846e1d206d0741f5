"""`avcall bench ablation`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.checks import check_length
from avcall.cli.benches.output import say
from avcall.common.config import flag


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationConfig:
    """Runs the receiver's chain on each clip with all stages, and with each of them off or by its twin."""

    clips: Path = flag(
        Path(), "folder of clips of one face each, square, shown at 256 pixels", metavar="DIR", required=True
    )
    large_clips: Path | None = flag(None, "folder of clips of 512 pixels, for super-resolution", metavar="DIR")
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    model: str = flag("lite", "reenactor of all rows but the classical one", metavar="NAME")
    seconds: float = flag(3.0, "only the first seconds of each clip", metavar="SECONDS")
    limit: int = flag(0, "only the first N clips of each folder; 0 means all", metavar="N")


def bench_ablation(config: AblationConfig) -> dict[str, Any]:
    from avcall.bench.ablation import measure_ablation, shipped_parts
    from avcall.bench.calls import clips_in
    from avcall.bench.stage_tables import ablation_table
    from avcall.cli.quiet import one_thread_each

    check_length(config.seconds, config.limit)
    clips = clips_in(config.clips, config.limit)
    large = [] if config.large_clips is None else clips_in(config.large_clips, config.limit)
    one_thread_each()
    parts = shipped_parts(config.model)
    results = measure_ablation(clips, large, parts, config.seconds, say)
    print(ablation_table(results))
    return results
