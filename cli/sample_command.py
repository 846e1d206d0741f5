"""`avcall sample`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.cli.flags import number, path
from avcall.common.errors import ConfigError

DESCRIPTION = """Writes the built-in sample to a video file: a talking portrait with sound.

The portrait is NASA's picture of the astronaut Eileen Collins (public domain); its movements and the speech-like sound
are computed. Nobody ever said this. It is the same every time, and good for trying 'avcall send --video'."""
EXAMPLES = """  avcall sample sample.mp4
  avcall sample long.mp4 --seconds 60"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=path, help="video file to write, .mp4")
    parser.add_argument(
        "--seconds", type=number, default=10.0, metavar="SECONDS", help="how long it is, 1 to 600 (default: 10)"
    )
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.bench.sample import write_sample
    from avcall.cli.checks import check_writable

    if values.file.suffix.lower() != ".mp4":
        raise ConfigError(f"FILE {values.file}: give a name that ends in .mp4")
    if not 1.0 <= values.seconds <= 600.0:
        raise ConfigError(f"--seconds {values.seconds:g}: give a number from 1 to 600, such as 10")
    check_writable("FILE", values.file)
    write_sample(values.file, values.seconds)
    print(f"wrote {values.file}: {values.seconds:g} s, an animated public-domain portrait with computed sound")
    return 0
