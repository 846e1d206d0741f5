"""`avcall bench pivots`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.checks import check_length
from avcall.cli.benches.output import say
from avcall.common.config import flag


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


def bench_pivots(config: PivotsConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.pivots import measure_pivots, summary
    from avcall.cli.quiet import one_thread_each

    check_length(config.seconds, config.limit)
    clips = clips_in(config.clips, config.limit)
    one_thread_each()
    results = measure_pivots(clips, config.seconds, config.keep, say)
    for kbps, found in results["budgets"].items():
        print(f"{kbps:>4} kbit/s: {summary(found['rules'])}")
    return results
