"""The report of a call, from traces made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avcall.bench.call_report import call_report
from avcall.bench.joined_ticks import ticks
from avcall.bench.report_page import drawn_by, moment_numbers, report_page
from avcall.bench.side_by_side import write_side_by_side
from avcall.bench.trace_file import TraceFolder, TraceWriter

SIDE = 64
FIRST_MS = 5000.4
FIXED_KEYS = {
    "payload_kbps",
    "wire_kbps",
    "fps_sent",
    "fps_shown",
    "ticks_filled",
    "freeze_longest_ms",
    "latency_ms",
    "av_skew_ms",
    "psnr",
    "ssim",
    "stage_ms",
}


def picture(number: int) -> np.ndarray:
    ramp = np.linspace(10, 130, SIDE)
    return np.stack([np.add.outer(ramp, np.zeros(SIDE)) + number] * 3, axis=-1).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Four seconds at 25 fps; ticks 10 to 14 are missing, and all shown pictures are two grey levels too dark."""
    sent, received = tmp_path / "sender", tmp_path / "receiver"
    with TraceWriter(sent) as trace:
        trace.event("start", version="1.2.3", model="classical", weights="0123abcd", device="cpu", load=0.5)
        trace.event("input", what="clip.mp4")
        trace.event("pivot", size_bytes=4000, codec="avif", reason="start")
        for number in range(100):
            capture_ms = FIRST_MS + 40.0 * number
            trace.picture(picture(number), capture_ms=capture_ms, pivot_id=0)
            if number % 25 == 0:
                seconds = number / 25
                payload = {"keypoints": 2250 * seconds, "pivots": 4000, "voice": 1000 * seconds, "control": 100}
                trace.event("bytes", at_ms=capture_ms, up=5000 * seconds + 4500, down=2500 * seconds, payload=payload)
            time_to_write(trace)
        trace.event(
            "summary",
            stage_ms={"track": {"p50": 5.0, "p95": 7.0}},
            counters={"frames_sent": 100, "keypoint_bits": 3600},
        )
    with TraceWriter(received) as trace:
        trace.event("start", device="cuda")
        for number in range(100):
            if not 10 <= number < 15:
                trace.picture(
                    picture(number) - 2,
                    tick=number + 7,
                    capture_ms=round(FIRST_MS + 40.0 * number) % 2**32,
                    shown_ms=FIRST_MS + 40.0 * number + 120.0,
                    filled=True,
                    latency_ms=120.0,
                    skew_ms=-5.0,
                )
            time_to_write(trace)
        trace.event(
            "summary",
            fps_shown=23.75,
            ticks_filled=0.95,
            freeze_longest_ms=240.0,
            latency_ms={"p50": 120.0, "p95": 120.0},
            av_skew_ms={"mean": -5.0, "p95_abs": 5.0},
            stage_ms={"drive": {"p50": 9.0, "p95": 11.0}},
            budget={"quality": "auto", "stages": {"drive": {"warp": 1.0}}, "given_up": 0},
            clock_offset_ms=0.0,
        )
    return sent, received


def time_to_write(trace: TraceWriter) -> None:
    """A call has 40 ms between frames; a test must not overrun the writer's short queue."""
    while trace.waiting > 20:
        pass


def test_the_traces_join_by_capture_time(folders: tuple[Path, Path]) -> None:
    joined = list(ticks(*map(TraceFolder, folders)))
    assert [tick.number for tick in joined] == list(range(100))
    assert [tick.number for tick in joined if not tick.filled] == [10, 11, 12, 13, 14]
    for tick in joined:
        assert tick.original is not None
        np.testing.assert_array_equal(tick.original, picture(tick.number))
    np.testing.assert_array_equal(joined[12].shown, picture(9) - 2)


def test_the_report_has_the_fixed_keys_and_true_figures(folders: tuple[Path, Path]) -> None:
    report = call_report(*folders)
    assert report.keys() >= FIXED_KEYS
    # 3 s between first and last count; everything sent before the first count is included
    assert report["payload_kbps"]["keypoints"] == pytest.approx(8 * 2250 * 3 / 3000)
    assert report["payload_kbps"]["pivots"] == pytest.approx(8 * 4000 / 3000)
    assert report["keypoints_alone_kbps"] == pytest.approx(3600 / 3000)
    assert report["wire_kbps"] == pytest.approx({"up": 8 * 19500 / 3000, "down": 20.0})
    assert report["fps_sent"] == pytest.approx(25.0)
    assert report["psnr"] == pytest.approx(20 * np.log10(255 / 2), abs=0.01)
    assert report["ssim"] > 0.99
    assert report["psnr_all_ticks"] < report["psnr"]
    assert report["av_skew_ms"] == -5.0
    assert report["stage_ms"].keys() == {"track", "drive"}
    assert report["budget"]["stages"] == {"drive": {"warp": 1.0}}
    assert report["device"] == {"sender": "cpu", "receiver": "cuda"}
    assert report["face_share"] == 0.0
    assert report["moved"] > 10
    assert [line["fps_shown"] for line in report["per_second"]][1:3] == [25, 25]


def test_a_capture_time_that_wrapped_still_joins(tmp_path: Path) -> None:
    start_ms = float(2**32 - 1000)
    with TraceWriter(tmp_path / "s") as trace:
        for number in range(50):
            trace.picture(picture(number), capture_ms=start_ms + 40.0 * number)
    with TraceWriter(tmp_path / "r") as trace:
        for number in range(50):
            capture_ms = (start_ms + 40.0 * number) % 2**32
            trace.picture(picture(number), tick=number, capture_ms=capture_ms, filled=True)
    joined = list(ticks(TraceFolder(tmp_path / "s"), TraceFolder(tmp_path / "r")))
    assert len(joined) == 50
    assert all(tick.filled and tick.off_ms < 1e-6 for tick in joined)


def test_a_call_that_showed_nothing_still_has_a_report(tmp_path: Path) -> None:
    for name in ("s", "r"):
        with TraceWriter(tmp_path / name) as trace:
            trace.event("start")
    report = call_report(tmp_path / "s", tmp_path / "r")
    assert report["psnr"] is None
    assert report["keypoints_alone_kbps"] is None
    assert report["fps_sent"] == 0.0
    assert report["per_second"] == []
    assert drawn_by(report) == ""
    assert "<html" in report_page({**report, "command": ["avcall", "demo"]}, [], "side_by_side.mp4")


def test_page_and_video(folders: tuple[Path, Path], tmp_path: Path) -> None:
    sent, received = map(TraceFolder, folders)
    report = {**call_report(*folders), "command": ["avcall", "demo", "<script>"]}
    wanted = moment_numbers(received)
    assert len(wanted) == 6
    moments = [tick for tick in ticks(sent, received) if tick.number in wanted]
    page = report_page(report, moments, "side_by_side.mp4")
    assert page.count("<img") == 12
    assert page.count("<svg") == 6
    assert "<script>" not in page
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "had time for: 100 % warp." in page
    report["budget"] = {"stages": {"drive": {"warp": 0.981, "lite carried": 0.019}}}
    assert "98 % warp, 2 % lite carried." in report_page(report, moments, "side_by_side.mp4")
    report["counters"]["receiver"] |= {"pictures_carried": 50, "residuals": 20}
    assert drawn_by(report) == "98 % warp, 2 % lite carried; carried over 2.5 pictures in the mean"
    assert write_side_by_side(tmp_path / "both.mp4", ticks(sent, received), None, "caption") == 100
