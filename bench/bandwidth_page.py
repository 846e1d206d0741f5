"""The page of a benchmark: plot, tables, and clips side by side at the same rate, all in one file.

Its videos show the clips themselves: it is for the folder --out, not for publication with other people's faces.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from avcall.bench.bandwidth_clip import read_square
from avcall.bench.bandwidth_plot import bandwidth_svg
from avcall.bench.bandwidth_results import Shelf
from avcall.bench.bandwidth_systems import Candidate, Setting, System
from avcall.bench.bandwidth_table import brief, comparison, goals, markdown
from avcall.bench.evaluate_clip import find_meshes
from avcall.common.errors import OutputError
from avcall.common.keypoints import Image, Landmarks

EQUAL_KBPS = 6.0
_BAR = 40
_INK, _PAPER = (236, 239, 244), (24, 28, 36)
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#1c2128;max-width:1200px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;font-size:13px}td,th{padding:.25rem .6rem;border-bottom:1px solid #ddd;
text-align:right}td:first-child,th:first-child{text-align:left}video,svg{max-width:100%;height:auto;display:block;
margin:.5rem 0}details{margin:1rem 0}.scroll{overflow-x:auto}"""


class Shown:
    """A clip as the systems' runners want it, without its judge."""

    def __init__(self, frames: list[Image]) -> None:
        self.frames = frames
        self.meshes: list[Landmarks | None] = find_meshes(frames)


def write_page(shelf: Shelf, results: Mapping[str, Any], clips: Sequence[Path]) -> Path:
    """Writes OUT/index.html, the plot OUT/bandwidth.svg and the tables OUT/bandwidth.md; returns the page.

    Raises:
        OutputError: one of them cannot be written.
    """
    out = shelf.config.out
    plot = bandwidth_svg(results)
    shown = [path for path in clips if path.stem in results["clips"]][: shelf.config.videos]
    videos = "".join(_video(shelf, results, path) for path in shown)
    parts = [
        f"<h1>avcall and video codecs at {results['settings']['size']} pixels</h1>",
        f"<p>Clips: {len(results['clips'])}; avcall {results['version']}, commit {results['commit']}, "
        f"<code>{escape(results['command'])}</code></p>",
        plot,
        *(f'<div class="scroll">{html_table(table)}</div>' for table in (brief(results), goals(results))),
        f"<h2>The same clips at about {EQUAL_KBPS:g} kbit/s of payload</h2>{videos}" if videos else "",
        f'<h2>Against each codec</h2><div class="scroll">{html_table(comparison(results))}</div>',
        f'<details><summary>Every point</summary><div class="scroll">{html_table(markdown(results))}</div></details>',
    ]
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Rate and quality</title><style>{_STYLE}</style>'
    )
    page = f"{head}{''.join(parts)}</html>\n"
    files = {
        "index.html": page,
        "bandwidth.svg": plot,
        "bandwidth.md": markdown(results),
    }
    try:
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--out {out}: {error.strerror}: give a folder that can be written") from error
    return out / "index.html"


def html_table(text: str) -> str:
    """Markdown's tables as HTML; every other line as a paragraph."""
    parts: list[str] = []
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if rows:
            head, _, *body = rows
            parts.append(f"<table>{_row('th', head)}{''.join(_row('td', row) for row in body)}</table>")
            rows = []
        if line.strip():
            parts.append(f"<p>{escape(line.replace('**', ''))}</p>")
    return "".join(parts)


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _video(shelf: Shelf, results: Mapping[str, Any], path: Path) -> str:
    config = shelf.config
    clip = Shown(read_square(path, config.size, config.seconds))
    columns = [("original", clip.frames)]
    for system, curve in equal_rate(shelf, results):
        cell = shelf.cells[system.name][path.stem][_nearest(shelf.cells[system.name][path.stem])]
        row = cell[curve]
        candidate = Candidate(Setting(**row["setting"]), row["quality"], {}, 0, row["fits"])
        title = f"{system.title}: {row['payload_kbps']:.1f} kbit/s, {row['label']}"
        columns.append((title, system.open(clip).shown(candidate)))
    coded = base64.b64encode(side_by_side(columns)).decode()
    names = ", ".join(title for title, _ in columns)
    return (
        f'<h3>{escape(path.stem)}</h3><video controls loop muted playsinline title="{escape(names)}" '
        f'src="data:video/mp4;base64,{coded}"></video>'
    )


def equal_rate(shelf: Shelf, results: Mapping[str, Any]) -> list[tuple[System, str]]:
    """Who is shown beside the original: every model of avcall, the codec that looks best to LPIPS with 25 moving
    pictures a second, and the one that does with any setting."""
    ours = [system for system in shelf.present if not system.key.get("options")]
    codecs = {system.name: system for system in shelf.present if system not in ours and system.low_delay}
    chosen = [(system, "moving") for system in ours]
    for curve in ("moving", "best"):
        found = [
            (point["metrics"]["lpips_alex"], system["system"])
            for system in results["systems"]
            if system["system"] in codecs
            for point in system["curves"][curve]
            if point["target_kbps"] == EQUAL_KBPS
        ]
        if found:
            chosen.append((codecs[min(found)[1]], curve))
    return chosen


def _nearest(cells: Mapping[float, Any]) -> float:
    return min(cells, key=lambda target: abs(target - EQUAL_KBPS))


def side_by_side(columns: Sequence[tuple[str, Sequence[Image]]]) -> bytes:
    """An MP4 file with the videos beside each other, each under its title."""
    side = columns[0][1][0].shape[0]
    width = len(columns) * side
    bar = np.full((_BAR, width, 3), _PAPER, np.uint8)
    for number, (title, _) in enumerate(columns):
        first, _, second = title.partition(": ")
        for line, text in enumerate((first, second)):
            place = (number * side + 6, 15 + 17 * line)
            cv2.putText(bar, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, side + _BAR, "yuv420p"
        stream.options = {"crf": "16", "preset": "veryfast", "threads": "1"}
        for pictures in zip(*(frames for _, frames in columns), strict=True):
            frame = av.VideoFrame.from_ndarray(np.vstack([bar, np.hstack(pictures)]), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()
