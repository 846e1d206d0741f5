"""`avcall evaluate`."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace

from avcall.bench.evaluate_config import EvaluateConfig
from avcall.cli import add_debug_flag
from avcall.cli.flags import add_flags, build, path

DESCRIPTION = """Measures on a folder of clips how like the original the models' faces are, and how alive.

Each model, and repeating the pivot, is measured with the first frame as the only pivot and with a coded pivot every
second. The results go to a JSON file; tables are printed."""
EXAMPLES = """  avcall evaluate CLIPS_DIR --json results/evaluation.json
  avcall evaluate CLIPS_DIR --json quick.json --limit 3 --seconds 4 --models classical"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("clips", metavar="CLIPS_DIR", type=path, help="folder of clips of one face each, square")
    add_flags(parser, EvaluateConfig, skip=("clips",))
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.bench.evaluate import evaluate
    from avcall.bench.evaluate_table import markdown

    logging.getLogger("avcall").setLevel(min(logging.INFO, logging.getLogger().level))
    print(markdown(evaluate(build(EvaluateConfig, values))))
    return 0
