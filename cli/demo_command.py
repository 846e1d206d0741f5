"""`avcall demo`: a whole call on this machine, and its report."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli import add_debug_flag
from avcall.cli.call_command import RECEIVED, SENT
from avcall.cli.children import Child, Children
from avcall.cli.flags import add_flags, build
from avcall.common.config import AUTO, DEFAULT_MODEL, QUALITIES, WIRES, SendConfig, flag
from avcall.common.errors import ConfigError, DeviceError, NoFaceError, OutputError

DESCRIPTION = """A whole call on this machine: signaling server, sender and receiver as three real processes over
real WebRTC on loopback, and a report of how the face looked and what it cost. With --two-way both ends send and
receive, as in 'avcall call'.

The input is --video FILE, else the webcam if there is one, else a built-in sample made from a public-domain
portrait. Exit code 0 only if a face arrived. In the output folder:
  report.html        pictures, video, plots           report.json   all figures
  side_by_side.mp4   original left, received right    received.mp4  what the receiver recorded"""
EXAMPLES = """  avcall demo
  avcall demo --video talk.mp4 --seconds 20 --no-window --out out-talk
  avcall demo --two-way --video talk.mp4 --video-back answer.mp4 --no-window"""

START_S = 60.0
EXTRA_S = 120.0
"""A slow machine may take this much longer than the call itself to load, connect and end."""
MOVED = 0.3
"""Mean change in grey levels (0 to 255) that the received picture must show at least once."""
FACE_SHARE = 0.5
RECORDING = "received.mp4"
FIRST, SECOND = "first", "second"
"""Folders of the traces of --two-way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """`avcall demo`."""

    video: Path | None = flag(None, "send this file", metavar="FILE")
    camera: int | None = flag(None, "send this camera, numbered from 0", metavar="N")
    two_way: bool = flag(False, "both ends send and receive, as in 'avcall call'")
    video_back: Path | None = flag(
        None, "with --two-way, what the other end sends (without it, the same as the first)", metavar="FILE"
    )
    seconds: float = flag(8.0, "how long the call lasts", metavar="SECONDS")
    out: Path = flag(Path("out"), "folder for the results", metavar="DIR")
    window: bool = flag(True, "show the received picture in a window, where there is a display")
    record: bool = flag(True, "the receiver records the call, which costs it a tenth of a core (received.mp4)")
    model: str = flag(DEFAULT_MODEL, "reenactment model", metavar="NAME")
    device: str = flag("auto", "where networks compute", choices=("auto", "cpu", "cuda"))
    quality: str = flag(AUTO, "as 'avcall receive' has it", choices=QUALITIES)
    size: int = flag(256, "side of the square picture in pixels", metavar="PIXELS")
    fps: float = flag(25.0, "frames a second", metavar="FPS")
    voice_kbps: float = flag(8.0, "bit rate of the speech coder", metavar="KBPS")
    max_kbps: float = flag(500.0, "send at most this much, everything on the wire counted", metavar="KBPS")
    wire: str = flag(
        "coded", "coded keypoints in bundles with the voice, or 80 bytes of keypoints a frame", choices=WIRES
    )
    span_ms: str = flag("auto", "what one bundle of --wire coded covers, 40 to 200, or auto", metavar="MS|auto")
    pivots: str = flag(
        "inter", "code each pivot against the one before it, or (intra) on its own", choices=("inter", "intra")
    )
    pivot_kbps: float = flag(4.0, "aim for at most this much for the pivots of --pivots inter", metavar="KBPS")

    @property
    def recording(self) -> tuple[str, ...]:
        """The flags with which a receiver records."""
        return ("--record", str(self.out / RECORDING)) if self.record else ()


def add_arguments(parser: ArgumentParser) -> None:
    add_flags(parser, DemoConfig)
    add_debug_flag(parser)


def run(values: Namespace) -> int:
    from avcall.bench.report_page import busy

    config = build(DemoConfig, values)
    if not 2.0 <= config.seconds <= 600.0:
        raise ConfigError(f"--seconds {config.seconds:g}: give a number from 2 to 600, such as 8")
    _check_input(config)
    logs = make_folder(config.out)
    source = choose_input(config)
    (two_way_call if config.two_way else call)(config, source, logs)
    print("measuring what was shown ...", flush=True)
    report = write_report(config.out, two_way=config.two_way)
    print(table(report, config.out))
    if hint := busy(report):
        print(f"\n{hint}")
    if report["face_share"] < FACE_SHARE or report["moved"] < MOVED:
        raise NoFaceError(
            f"no living face arrived (a face in {100 * report['face_share']:.0f} % of the pictures, largest change "
            f"{report['moved']:.1f} grey levels): look at {config.out / 'side_by_side.mp4'}"
        )
    return 0


def _check_input(config: DemoConfig) -> None:
    """Everything about the flags that the sender would complain of, before any process starts."""
    from avcall.cli.checks import check_send
    from avcall.sender.file_clock import FileClock

    check_send(
        SendConfig(
            room="demo",
            video=config.video,
            camera=config.camera,
            size=config.size,
            fps=config.fps,
            voice_kbps=config.voice_kbps,
            max_kbps=config.max_kbps,
            wire=config.wire,
            span_ms=config.span_ms,
            pivots=config.pivots,
            pivot_kbps=config.pivot_kbps,
        )
    )
    if config.video_back is not None and not config.two_way:
        raise ConfigError(f"--video-back {config.video_back}: only with --two-way does the other end send")
    for video in (config.video, config.video_back):
        if video is not None:
            FileClock(video)


def make_folder(out: Path) -> Path:
    """The output folder and, in it, the one of the logs, which is returned."""
    logs = out / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        for old in ("report.json", RECORDING):  # of another call, must not pass for this one's
            (out / old).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"--out {out}: {error.strerror}: give a folder that can be written") from error
    return logs


def choose_input(config: DemoConfig) -> list[str]:
    """The sender's flags for the file, the camera, or the sample, which is made here."""
    if config.video is not None:
        return ["--video", str(config.video)]
    from avcall.sender.capture import CameraSource

    try:
        CameraSource(config.camera or 0, config.fps)  # let go of at once: the sender opens it
    except DeviceError:
        if config.camera is not None:
            raise
    else:
        print(f"input: camera {config.camera or 0}")
        return ["--camera", str(config.camera or 0)]
    from avcall.bench.sample import write_sample

    print("input: no webcam here, so the built-in sample: an animated public-domain portrait (NASA) with computed")
    print("       sound; nobody ever said this. Give --video FILE for a film of your own.", flush=True)
    sample = config.out / "sample.mp4"
    write_sample(sample, config.seconds + 0.5)
    return ["--video", str(sample)]


def call(config: DemoConfig, source: list[str], logs: Path) -> None:
    """The call.

    Raises:
        AvcallError: of the process that failed, with its exit code.
    """
    window = config.window and has_display()
    common = ["--room", "demo", "--bind", "127.0.0.1", "--model", config.model, "--device", config.device]
    with Children(logs) as children:
        signaling = children.start("signal", "--host", "127.0.0.1", "--port", "0")
        url = signaling.wait_for("signaling on ", START_S).split()[-1]
        common += ["--signal", url, "--wait-s", f"{EXTRA_S:g}"]
        receiver = children.start(
            "receive",
            *common,
            *("--quality", config.quality),
            *("--trace", str(config.out / "trace" / "receiver"), *config.recording),
            "--window" if window else "--no-window",
            # a microphone in the same room would hear the speaker
            "--audio" if window and "--video" in source else "--no-audio",
        )
        sender = children.start(
            "send",
            *common,
            *source,
            *("--trace", str(config.out / "trace" / "sender"), "--seconds", f"{config.seconds:g}"),
            *("--size", str(config.size), "--fps", f"{config.fps:g}", "--voice-kbps", f"{config.voice_kbps:g}"),
            *("--max-kbps", f"{config.max_kbps:g}"),
            *("--wire", config.wire, "--span-ms", config.span_ms),
            *("--pivots", config.pivots, "--pivot-kbps", f"{config.pivot_kbps:g}"),
        )
        sender.wait_for("connected", EXTRA_S)
        print(receiver.wait_for("computing", EXTRA_S), flush=True)
        print(f"connected over WebRTC on loopback; the call lasts {config.seconds:g} s ...", flush=True)
        wait_for_the_end(sender, receiver, config.seconds + EXTRA_S)


def two_way_call(config: DemoConfig, source: list[str], logs: Path) -> None:
    """The call with --two-way. Videos start again where they end before the call does.

    Raises:
        AvcallError: of the process that failed, with its exit code.
    """
    window = config.window and has_display()
    back = ["--video", str(config.video_back)] if config.video_back else source
    if "--camera" in back:
        raise ConfigError("--two-way with one camera: give --video-back FILE for what the other end sends")
    with Children(logs) as children:
        signaling = children.start("signal", "--host", "127.0.0.1", "--port", "0")
        common = [*("--room", "demo", "--bind", "127.0.0.1", "--model", config.model, "--device", config.device)]
        common += ["--signal", signaling.wait_for("signaling on ", START_S).split()[-1], "--wait-s", f"{EXTRA_S:g}"]
        common += [*("--size", str(config.size), "--fps", f"{config.fps:g}", "--voice-kbps", f"{config.voice_kbps:g}")]
        common += [*("--max-kbps", f"{config.max_kbps:g}")]
        common += ["--wire", config.wire, "--span-ms", config.span_ms, "--no-play", "--quality", config.quality]
        traces = config.out / "trace"
        second = children.start(
            "call",
            *common,
            *_looped(back),
            *("--trace", str(traces / SECOND), *config.recording),
            "--window" if window else "--no-window",
        )
        first = children.start(
            "call",
            *common,
            *_looped(source),
            "--no-window",
            *("--trace", str(traces / FIRST), "--seconds", f"{config.seconds:g}"),
        )
        first.wait_for("connected", EXTRA_S)
        print(second.wait_for("computing", EXTRA_S), flush=True)
        print(f"connected over WebRTC on loopback, both ways; the call lasts {config.seconds:g} s ...", flush=True)
        wait_for_the_end(first, second, config.seconds + EXTRA_S)


def _looped(source: list[str]) -> list[str]:
    return [*source, "--loop"] if "--video" in source else source


def wait_for_the_end(sender: Child, receiver: Child, seconds: float) -> None:
    """Relays the warnings of both ends.

    Raises:
        AvcallError: the first that did not end well, with its exit code.
    """
    codes = [(sender, sender.wait(seconds)), (receiver, receiver.wait(EXTRA_S / 2))]
    for child in (sender, receiver):
        for line in child.warnings:
            print(f"avcall: {child.name}: {line}", file=sys.stderr)
    for child, code in codes:
        if code != 0:
            raise child.failure()


def has_display() -> bool:
    """Where a window could open; it says so where not."""
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return True
    print("no display here: the call is recorded only")
    return False


def write_report(out: Path, *, two_way: bool = False) -> dict[str, Any]:
    """Writes report.json, report.html and side_by_side.mp4 from the traces; returns the report.

    With `two_way` it is about what the first end sends, and about the wire at that end; "back" has the other way.
    """
    from avcall.bench.call_report import call_report, report_back
    from avcall.bench.joined_ticks import Tick, ticks
    from avcall.bench.report_page import moment_numbers, report_page
    from avcall.bench.side_by_side import write_side_by_side
    from avcall.bench.trace_file import TraceFolder

    sent, received = out / "trace" / "sender", out / "trace" / "receiver"
    if two_way:
        sent, received = out / "trace" / FIRST / SENT, out / "trace" / SECOND / RECEIVED
    report = {**call_report(sent, received), "two_way": two_way, "command": ["avcall", *sys.argv[1:]]}
    if two_way:
        report["back"] = report_back(out / "trace" / SECOND / SENT, out / "trace" / FIRST / RECEIVED)
    sender, receiver = TraceFolder(sent), TraceFolder(received)
    wanted = set(moment_numbers(receiver))
    moments: list[Tick] = []

    def passing() -> Iterator[Tick]:
        for tick in ticks(sender, receiver):
            if tick.number in wanted:
                moments.append(tick)
            yield tick

    caption = f"synthesised from {sum(report['payload_kbps'].values()):.0f} kbit/s"
    write_side_by_side(out / "side_by_side.mp4", passing(), out / RECORDING, caption)
    try:
        (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (out / "report.html").write_text(report_page(report, moments, "side_by_side.mp4"), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--out {out}: {error.strerror}: give a folder that can be written") from error
    return report


def table(report: dict[str, Any], out: Path) -> str:
    """The short table for the terminal."""
    from avcall.bench.report_page import drawn_by

    payload, wire = report["payload_kbps"], report["wire_kbps"]
    latency = report["latency_ms"] or {}
    kinds = ", ".join(f"{kind} {rate:.1f}" for kind, rate in payload.items())
    rows = [
        ("payload", f"{sum(payload.values()):.1f} kbit/s ({kinds})"),
        (
            "on the wire",
            f"{wire['up']:.1f} kbit/s up, {wire['down']:.1f} down, all headers counted"
            + (", at one end of a two-way call" if report.get("two_way") else ""),
        ),
        ("pictures", f"{_text(report['fps_sent'])} sent, {_text(report['fps_shown'])} shown a second"),
        ("drawn by", drawn_by(report) or report["model"]),
        (
            "display",
            f"{100 * (report['ticks_filled'] or 0):.1f} % of ticks new, longest freeze "
            f"{_text(report['freeze_longest_ms'], 0)} ms",
        ),
        ("delay", f"{_text(latency.get('p50'), 0)} ms median, {_text(latency.get('p95'), 0)} ms 95 %"),
        ("lip sync", lip_sync(report["av_skew_ms"])),
        ("likeness", f"PSNR {_text(report['psnr'])} dB, SSIM {_text(report['ssim'], 3)} against the original"),
        (
            "face",
            f"in {100 * report['face_share']:.0f} % of pictures; landmarks {_text(report['lmd_px'], 2)} px off, "
            f"mouth correlation {_text(report['mouth_correlation'], 2)}",
        ),
        ("look at", f"{out / 'report.html'}  {out / 'side_by_side.mp4'}"),
    ]
    return "\n" + "\n".join(f"  {name:12s} {text}" for name, text in rows)


def lip_sync(skew_ms: float | None) -> str:
    """The mean distance of picture and sound in words."""
    if skew_ms is None:
        return "no sound to compare with"
    return f"picture {abs(skew_ms):.0f} ms {'ahead of' if skew_ms > 0 else 'behind'} the sound"


def _text(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
