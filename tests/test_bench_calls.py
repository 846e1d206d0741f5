"""Calls over a folder: the parts that need no call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avcall.bench import calls
from avcall.bench.calls import SCALARS, _means, clips_in
from avcall.common.errors import InputError


def test_clips_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MP4", "note.txt"):
        (tmp_path / name).touch()
    assert [clip.name for clip in clips_in(tmp_path)] == ["a.MP4", "b.mp4"]
    assert len(clips_in(tmp_path, limit=1)) == 1


def test_no_folder_and_no_clip_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        clips_in(tmp_path / "none")
    with pytest.raises(InputError, match="no video"):
        clips_in(tmp_path)


def test_means_leave_out_what_was_not_measured() -> None:
    def row(value: float, psnr: float | None) -> dict[str, object]:
        scalars = dict.fromkeys(
            (
                "fps_sent",
                "fps_shown",
                "ticks_filled",
                "freeze_longest_ms",
                "av_skew_ms",
                "av_skew_p95_ms",
                "ssim",
                "time_to_first_face_ms",
                "play_out_delay_ms",
                "lmd_px",
            ),
            value,
        )
        maps = {"payload_kbps": {"voice": value}, "wire_kbps": {"up": value}, "latency_ms": {"p50": value}}
        return {**scalars, "psnr": psnr, **maps}

    means = _means([row(1.0, None), row(3.0, 30.0)])
    assert means["fps_shown"] == 2.0
    assert means["psnr"] == 30.0
    assert means["wire_kbps"] == {"up": 2.0}


def report(up_kbps: float) -> dict[str, Any]:
    """What a demo with --two-way writes, as far as it is looked at."""
    maps = {"payload_kbps": {"voice": 6.0}, "wire_kbps": {"up": up_kbps, "down": 19.0}, "latency_ms": {"p50": 180.0}}
    values = {**dict.fromkeys(SCALARS, 25.0), **maps}
    budget = {"stages": {"drive": {"warp": 0.25, "lite": 0.75}}}
    counters = {"receiver": {"pictures_carried": 90, "residuals": 40}}
    made = {**values, "steady": maps, "machine": {"load": 1.5}, "budget": budget, "counters": counters}
    return {**made, "back": {**values, "input": "b.mp4"}}


def test_two_way_calls_are_between_neighbours_and_go_on_where_they_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [tmp_path / f"{name}.mp4" for name in "abc"]
    called: list[tuple[str, str]] = []

    def fake_call(clip: Path, seconds: float, flags: list[str], out: Path) -> dict[str, Any]:
        assert flags[:3] == ["--wire", "coded", "--two-way"]
        called.append((clip.stem, Path(flags[-1]).stem))
        return report(20.0 + len(called))

    monkeypatch.setattr(calls, "_call", fake_call)
    kept: list[dict[str, Any]] = []
    flags = ["--wire", "coded"]
    whole = calls.measure_calls(clips, 30.0, flags, lambda line: None, two_way=True, keep=kept.append)
    assert called == [("a", "b"), ("b", "c"), ("c", "a")]
    assert [results["clips"] for results in kept] == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert whole["metrics"]["wire_kbps"] == {"up": 22.0, "down": 19.0}
    assert whole["metrics"]["steady_wire_kbps"]["up"] == 22.0
    assert "input" not in whole["calls"]["a"]["back"]
    again = calls.measure_calls(clips, 30.0, flags, lambda line: None, two_way=True, done=kept[1]["calls"])
    assert called[3:] == [("c", "a")]
    assert again["calls"]["a"] == whole["calls"]["a"]
    assert list(again["calls"]) == ["a", "b", "c"]
    assert again["metrics"]["drawn"] == {"warp": 0.25, "lite": 0.75}
    assert again["metrics"]["pictures_a_look"] == 2.25
