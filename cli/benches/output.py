"""What every bench says and writes: lines of progress, its own command line, the file of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from avcall.cli.flags import flag_name
from avcall.common.errors import OutputError


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(line, flush=True)


def command_line(name: str, config: Any) -> str:
    """The command line of a bench, with names of files and folders but not the places of this machine."""
    words = ["avcall bench", name]
    for field in config.__dataclass_fields__.values():
        value = getattr(config, field.name)
        if isinstance(value, bool):
            words += [] if value == field.default else [flag_name(field.name if value else f"no_{field.name}")]
        elif field.metadata["required"] or value != field.default:
            for each in value if isinstance(value, tuple) else (value,):
                words += [flag_name(field.name), each.resolve().name if isinstance(each, Path) else str(each)]
    return " ".join(words)


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Writes the file of --json.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--json {path}: {error.strerror}: give a file that can be written") from error
