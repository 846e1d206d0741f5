"""`avcall train reenactment`."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.cli.flags import HelpFormatter, add_flags, build
from avcall.models.training.loop import TrainConfig

DESCRIPTION = """Trains a network on a training set that 'avcall prepare' made."""
EXAMPLES = """  avcall train reenactment --size lite --data pack --out run --minutes 60
  avcall train reenactment --data pack --out run --minutes 120 --resume   goes on where it stopped"""


def add_arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="reenactment")
    reenactment = kinds.add_parser(
        "reenactment",
        description="Trains dense motion and generator. Checkpoints, samples and the log go to --out.",
        epilog=f"examples:\n{EXAMPLES}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    add_flags(reenactment, TrainConfig)
    add_debug_flag(reenactment)


def run(values: Namespace) -> int:
    from avcall.models.training.loop import train

    logging.getLogger("avcall").setLevel(min(logging.INFO, logging.getLogger().level))
    print(f"wrote {train(build(TrainConfig, values))}")
    return 0
