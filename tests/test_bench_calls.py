"""Calls over a folder: the parts that need no call."""

from __future__ import annotations

from pathlib import Path

import pytest

from avcall.bench.calls import _means, clips_in
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
