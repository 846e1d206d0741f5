"""`avcall prepare`."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.cli.flags import add_flags, build
from avcall.models.training.prepare import PrepareConfig

DESCRIPTION = """Makes a training set from any folder of talking videos: crops around the face, face meshes, a manifest.

Videos that cannot be read or show no face are left out, and the manifest says why."""
EXAMPLES = """  avcall prepare --videos VIDEOS_DIR --out pack
  avcall train reenactment --data pack --out run --minutes 60"""


def add_arguments(parser: ArgumentParser) -> None:
    add_flags(parser, PrepareConfig)
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.models.training.prepare import prepare

    logging.getLogger("avcall").setLevel(min(logging.INFO, logging.getLogger().level))
    config = build(PrepareConfig, values)
    manifest = prepare(config)
    print(f"wrote {config.out}: {len(manifest['clips'])} clips, {len(manifest['skipped'])} files left out")
    return 0
