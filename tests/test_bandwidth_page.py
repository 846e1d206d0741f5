"""The page, on the built-in sample, with systems that show the clip itself."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import av
import pytest

from avcall.bench.bandwidth import Progress, clips_of
from avcall.bench.bandwidth_config import BandwidthConfig
from avcall.bench.bandwidth_page import equal_rate, html_table, write_page
from avcall.bench.bandwidth_progress import ProgressLine, progress_text
from avcall.bench.bandwidth_results import Shelf, summarise
from avcall.bench.bandwidth_systems import Candidate, System
from avcall.bench.sample import write_sample
from avcall.common.errors import InputError, OutputError


class Mirror:
    """Shows the clip's own frames."""

    def __init__(self, clip: Any) -> None:
        self._clip = clip

    def shown(self, candidate: Candidate) -> list[Any]:
        return list(self._clip.frames)


def row(kbps: float, lpips: float) -> dict[str, Any]:
    return {
        "setting": {"side": 256, "fps": 25.0, "pivot_s": 0.0},
        "label": "256 px, 25 fps",
        "quality": 40,
        "fits": True,
        "payload_kbps": kbps,
        "payload": {"video": kbps},
        "wire_kbps": kbps + 10,
        "metrics": {"lpips_alex": lpips, "dists": lpips},
    }


def shelf(out: Path, clip: str) -> Shelf:
    systems = [
        System("x264", "H.264", {"options": ["-crf"]}, Mirror),  # type: ignore[arg-type]
        System("vvenc-ra", "H.266, random access", {"options": ["-qp"]}, Mirror, low_delay=False),  # type: ignore[arg-type]
        System("avcall-classical", "avcall, classical", {"weights": "w"}, Mirror),  # type: ignore[arg-type]
    ]
    made = Shelf(BandwidthConfig(out=out, seconds=2.0, videos=1), systems)
    for number, system in enumerate(systems):
        for target in (6.0, 12.0):
            point = row(target, 0.3 / target + 0.01 * number)
            head = {"clip": clip, "system": system.name, "frames": 50, "clip_sha256": "s", "target_kbps": target}
            made.add({**head, "best": point, "moving": point})
    return made


def test_the_page_holds_plot_tables_and_a_video_of_all_columns(tmp_path: Path) -> None:
    clip = tmp_path / "sample.mp4"
    write_sample(clip, 2.0)
    made = shelf(tmp_path, "sample")
    page = write_page(made, summarise(made), [clip]).read_text(encoding="utf-8")
    assert page.count("<h1>") == 1
    assert page.count("<svg") == 1
    assert "<td>avcall, classical: 256 px, 25 fps</td>" in page
    (coded,) = re.findall(r"data:video/mp4;base64,([^\"]+)", page)
    with av.open(io.BytesIO(base64.b64decode(coded))) as video:
        stream = video.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (4 * 256, 256 + 40, 50)
    assert (tmp_path / "bandwidth.svg").read_text(encoding="utf-8").startswith("<svg")


def test_shown_are_avcall_and_the_best_low_delay_codec(tmp_path: Path) -> None:
    made = shelf(tmp_path, "c")
    chosen = [(system.name, curve) for system, curve in equal_rate(made, summarise(made))]
    assert chosen == [("avcall-classical", "moving"), ("x264", "moving"), ("x264", "best")]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    made = shelf(tmp_path / "missing", "c")
    with pytest.raises(OutputError, match="missing"):
        write_page(made, summarise(made), [])


def test_markdown_s_tables_become_html_and_text_is_escaped() -> None:
    html = html_table("**a <b>**\n\n| x | y |\n|---|---|\n| 1 | <2> |")
    assert html == (
        "<p>a &lt;b&gt;</p><table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td>&lt;2&gt;</td></tr></table>"
    )


def test_progress_says_how_far_and_how_long() -> None:
    told = Progress(12, 48, "p089_01", "x265", 6.0, 70.0, 10)
    assert progress_text(told) == "[######..................] 12 of 48: p089_01, x265 at 6 kbit/s, 0:04:12 left"
    out = io.StringIO()
    ProgressLine(out)(told)
    assert out.getvalue().endswith("left\n")


def test_clips_begin_with_one_of_each_person(tmp_path: Path) -> None:
    for name in ("p1_01", "p1_02", "p2_01", "p3_01"):
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "notes.txt").touch()
    assert [path.stem for path in clips_of(tmp_path)] == ["p1_01", "p2_01", "p3_01", "p1_02"]
    assert len(clips_of(tmp_path, 2)) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no video"):
        clips_of(tmp_path / "empty")
