"""Figures on val against pairs seen, from the logs of training runs.

python -m avcall.bench.learning_curve NAME=RUN_DIR [NAME=RUN_DIR ...] --json results/learning_curve.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from avcall.bench.provenance import provenance
from avcall.common.errors import InputError

PROTOCOLS = ("first_frame", "pivot_1s")


def curve(folder: Path) -> list[dict[str, Any]]:
    """One row an evaluation of the run in `folder`: steps, pairs, minutes, and the figures by protocol.

    Raises:
        InputError: no log of a reenactment run there.
    """
    path = folder / "log.jsonl"
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        return [
            {
                "steps": record["step"],
                "pairs": record["samples"],
                "minutes": round(record["elapsed_s"] / 60, 1),
                **{protocol: record[protocol] for protocol in PROTOCOLS},
            }
            for record in records
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no log of avcall train reenactment ({error})") from error


def learning_curves(runs: dict[str, Path]) -> dict[str, Any]:
    """{"version", "commit", "machine", "command", "clips", "runs": [{"run", "rows"}]} of runs by name."""
    command = "python -m avcall.bench.learning_curve " + " ".join(f"{name}=RUN" for name in runs)
    return {
        **provenance(),
        "command": command,
        "clips": ["val/ of the pack"],
        "runs": [{"run": name, "rows": curve(folder)} for name, folder in runs.items()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN_DIR")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    values = parser.parse_args()
    named = dict(run.split("=", 1) for run in values.runs)
    values.json.write_text(json.dumps(learning_curves({n: Path(p) for n, p in named.items()}), indent=1) + "\n")


if __name__ == "__main__":
    main()
