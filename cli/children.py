"""avcall's own commands as processes: started, listened to, and ended together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from avcall.common.errors import AvcallError

PATIENCE_S = 15.0
"""How long a process may take to end when asked to."""
_ERROR = "avcall: error: "
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Loaded here: between fork and exec only calls are safe."""


def _end_with_parent() -> None:
    """Runs in the new process: a parent that is killed outright cannot end it, so the kernel asks it to (prctl(2))."""
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One command, with what it says in a log file."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        # a session of its own: Ctrl-C reaches this process only, which then ends the others in order
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "avcall.cli", name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent if _LIBC is not None else None,
            )

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def warnings(self) -> list[str]:
        """What it wanted the user to know."""
        begin = "avcall: "
        lines = [line for line in self.said.splitlines() if line.startswith(begin) and not line.startswith(_ERROR)]
        return [line.removeprefix(begin) for line in lines]

    @property
    def complaint(self) -> str:
        """Its error line, without "avcall: error:"; empty if there is none."""
        lines = [line for line in self.said.splitlines() if line.startswith(_ERROR)]
        return lines[-1].removeprefix(_ERROR) if lines else ""

    def wait_for(self, text: str, seconds: float) -> str:
        """The first line that begins with `text`.

        Raises:
            AvcallError: it ended before (with its exit code), or did not say so in time.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.said.splitlines():
                if line.startswith(text):
                    return line
            if self.process.poll() is not None:
                raise self.failure()
            time.sleep(0.05)
        raise AvcallError(f"'avcall {self.name}' did not start within {seconds:.0f} s: see {self._log}")

    def failure(self) -> AvcallError:
        """Why it ended, as an error with its exit code."""
        code = self.process.poll()
        told = self.complaint or (f"it ended with code {code}" if code is not None else "it did not end in time")
        error = AvcallError(f"{self.name}: {told}")
        error.exit_code = code or AvcallError.exit_code
        return error

    def wait(self, seconds: float) -> int | None:
        """Its exit code, None where it still runs after this long."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """Asks it to end, and ends it if it does not."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if self.process.poll() is None:
                os.kill(self.process.pid, number)
                self.wait(PATIENCE_S)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Children:
    """`with Children(folder) as children`: whatever happens, none of them outlives the context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Child] = []

    def start(self, name: str, *arguments: str) -> Child:
        same = sum(child.name == name for child in self._started)
        child = Child(name, arguments, self._folder / (f"{name}.log" if not same else f"{name}-{same + 1}.log"))
        self._started.append(child)
        return child

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._started):  # the sender first: it tells the receiver
            child.end()
