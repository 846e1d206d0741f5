"""avcall's command line: the only place that reads flags, opens devices and names concrete classes.

Each command is a module of this package with `DESCRIPTION`, `EXAMPLES`, `add_arguments(parser)` and
`run(values) -> int`; it is imported only when it is asked for, so that `avcall --help` answers at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from avcall.cli.flags import HelpFormatter
from avcall.cli.interrupt import Terminated, terminable
from avcall.common.errors import AvcallError, ConfigError, OutputError

COMMANDS = {
    "demo": "a whole call on this machine, and a report of how it looked and what it cost",
    "doctor": "what of camera, sound, models, encoders and network is there, and what to do about the rest",
    "signal": "run the signaling server that introduces the two ends of a call",
    "call": "call in both directions: send and receive at one end",
    "send": "send a camera or a video file into a room",
    "receive": "receive the call of a room: show it, play it, record it",
    "sample": "write the built-in sample, a talking portrait with sound, to a file",
    "bench": "measure speed and pivot coding on this machine",
    "evaluate": "measure likeness and motion of the models on a folder of clips",
    "prepare": "make a training set from a folder of talking videos",
    "train": "train the reenactment network on a prepared training set",
}
_EXAMPLES = """examples:
  avcall demo --no-window                                  try it: writes out/report.html
  avcall signal                                            on a machine both ends can reach
  avcall call --room clinic --signal ws://HOST:8765        at both ends

'avcall COMMAND --help' explains a command. AVCALL_DEBUG=1 or --debug shows logs and tracebacks."""


class OneLineParser(ArgumentParser):
    """An ArgumentParser whose errors are ConfigErrors: one line, no usage."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see '{self.prog} --help'")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code: 0, that of an AvcallError, 128 + N after signal N, 70 for a bug."""
    # before torch is imported: what it says later holds for one thread, and the others would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get("AVCALL_DEBUG", "") not in ("", "0")
    try:
        with terminable():
            return _run(words, debug=debug, own_process=argv is None)
    except KeyboardInterrupt as interrupt:
        return interrupt.exit_code if isinstance(interrupt, Terminated) else 130
    except BrokenPipeError:  # the reader of a pipe (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - the last stop: a line for the user, not a trace
        return _explain(error, debug)


def _run(words: list[str], *, debug: bool, own_process: bool) -> int:
    at = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    _top_parser().parse_args(words[:at])
    if at == len(words):
        _top_parser().print_help()
        return 0
    name, rest = words[at], words[at + 1 :]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f"did you mean '{close[0]}'?" if close else f"it is one of {', '.join(COMMANDS)}"
        raise ConfigError(f"there is no command '{name}': {meant} See 'avcall --help'")
    command = importlib.import_module(f"avcall.cli.{name}_command")
    parser = OneLineParser(
        prog=f"avcall {name}",
        description=command.DESCRIPTION,
        epilog=f"examples:\n{command.EXAMPLES}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    values = parser.parse_args(rest)
    from avcall.cli.quiet import hush_native, set_up_logging

    if own_process and not debug:
        hush_native()
    set_up_logging(debug)
    code: int = command.run(values)
    return code


def add_debug_flag(parser: ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show logs, and tracebacks of errors")


def _top_parser() -> ArgumentParser:
    listed = "\n".join(f"  {name:10s} {summary}" for name, summary in COMMANDS.items())
    parser = OneLineParser(
        prog="avcall",
        usage="avcall COMMAND [flags]",
        description=f"Video calls for links where no video call works.\n\ncommands:\n{listed}",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"avcall {version('avcall')}")
    add_debug_flag(parser)
    return parser


def _explain(error: BaseException, debug: bool) -> int:
    """One line on stderr; the traceback too under --debug."""
    if debug:
        traceback.print_exception(error)
    first = _first_leaf(error)
    if isinstance(first, AvcallError):
        _complain(str(first))
        return first.exit_code
    if isinstance(first, OSError) and first.filename is not None:
        _complain(f"{first.filename}: {first.strerror}")
        return OutputError.exit_code
    where = traceback.extract_tb(first.__traceback__)
    at = f" ({where[-1].filename.rsplit('/', 1)[-1]}:{where[-1].lineno})" if where else ""
    _complain(f"unexpected {type(first).__name__}: {first}{at}; this is a bug, please report it with --debug's output")
    return 70  # EX_SOFTWARE


def _first_leaf(error: BaseException) -> BaseException:
    """Of several errors at once the one that avcall raised on purpose, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first_leaf(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, AvcallError)), leaves[0])


def _complain(message: str) -> None:
    print(f"avcall: error: {' '.join(message.split())}", file=sys.stderr)
