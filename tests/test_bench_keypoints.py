"""The cost of coded keypoints on real faces: below what the project promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from avcall.bench.keypoints import SPANS_MS, measure_keypoints
from avcall.common.errors import NoFaceError
from avcall.models.registry import load_pair
from tests.sender_files import write_video


def test_a_clip_without_a_face_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoFaceError, match=r"empty\.mp4 shows no face"):
        measure_keypoints([write_video(tmp_path / "empty.mp4", frames=5, fps=25)], load_pair("classical", "cpu")[0])


@pytest.mark.clips
def test_a_real_face_costs_under_two_kilobits(clips_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcall.bench.keypoints.LONGEST_FRAMES", 100)
    results = measure_keypoints([clips_dir / "test" / "p169_01.mp4"], load_pair("classical", "cpu")[0])
    spans = {row["span_ms"]: row for row in results["spans"]}
    assert tuple(spans) == SPANS_MS
    assert spans[120]["frames"] >= 90
    assert spans[120]["coded_kbps"] < 2.0
    assert spans[200]["coded_kbps"] < spans[120]["coded_kbps"] < spans[40]["coded_kbps"]
    assert spans[120]["bundle_kbps"] > spans[120]["coded_kbps"]
    assert all(row["rms_px_per_point"] < 0.25 for row in spans.values())
