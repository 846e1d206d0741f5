"""No process that a command started outlives it, not even when the command is killed outright."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import sys, time
from pathlib import Path
from avcall.cli.children import Children
with Children(Path(sys.argv[1])) as children:
    child = children.start("signal", "--host", "127.0.0.1", "--port", "0")
    child.wait_for("signaling on ", 60)
    print(child.process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.real_time
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel tells a process that its parent has died")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while runs(pid):
        assert time.monotonic() < end, "the signaling server outlived its parent"
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
