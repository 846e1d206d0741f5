"""Letters typed during a call, in a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import sys
import time
from typing import cast

import pytest

from avcall.cli.keys import terminal_keys
from avcall.cli.sending import mute_keys
from avcall.sender.pipeline import Sender

TYPIST = """
import asyncio, sys
from avcall.cli.keys import terminal_keys
from avcall.cli.sending import mute_keys
from avcall.sender.pipeline import Sender

async def main():
    done = asyncio.Event()
    with terminal_keys({"m": lambda: print("muted", flush=True), "q": done.set}) as typed:
        print("typed" if typed else "silent", flush=True)
        await asyncio.wait_for(done.wait(), 20)

asyncio.run(main())
"""


@pytest.mark.real_time
def test_letters_run_their_actions() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", TYPIST])
    seen = b""
    until = time.monotonic() + 30
    said = False
    while time.monotonic() < until:
        try:
            part = os.read(terminal, 1024)
        except OSError:  # the child has closed its end
            break
        if not part:
            break
        seen += part
        if b"typed" in seen and not said:
            os.write(terminal, b"x\nM\nq\n")
            said = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert b"muted" in seen


def test_what_is_no_terminal_is_not_read() -> None:
    async def main() -> bool:
        with terminal_keys({}, io.StringIO("m\n")) as typed:
            return typed

    assert asyncio.run(main()) is False


def test_the_microphone_and_the_picture_are_muted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[dict[str, bool]] = []

    class Muted:
        def set_muted(self, *, voice: bool, video: bool) -> None:
            calls.append({"voice": voice, "video": video})

    keys = mute_keys(cast("Sender", Muted()))
    for letter in "mvm":
        keys[letter]()
    assert calls == [
        {"voice": True, "video": False},
        {"voice": True, "video": True},
        {"voice": False, "video": True},
    ]
    assert capsys.readouterr().out.splitlines() == ["microphone off", "picture off", "microphone on"]
