"""`avcall bench rate-control`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.output import command_line, say
from avcall.common.config import flag


@dataclass(frozen=True, kw_only=True, slots=True)
class RateControlConfig:
    """Runs the rate controller over simulated bottlenecks: the cases of RFC 8867 that apply, and some more."""

    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    page: Path | None = flag(None, "also plot all cases in this HTML file", metavar="FILE")


def bench_rate_control(config: RateControlConfig) -> dict[str, Any]:
    from avcall.bench.rate_control import measure_rate_control, write_page
    from avcall.cli.checks import check_writable

    if config.page is not None:
        check_writable("--page", config.page)
    results = measure_rate_control(say)
    if config.page is not None:
        write_page({"command": command_line("rate-control", config), **results}, config.page)
    return results
