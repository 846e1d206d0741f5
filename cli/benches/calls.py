"""`avcall bench calls`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.checks import check_length
from avcall.cli.benches.output import command_line, say, write_results
from avcall.common.config import AUTO, DEFAULT_MODEL, WIRES, flag
from avcall.common.errors import ConfigError, InputError


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


def bench_calls(config: CallsConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in, measure_calls
    from avcall.cli.checks import check_span

    check_length(config.seconds, config.limit, least_s=2.0)
    check_span(config.span_ms)
    if config.resume and config.json is None:
        raise ConfigError("--resume needs the results to go on with: give --json FILE")
    clips = clips_in(config.clips, config.limit)
    flags = ["--model", config.model, "--wire", config.wire, "--span-ms", config.span_ms]
    flags += ["--voice-kbps", f"{config.voice_kbps:g}"]
    head = {"model": config.model, "wire": config.wire, "span_ms": config.span_ms, "voice_kbps": config.voice_kbps}

    def keep(results: dict[str, Any]) -> None:
        if config.resume and config.json is not None:
            write_results(config.json, {"command": command_line("calls", config), **head, **results})

    results = measure_calls(
        clips,
        config.seconds,
        flags,
        say,
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
