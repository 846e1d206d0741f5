"""`avcall call`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, fields

from avcall.cli import add_debug_flag
from avcall.cli.flags import add_flags, build
from avcall.common.config import CallConfig, ReceiveConfig, SendConfig, flag

DESCRIPTION = """Sends and receives: a call in both directions, over one connection.

Waits for another 'avcall call' in the same room of the same signaling server. It has the flags of 'avcall send'
and 'avcall receive'. A call ends with the file that is sent, the window, --seconds or Ctrl-C at either end."""
EXAMPLES = """  avcall call --room clinic --signal ws://192.0.2.7:8765
  avcall call --room clinic --video talk.mp4 --no-window --no-play --record other.mp4"""

SENT, RECEIVED = "sent", "received"
"""Folders in that of --trace: what `avcall send` and `avcall receive` would have written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundConfig:
    """What only a call in both directions has; `play` is what `avcall receive` calls --audio, which here says whether
    to send sound."""

    play: bool = flag(True, "play the sound of the other end (a recording has it in any case)")
    echo_cancellation: bool = flag(True, "take what the speaker plays out of what the microphone hears")


def add_arguments(parser: ArgumentParser) -> None:
    add_flags(parser, SendConfig)
    add_flags(parser, ReceiveConfig, skip=[field.name for field in fields(CallConfig)] + ["audio"])
    add_flags(parser, SoundConfig)
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.cli.calling import call
    from avcall.cli.checks import check_receive, check_send
    from avcall.cli.interrupt import run_until_signal

    sending = build(SendConfig, values)
    sound = build(SoundConfig, values)
    receiving = build(ReceiveConfig, values, audio=sound.play)
    check_send(sending)
    check_receive(receiving)
    return run_until_signal(call(sending, receiving, echo_cancellation=sound.echo_cancellation))
