"""`avcall bench fuzz`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.output import say
from avcall.common.config import flag
from avcall.common.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class FuzzConfig:
    """Throws made messages, most of them malformed, at both ends' intakes; fails at the first that does harm."""

    cases: int = flag(100_000, "how many messages", metavar="N")
    seed: int = flag(1, "where to begin: the same seed gives the same messages", metavar="N")
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")


def bench_fuzz(config: FuzzConfig) -> dict[str, Any]:
    from avcall.bench.fuzz import measure_fuzz
    from avcall.cli.quiet import one_thread_each

    if not 1_000 <= config.cases <= 10**9:
        raise ConfigError(f"--cases {config.cases}: give a number from 1000 to 1000000000")
    one_thread_each()
    results = measure_fuzz(config.cases, config.seed, say)
    memory = results["memory_mb"]
    print(
        f"{results['cases']} cases, {results['cases_a_second']} a second: {results['accepted']} taken, "
        f"{results['refused']} refused, slowest {results['slowest_ms']:.0f} ms; "
        f"memory {memory['begin']:.0f} to {memory['peak']:.0f} MB"
    )
    return results
