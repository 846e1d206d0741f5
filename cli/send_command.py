"""`avcall send`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.cli.flags import add_flags, build
from avcall.common.config import SendConfig

DESCRIPTION = """Sends a face and a voice into a room: from a camera and a microphone, or from a video file.

Waits for 'avcall receive' in the same room of the same signaling server. A file is sent at its own pace.
Ctrl-C ends the call; the other end is told."""
EXAMPLES = """  avcall send --room clinic --signal ws://192.0.2.7:8765
  avcall send --room clinic --video talk.mp4 --loop        a file instead of a camera
  avcall send --room clinic --camera 1 --mic "USB Audio" --voice-kbps 12"""


def add_arguments(parser: ArgumentParser) -> None:
    add_flags(parser, SendConfig)
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.cli.checks import check_send
    from avcall.cli.interrupt import run_until_signal
    from avcall.cli.sending import send

    config = build(SendConfig, values)
    check_send(config)
    return run_until_signal(send(config))
