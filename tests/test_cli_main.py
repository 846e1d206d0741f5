"""The command line as a stranger meets it: help, exit codes, one line for every mistake, no traceback."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import avcall.cli
from avcall.cli import COMMANDS, main
from avcall.common.errors import CallError, ModelMismatchError


@pytest.fixture(autouse=True)
def _root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def grey_video(tmp_path: Path) -> Path:
    """A second of grey: a video without a face."""
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("avcall: error: ")
    assert "Traceback" not in lines[0]
    return lines[0]


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"avcall {command}" in capsys.readouterr().out.partition("examples:")[2]


def test_help_and_version_need_no_heavy_imports() -> None:
    script = (
        "import sys, contextlib, avcall.cli\n"
        "for words in ([], ['--help'], ['--version'], ['nonsense']):\n"
        "    with contextlib.suppress(SystemExit): avcall.cli.main(words)\n"
        "print(sorted({'torch', 'cv2', 'av', 'numpy', 'aiortc', 'mediapipe'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip().splitlines()[-1] == "[]"


VIDEO = "FILE"
SEND = ["send", "--room", "r", "--signal", "ws://127.0.0.1:9"]
RECEIVE = ["receive", "--room", "r", "--signal", "ws://127.0.0.1:9", "--no-window", "--no-audio"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["snd"], 2, "did you mean 'send'"),
        (["send"], 2, "--room"),
        ([*SEND, "--size", "250"], 2, "--size 250"),
        ([*SEND, "--size", "1024"], 2, "--size 1024"),
        ([*SEND, "--fps", "0"], 2, "--fps 0"),
        ([*SEND, "--fps", "500"], 2, "--fps 500"),
        ([*SEND, "--voice-kbps", "3"], 2, "--voice-kbps 3"),
        ([*SEND, "--camera", "-1"], 2, "--camera -1"),
        ([*SEND, "--camera", "0", "--video", "x.mp4"], 2, "choose one"),
        ([*SEND, "--loop"], 2, "--video"),
        ([*SEND, "--seconds", "-3"], 2, "--seconds"),
        ([*SEND, "--turn", "user@"], 2, "--turn"),
        ([*SEND, "--signal", "somewhere:8765"], 2, "ws://HOST:8765"),
        ([*SEND, "--room", "two words"], 8, "--room"),
        ([*SEND, "--video", "missing.mp4"], 3, "--video missing.mp4 does not exist"),
        ([*SEND, "--video", VIDEO], 11, "shows no face"),
        ([*SEND, "--video", __file__], 3, "is not a video"),
        ([*SEND, "--camera", "93"], 4, "--camera 93"),
        ([*RECEIVE, "--record", "x.avi"], 2, ".mp4"),
        ([*RECEIVE, "--record", "no/such/folder/x.mp4"], 5, "--record"),
        ([*RECEIVE, "--display-size", "3"], 2, "--display-size 3"),
        ([*RECEIVE, "--model", "nonsense"], 2, "--model nonsense"),
        ([*RECEIVE, "--model", "missing.safetensors"], 6, "missing.safetensors"),
        (RECEIVE, 7, "ws://127.0.0.1:9"),
        (["signal", "--port", "99999"], 7, "--port 99999"),
        (["signal", "--stun", "not a host"], 2, "--stun"),
        (["demo", "--seconds", "0"], 2, "--seconds 0"),
        (["demo", "--video", "missing.mp4"], 3, "--video missing.mp4"),
        (["sample", "x.avi"], 2, ".mp4"),
        (["sample", "no/such/folder/x.mp4"], 5, "x.mp4"),
        (["bench", "speed", "--frames", "1"], 2, "--frames 1"),
        (["bench", "speed", "--clips", "missing"], 3, "missing"),
        (["doctor", "--stun", "a b"], 2, "--stun"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_an_exit_code(
    words: list[str],
    code: int,
    says: str,
    grey_video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(grey_video) if word == VIDEO else word for word in words]) == code
    assert says in complaint(capsys)


def test_an_output_that_may_not_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    assert main([*RECEIVE, "--trace", str(tmp_path / "taken" / "trace")]) == 5
    assert "--trace" in complaint(capsys)
    assert main(["demo", "--out", str(tmp_path / "taken")]) == 5
    assert "--out" in complaint(capsys)


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["signal", "--host", "127.0.0.1", "--port", str(port)]) == 7
    assert f"--port {port} is in use" in complaint(capsys)


def command_that(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Puts a command 'doctor' in place that raises `error`."""

    def run(values: object) -> int:
        raise error

    fake = types.SimpleNamespace(DESCRIPTION="", EXAMPLES="", add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "avcall.cli.doctor_command", fake)


def test_a_bug_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(monkeypatch, ZeroDivisionError("division by zero"))
    assert main(["doctor"]) == 70
    line = complaint(capsys)
    assert "ZeroDivisionError" in line
    assert "report" in line


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(monkeypatch, ZeroDivisionError("division by zero"))
    monkeypatch.setenv("AVCALL_DEBUG", "1")
    assert main(["doctor"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_of_several_errors_at_once_avcall_s_own_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = ExceptionGroup("inner", [ModelMismatchError("the peer uses another model")])
    command_that(monkeypatch, ExceptionGroup("outer", [ValueError("a consequence"), inner]))
    assert main(["doctor"]) == 10
    assert "another model" in complaint(capsys)


def test_a_message_of_several_lines_becomes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that(monkeypatch, CallError("lost\nfor good"))
    assert main(["doctor"]) == 9
    assert complaint(capsys) == "avcall: error: lost for good"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    command_that(monkeypatch, KeyboardInterrupt())
    assert avcall.cli.main(["doctor"]) == 130


@pytest.mark.real_time
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_server_quietly(number: signal.Signals, code: int) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "avcall.cli", "signal", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline().startswith("signaling on ws://127.0.0.1:")
    os.kill(server.pid, number)
    begin = time.monotonic()
    _, errors = server.communicate(timeout=20)
    assert (server.returncode, errors) == (code, "")
    assert time.monotonic() - begin < 15


@pytest.mark.real_time
def test_libraries_keep_quiet() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "avcall.cli", *RECEIVE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 7
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_command_computes_with_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in ((None, "1"), ("2", "2")):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if given is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", given)
        main(["nonsense"])
        assert os.environ["OMP_NUM_THREADS"] == expected
