"""`avcall doctor`: what is there, and what to do about the rest."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.common.config import DEFAULT_SIGNAL

DESCRIPTION = """Looks at everything a call needs and says, a line each, what was found or what to do.

"ok" is there; "none" is missing and can be done without, as the line says; "missing" must be put right before a call
works, and makes the exit code 4. Nothing outside this machine is asked unless --stun names it."""
EXAMPLES = """  avcall doctor
  avcall doctor --stun stun.example.org:3478 --signal ws://192.0.2.7:8765"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--stun", metavar="HOST:PORT", default="", help="also ask this STUN server for our address")
    parser.add_argument(
        "--signal", metavar="URL", default="", help=f"also look for a signaling server, such as {DEFAULT_SIGNAL}"
    )
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.cli.doctor import examine
    from avcall.cli.doctor_network import check_signal_flag, check_stun_flag

    check_stun_flag(values.stun)
    check_signal_flag(values.signal)
    worst = 0
    for finding in examine(values.stun, values.signal):
        print(finding, flush=True)
        worst = max(worst, finding.exit_code)
    return worst
