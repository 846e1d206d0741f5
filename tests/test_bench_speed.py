"""The speed bench measures the real stages; what it says is not tested, that it says it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from avcall.bench.sample import write_sample
from avcall.bench.speed import one_core, read_clip
from avcall.cli import main
from avcall.common.errors import InputError


def test_one_core_is_given_back() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not pin threads to cores")
    before = os.sched_getaffinity(0)
    with one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_a_clip_is_read_with_its_sound(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.mp4", 2.0)
    frames, sound = read_clip(tmp_path / "sample.mp4", 40)
    assert [frame.capture_ms for frame in frames[:3]] == [0.0, 40.0, 80.0]
    assert len(frames) == 40
    assert len(sound) >= 80
    assert np.concatenate([chunk.samples for chunk in sound]).std() > 500


def test_a_clip_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("no")
    with pytest.raises(InputError):
        read_clip(tmp_path / "x.mp4", 10)


def test_the_results_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "speed.json"
    assert main(["bench", "speed", "--frames", "25", "--json", str(file)]) == 0
    assert "frames a second on one core" in capsys.readouterr().out
    results = json.loads(file.read_text())
    assert {"system", "version", "commit", "command", "machine", "clips", "metrics"} <= results.keys()
    assert str(tmp_path) not in file.read_text()
    for end, stage in (("sender", "track_and_detect"), ("receiver", "drive")):
        assert results["metrics"][end]["fps"] > 0
        assert results["metrics"][end]["stage_ms"][stage]["p50"] > 0
