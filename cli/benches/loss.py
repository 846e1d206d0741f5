"""`avcall bench loss`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.output import say
from avcall.common.config import flag
from avcall.common.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Whole calls in both directions on virtual time, through losses and thin links: face, camera and network are made
    up, all else is real."""

    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    seeds: int = flag(6, "so many calls of each kind, each with losses and jitter of its own", metavar="N")
    seconds: float = flag(30.0, "how long each call lasts", metavar="SECONDS")


def bench_loss(config: LossConfig) -> dict[str, Any]:
    from avcall.bench.loss import measure_loss
    from avcall.cli.calling import Both
    from avcall.cli.quiet import one_thread_each

    if not 1 <= config.seeds <= 1000 or not 2.0 <= config.seconds <= 600.0:
        raise ConfigError("--seeds must be from 1 to 1000 and --seconds from 2 to 600")
    one_thread_each()
    return measure_loss(Both, config.seeds, config.seconds, say)
