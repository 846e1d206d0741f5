"""report.html: one page that shows how a call looked and what it cost. Self-contained but for the video beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import cv2
import numpy as np

from avcall.bench.joined_ticks import Tick, fitted
from avcall.bench.svg_plot import bar_plot, line_plot
from avcall.bench.trace_file import TraceFolder
from avcall.common.keypoints import Image

MOMENTS = 6
_STRIP_SIDE = 192
_STYLE = """
:root { --ink: #1b2330; --faint: #667085; --line: #e4e7ec; --paper: #ffffff; --ground: #f5f6f8; --good: #0e7a4f; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "Noto Sans",
  "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 34px 0 10px; }
p.lead { color: var(--faint); margin: 0 0 22px; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; }
.tile, .card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.tile b { display: block; font-size: 25px; font-weight: 650; letter-spacing: -0.02em; white-space: nowrap; }
.tile b small { font-size: 14px; font-weight: 500; color: var(--faint); }
.tile span { display: block; color: var(--faint); font-size: 13px; line-height: 1.35; }
video { width: 100%; border-radius: 10px; background: #181c24; display: block; }
.strip { display: grid; grid-template-columns: 76px repeat(6, 1fr); gap: 6px; align-items: center; }
.strip img { width: 100%; display: block; border-radius: 6px; } .strip div { color: var(--faint); font-size: 13px; }
.strip .when { text-align: center; font-size: 12px; }
.plots { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; }
svg { width: 100%; display: block; } svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #667085; }
svg .title { font-size: 13px; font-weight: 600; fill: #1b2330; } svg .grid { stroke: #e9ecf1; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
td, th { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); font-weight: 400; }
th { color: var(--faint); } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; align-items: start; }
code { font-size: 13px; word-break: break-all; } footer { color: var(--faint); font-size: 13px; margin-top: 30px; }
@media (max-width: 760px) { .tiles { grid-template-columns: 1fr 1fr; } .plots, .two { grid-template-columns: 1fr; } }
"""


def moment_numbers(receiver: TraceFolder) -> list[int]:
    """Numbers of MOMENTS ticks, evenly spread over those that showed a new picture."""
    lines = receiver.of_kind("picture")
    filled = [line for line in lines if line["filled"]] or lines
    wanted = np.linspace(0.08, 0.96, MOMENTS) * (len(filled) - 1)
    return [int(filled[round(at)]["tick"]) - int(lines[0]["tick"]) for at in wanted] if lines else []


def report_page(report: dict[str, Any], moments: Iterable[Tick], video: str) -> str:
    """The page as HTML. `video` is the side-by-side video's address, relative to the page."""
    moments = list(moments)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>avcall: report of a call</title><style>{_STYLE}</style></head><body><main>
<h1>A call with avcall</h1>
<p class="lead">{_lead(report)}</p>
<div class="tiles">{"".join(_tiles(report))}</div>
<h2>Original and received</h2>
<video src="{escape(video)}" controls loop playsinline preload="auto"></video>
<h2>Six moments</h2>
<div class="card strip">{_strip(moments)}</div>
<h2>Second by second</h2>
<div class="plots">{"".join(f'<div class="card">{plot}</div>' for plot in _plots(report["per_second"]))}</div>
<h2>Where the bits and the milliseconds went</h2>
<div class="two"><div class="card">{_rates_table(report)}</div><div class="card">{_stages_table(report)}</div></div>
<footer>{_footer(report)}</footer>
</main></body></html>
"""


def _lead(report: dict[str, Any]) -> str:
    model = f"{report['model']} ({report['weights']}) on {report['device']['receiver']}"
    pivots = _count(len(report["pivots"]), "real picture")
    return escape(
        f"Input: {report['input']}. {report['seconds']:.0f} seconds over WebRTC between two processes of this machine. "
        f"The received face is synthesised by the model {model} from {pivots} and "
        f"ten keypoints a frame.{_drawn(report)} {busy(report)}"
    )


def _drawn(report: dict[str, Any]) -> str:
    shares = drawn_by(report)
    return f" Of the pictures that were driven, by what the machine had time for: {shares}." if shares else ""


def drawn_by(report: dict[str, Any]) -> str:
    """Which versions of the model drew the pictures, and how many each; nothing where no frame budget chose."""
    drive = ((report.get("budget") or {}).get("stages") or {}).get("drive") or {}
    every = pictures_a_look(report)
    return parts(drive) + ("" if every is None else f"; carried over {every:.1f} pictures in the mean")


def pictures_a_look(report: dict[str, Any]) -> float | None:
    """Pictures that what the network added to one was carried to; None where it was carried to none."""
    counters = (report.get("counters") or {}).get("receiver") or {}
    carried, looks = counters.get("pictures_carried", 0), counters.get("residuals", 0)
    return carried / looks if carried and looks else None


def parts(shares: Mapping[str, float]) -> str:
    """Shares by name, as "98 % warp, 2 % lite carried"."""
    return ", ".join(f"{100 * share:.0f} % {name}" for name, share in shares.items())


def busy(report: dict[str, Any]) -> str:
    """A sentence where the machine was too busy, or too slow, to show every picture; else nothing."""
    drive_ms = report["stage_ms"].get("drive", {}).get("p50", 0.0)
    load, cores = report["machine"]["load"], report["machine"]["cores"]
    if (report["ticks_filled"] or 0.0) > 0.9 or drive_ms < 25.0:
        return ""
    return (
        f"This machine was too busy or too slow to show every picture: one took {drive_ms:.0f} ms of the 40 there are, "
        f"at a load of {load:.1f} on {_count(cores, 'core')}."
    )


def _tiles(report: dict[str, Any]) -> list[str]:
    payload = sum(report["payload_kbps"].values())
    latency = report["latency_ms"] or {}
    skew = report["av_skew_ms"]
    return [
        _tile(_number(payload, 1), "kbit/s", "payload: keypoints, pivots, voice and control"),
        _tile(_number(report["wire_kbps"]["up"], 1), "kbit/s", "on the wire, all headers counted, sender to receiver"),
        _tile(_number(report["fps_shown"], 1), "/ s", f"new pictures shown; {_number(report['fps_sent'], 1)} sent"),
        _tile(_number(latency.get("p50"), 0), "ms", f"from capture to display; 95 %: {_number(latency.get('p95'), 0)}"),
        _tile(_number(report["psnr"], 1), "dB", f"PSNR against the original; SSIM {_number(report['ssim'], 3)}"),
        _tile(_number(report["lmd_px"], 2), "px", "mean landmark distance at 256 pixels"),
        _tile(
            _number(None if skew is None else abs(skew), 0),
            "" if skew is None else "ms",
            "no sound to compare with"
            if skew is None
            else f"picture {'ahead of' if skew > 0 else 'behind'} sound, on average",
        ),
        _tile(
            _number(100.0 * (report["ticks_filled"] or 0.0), 1),
            "%",
            f"of display ticks new; longest freeze {_number(report['freeze_longest_ms'], 0)} ms",
        ),
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _tile(value: str, unit: str, text: str) -> str:
    return f'<div class="tile"><b>{escape(value)} <small>{escape(unit)}</small></b><span>{escape(text)}</span></div>'


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _strip(moments: list[Tick]) -> str:
    cells = ["<div>original</div>"]
    blank = '<div style="aspect-ratio:1"></div>'
    cells += [blank if tick.original is None else _picture(tick.original, "original") for tick in moments]
    cells += [blank] * (MOMENTS - len(moments))
    cells += ["<div>received</div>", *(_picture(tick.shown, "received") for tick in moments)]
    cells += [blank] * (MOMENTS - len(moments))
    cells += ["<div></div>", *(f'<div class="when">{tick.number / 25:.1f} s</div>' for tick in moments)]
    return "".join(cells)


def _picture(image: Image, text: str) -> str:
    bgr = np.ascontiguousarray(fitted(image, _STRIP_SIDE)[:, :, ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f'<img alt="{text}" src="data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}">'


def _plots(seconds: list[dict[str, Any]]) -> list[str]:
    def nested(group: str, name: str) -> list[float | None]:
        return [None if line[group] is None else line[group][name] for line in seconds]

    def plain(name: str) -> list[float | None]:
        return [line[name] for line in seconds]

    kinds = ("keypoints", "pivots", "voice", "control")
    return [
        bar_plot("Payload", "kbit/s", {kind: nested("payload_kbps", kind) for kind in kinds}),
        line_plot("On the wire", "kbit/s", {"up": nested("wire_kbps", "up"), "down": nested("wire_kbps", "down")}),
        line_plot("New pictures shown", "/ s", {"pictures": plain("fps_shown")}),
        line_plot("Capture to display", "ms", {"delay": plain("latency_ms")}),
        line_plot("PSNR against the original", "dB", {"PSNR": plain("psnr")}, floor=None),
        line_plot("SSIM against the original", "", {"SSIM": plain("ssim")}, floor=None),
    ]


def _rates_table(report: dict[str, Any]) -> str:
    steady = report["steady"]
    rows = [(f"payload: {kind}", rate, steady["payload_kbps"][kind]) for kind, rate in report["payload_kbps"].items()]
    rows.append(("payload in all", sum(report["payload_kbps"].values()), sum(steady["payload_kbps"].values())))
    rows += [(f"sender's wire, {way}", rate, steady["wire_kbps"][way]) for way, rate in report["wire_kbps"].items()]
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{whole:.1f}</td><td class="n">{later:.1f}</td></tr>'
        for name, whole, later in rows
    )
    return (
        '<table><tr><th>kbit/s</th><th class="n">whole call</th><th class="n">after the first 3 s</th></tr>'
        f"{body}</table>"
    )


def _stages_table(report: dict[str, Any]) -> str:
    body = "".join(
        f'<tr><td>{escape(name.replace("_", " "))}</td><td class="n">{took["p50"]:.1f}</td>'
        f'<td class="n">{took["p95"]:.1f}</td></tr>'
        for name, took in report["stage_ms"].items()
    )
    return f'<table><tr><th>stage, ms</th><th class="n">median</th><th class="n">95 %</th></tr>{body}</table>'


def _footer(report: dict[str, Any]) -> str:
    pivots = ", ".join(f"{line['size_bytes'] / 1000:.1f} kB ({line['reason']})" for line in report["pivots"])
    correlation = report["mouth_correlation"]
    mouth = "" if correlation is None else f" Mouth opening correlates {correlation:.2f} with the original's."
    return (
        f"Pivots sent: {escape(pivots) or 'none'}.{mouth} "
        f"avcall {escape(str(report['version']))}, made with <code>{escape(' '.join(report['command']))}</code>. "
        "All figures are in report.json; docs/commands.md says how each is measured."
    )
