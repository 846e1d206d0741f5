"""What real calls cost and how they ran, from the results of `avcall bench calls`: rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avcall.bench.report_page import parts


def rows(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is told, and its mean over the calls."""
    m = results["metrics"]
    worst_ms = max(call["freeze_longest_ms"] for call in results["calls"].values())
    payload, wire, latency = m["payload_kbps"], m["wire_kbps"], m["latency_ms"]
    one_way = [
        ("on the wire, sender to receiver, every byte counted", f"{wire['up']:.1f} kbit/s"),
        ("on the wire, back (acknowledgements)", f"{wire['down']:.1f} kbit/s"),
    ]
    return [
        *(_two_way_rows(m) if results.get("two_way") else one_way),
        (
            "payload: keypoints, pivots, voice, control",
            ", ".join(f"{payload[kind]:.1f}" for kind in ("keypoints", "pivots", "voice", "control")) + " kbit/s",
        ),
        *_alone_rows(m),
        ("pictures a second sent, shown", f"{m['fps_sent']:.1f}, {m['fps_shown']:.1f}"),
        *_drawn_rows(m),
        ("display ticks filled", f"{100 * m['ticks_filled']:.1f} %"),
        ("longest freeze: mean of the calls, worst call", f"{m['freeze_longest_ms']:.0f}, {worst_ms:.0f} ms"),
        ("glass to glass, p50 and p95", f"{latency['p50']:.0f} and {latency['p95']:.0f} ms"),
        ("sound against picture, mean and p95", f"{round(m['av_skew_ms']) or 0} and {m['av_skew_p95_ms']:.0f} ms"),
        ("PSNR, SSIM against the sender's crop", f"{m['psnr']:.1f} dB, {m['ssim']:.3f}"),
    ]


def _two_way_rows(m: Mapping[str, Any]) -> list[tuple[str, str]]:
    whole, steady = m["wire_kbps"], m["steady_wire_kbps"]
    return [
        ("a two-way call on the wire at one end, up and down, every byte counted", _up_down(whole)),
        ("the same without the first three seconds", _up_down(steady)),
    ]


def _alone_rows(m: Mapping[str, Any]) -> list[tuple[str, str]]:
    alone = m.get("keypoints_alone_kbps")
    if alone is None:
        return []
    rest = m["payload_kbps"]["keypoints"] - alone
    return [("of keypoints: the ten points alone, the rest", f"{alone:.1f}, {rest:.1f} kbit/s")]


def _drawn_rows(m: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("pictures drawn by", parts(m["drawn"]))] if m.get("drawn") else []
    if m.get("pictures_a_look"):
        rows.append(("pictures that one look of the network served, while carried", f"{m['pictures_a_look']:.1f}"))
    return rows


def _up_down(wire: Mapping[str, float]) -> str:
    return f"{wire['up']:.1f} and {wire['down']:.1f} kbit/s"
