"""`avcall signal`: the signaling server."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.cli.flags import add_flags, build
from avcall.cli.interrupt import run_until_signal
from avcall.signaling.server import SignalConfig, serve

DESCRIPTION = """Runs the signaling server that introduces the two ends of a call to one another.

It must be reachable from both ends (a small virtual machine will do). No picture or sound passes through it.
http://HOST:PORT/health says how it is. Ctrl-C stops it; calls that stand go on."""
EXAMPLES = """  avcall signal                         listen on port 8765 of every address
  avcall signal --host 127.0.0.1        only for calls inside this machine
  avcall signal --turn relay.example.org:3478 --turn-secret SECRET   with a coturn relay for hard networks"""


def add_arguments(parser: ArgumentParser) -> None:
    add_flags(parser, SignalConfig)
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    config = build(SignalConfig, values)
    return run_until_signal(serve(config, ready=lambda url: print(f"signaling on {url}", flush=True)))
