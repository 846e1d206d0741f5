"""Real calls between real processes on loopback, and everything that can go wrong in the middle of one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from avcall.bench.sample import write_sample
from avcall.bench.trace_file import TraceFolder
from avcall.cli.children import Child, Children

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(240)]
START_S = 60.0
Start = Callable[..., Child]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.mp4"
    write_sample(path, 3.0)
    return path


@pytest.fixture
def start(tmp_path: Path, sample: Path) -> Iterator[Start]:
    """Starts `avcall NAME`, in room "r" of a server of its own; each process logs to NAME.log of its own folder."""
    with Children(tmp_path) as children:
        server = children.start("signal", "--host", "127.0.0.1", "--port", "0")
        url = server.wait_for("signaling on ", START_S).split()[-1]
        common = ["--room", "r", "--signal", url, "--bind", "127.0.0.1", "--wait-s", "60"]
        flags = {
            "send": [*common, "--video", str(sample), "--loop"],
            "receive": [*common, "--no-window", "--no-audio"],
            "call": [*common, "--video", str(sample), "--no-window", "--no-play"],
        }

        def begin(name: str, *more: str) -> Child:
            return server if name == "signal" else children.start(name, *flags[name], *more)

        yield begin


def played(path: Path) -> tuple[float, float]:
    """Seconds of picture and of sound that can be decoded."""
    with av.open(str(path)) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        sound = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return pictures / 25.0, sound


def one_complaint(child: Child, *says: str) -> None:
    lines = [line for line in child.said.splitlines() if "error" in line]
    assert len(lines) == 1, child.said
    assert all(text in lines[0] for text in says), lines[0]
    assert "Traceback" not in child.said


def test_ctrl_c_tells_the_peer_and_finishes_the_recording(start: Start, tmp_path: Path) -> None:
    record = tmp_path / "call.mp4"
    receiver = start("receive", "--record", str(record))
    sender = start("send")
    sender.wait_for("connected", START_S)
    receiver.wait_for("connected", START_S)
    os.kill(sender.process.pid, signal.SIGINT)
    assert sender.wait(30) == 130
    assert "error" not in sender.said
    receiver.wait(30)
    assert "hung up" in receiver.said
    assert "Traceback" not in receiver.said


def test_a_third_is_refused_and_a_recording_plays(start: Start, tmp_path: Path) -> None:
    record = tmp_path / "call.mp4"
    receiver = start("receive", "--record", str(record), "--stats")
    sender = start("send")
    sender.wait_for("connected", START_S)
    third = start("receive")
    assert third.wait(30) == 8
    one_complaint(third, "--room r", "full")
    time.sleep(3.0)
    os.kill(receiver.process.pid, signal.SIGTERM)
    assert receiver.wait(30) == 143
    assert "pictures/s" in receiver.said
    assert "error" not in receiver.said
    assert sender.wait(30) == 0
    assert "hung up" in sender.said
    picture_s, sound_s = played(record)
    assert picture_s > 1.0
    assert abs(picture_s - sound_s) < 1.0


def test_a_server_that_dies_is_survived_and_a_peer_that_dies_is_noticed(start: Start, tmp_path: Path) -> None:
    record = tmp_path / "call.mp4"
    server, sender = start("signal"), start("send")
    receiver = start("receive", "--record", str(record))
    sender.wait_for("connected", START_S)
    server.process.kill()
    time.sleep(6.0)  # the first face takes about three
    assert sender.process.poll() is None
    assert receiver.process.poll() is None
    receiver.process.kill()
    assert sender.wait(30) == 9
    one_complaint(sender, "the peer is gone")
    picture_s, _ = played(record)
    assert picture_s > 1.0


def test_two_senders_do_not_make_a_call(start: Start) -> None:
    ends = [start("send"), start("send")]
    assert {end.wait(START_S) for end in ends} <= {9, 10}
    for end in ends:
        one_complaint(end, "avcall receive")


def test_nobody_comes(start: Start) -> None:
    alone = start("receive", "--wait-s", "1")
    assert alone.wait(START_S) == 8
    one_complaint(alone, "--room", "nobody")


def test_two_ends_call_one_another(start: Start, tmp_path: Path, sample: Path) -> None:
    second = start("call", "--record", str(tmp_path / "second.mp4"), "--loop")
    first = start("call", "--seconds", "12", "--trace", str(tmp_path / "trace"), "--loop")
    assert first.wait(START_S) == 0, first.said
    assert second.wait(30) == 0, second.said
    assert "12 s are over" in second.said
    for folder in ("sent", "received"):
        pictures = TraceFolder(tmp_path / "trace" / folder).of_kind("picture")
        assert len(pictures) > 10
    sent = TraceFolder(tmp_path / "trace" / "sent")
    assert sent.of_kind("input")[-1]["what"] == sample.name
    counts = sent.of_kind("bytes")[-1]
    assert counts["up"] > 1_000
    assert counts["down"] > 1_000
    picture_s, _ = played(tmp_path / "second.mp4")
    assert picture_s > 1.0
