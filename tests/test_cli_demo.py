"""The demo: a call between three processes that leaves a report, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from avcall.bench.sample import write_sample
from avcall.cli.demo_command import lip_sync
from tests.test_bench_call_report import FIXED_KEYS

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(300)]


def demo(*flags: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "avcall.cli", "demo", "--no-window", *flags],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_face_arrives_and_the_report_says_how(tmp_path: Path) -> None:
    running = demo("--seconds", "8", cwd=tmp_path)
    out, errors = running.communicate(timeout=200)
    assert running.returncode == 0, errors
    assert "built-in sample" in out
    assert "PSNR" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report.keys() >= FIXED_KEYS
    assert report["payload_kbps"].keys() == {"keypoints", "pivots", "voice", "control"}
    assert report["wire_kbps"].keys() == {"up", "down"}
    assert report["wire_kbps"]["up"] > sum(report["payload_kbps"].values())
    assert 0 < report["ticks_filled"] <= 1
    assert report["face_share"] > 0.5
    assert report["psnr"] > 15
    for name in ("received.mp4", "side_by_side.mp4"):
        with av.open(str(tmp_path / "out" / name)) as container:
            assert container.streams.video
            assert container.streams.audio
            assert sum(1 for _ in container.decode(video=0)) > 25
    assert "side_by_side.mp4" in (tmp_path / "out" / "report.html").read_text()


def test_a_call_in_both_directions_is_reported_from_one_end(tmp_path: Path) -> None:
    running = demo("--two-way", "--seconds", "6", cwd=tmp_path)
    _, errors = running.communicate(timeout=200)
    assert running.returncode == 0, errors
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report.keys() >= FIXED_KEYS
    assert report["two_way"] is True
    assert report["face_share"] > 0.5
    both_ways = [report["payload_kbps"], report["back"]["payload_kbps"]]
    for payload, way in zip(both_ways, ("up", "down"), strict=True):
        assert payload["keypoints"] > 0.2
        assert report["wire_kbps"][way] > sum(payload.values())
    assert report["back"]["fps_shown"] > 1.0


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.mp4", 12.0)
    running = demo("--video", "sample.mp4", "--seconds", "60", cwd=tmp_path)
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("connected"):
            break
    others = psutil.Process(running.pid).children(recursive=True)
    assert len(others) >= 3
    time.sleep(1.0)
    os.kill(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")
    assert not [other for other in others if other.is_running()]


def test_a_video_without_a_face_is_the_sender_s_error(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "grey.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        for _ in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    running = demo("--video", "grey.mp4", cwd=tmp_path)
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 11
    assert errors.strip() == (
        "avcall: error: send: --video grey.mp4 shows no face: give a video of a person who looks towards the camera"
    )
    assert not (tmp_path / "out" / "report.json").exists()


def test_lip_sync_in_words() -> None:
    assert lip_sync(-12.4) == "picture 12 ms behind the sound"
    assert lip_sync(12.4) == "picture 12 ms ahead of the sound"
    assert "no sound" in lip_sync(None)
