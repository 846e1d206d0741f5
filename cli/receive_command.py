"""`avcall receive`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.cli.flags import add_flags, build
from avcall.common.config import ReceiveConfig

DESCRIPTION = """Receives the call of a room: shows it in a window, plays its sound, records it.

Waits for 'avcall send' in the same room of the same signaling server. Ctrl-C (or Escape in the window) ends the
call; the other end is told and the recording is finished. The picture is synthesised from occasional real pictures
and ten keypoints a frame, and is marked so."""
EXAMPLES = """  avcall receive --room clinic --signal ws://192.0.2.7:8765
  avcall receive --room clinic --record call.mp4 --stats
  avcall receive --room clinic --no-window --no-audio --record call.mp4   on a machine without a display"""


def add_arguments(parser: ArgumentParser) -> None:
    add_flags(parser, ReceiveConfig)
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.cli.checks import check_receive
    from avcall.cli.interrupt import run_until_signal
    from avcall.cli.receiving import receive

    config = build(ReceiveConfig, values)
    check_receive(config)
    return run_until_signal(receive(config))
