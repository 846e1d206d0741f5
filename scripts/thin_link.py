"""Real calls through a thin link with a real queue: what rate control makes of it.

Two hosts and a router as in two_hosts.py. The links of both hosts carry one packet after the other at a rate, as a
radio's or a modem's do (`tc htb` without credit), or, with --bucket-bytes, let a burst of so many bytes pass after each
pause, as a policer does (`tc tbf`); the queue holds 400 ms. Where the kernel has it, `tc netem` adds delay and loss on
the router. The queue is read from the kernel (`tc -s`), ten times a second; rates are what crosses the caller's
interface, IP headers included.

Run as root from a checkout: `sudo .venv/bin/python scripts/thin_link.py --video FILE --json results/thin_link.json`.
"""

# ruff: noqa: T201 - it talks to the one who runs it

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from two_hosts import Network, avcall, signaling, stop, why_not

from avcall.bench.provenance import provenance

MTU_BYTES = 1280
"""Of the thin links; a bucket has to hold at least one packet."""
ETHERNET_BYTES = 14
"""Of each frame's header: the links' rates count IP packets, as everything here does."""
QUEUE_MS = 400
SETTLE_S = 5.0
EVERY_S = 0.1


@dataclass(frozen=True)
class Link:
    """What the router and the hosts' links do to packets."""

    rate_kbps: int
    bucket_bytes: int = 0
    """What passes at once after a pause; 0 for a link that never does that."""
    delay_ms: int = 0
    loss_percent: float = 0.0


class ThinNetwork(Network):
    """Both hosts behind links of one rate."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def _build(self) -> None:
        super()._build()
        for host in ("caller", "callee"):
            for place, device in ((host, "eth0"), ("router", f"to-{host}")):
                self._in(place, "ip", "link", "set", device, "mtu", str(MTU_BYTES))
                root = ["qdisc", "add", "dev", device, "root", "handle", "1:", "stab", "overhead", f"-{ETHERNET_BYTES}"]
                rate = ["rate", f"{self._link.rate_kbps}kbit"]
                if self._link.bucket_bytes:
                    burst = ["burst", str(self._link.bucket_bytes), "latency", f"{QUEUE_MS}ms"]
                    self._in(place, "tc", *root, "tbf", *rate, *burst)
                    continue
                # a class of htb sends while it owes nothing, and a packet may put it into debt
                self._in(place, "tc", *root, "htb", "default", "1")
                flow = ["class", "add", "dev", device, "parent", "1:", "classid", "1:1"]
                self._in(place, "tc", *flow, "htb", *rate, "burst", "1", "cburst", "1", "quantum", str(MTU_BYTES))
                queue_bytes = str(max(MTU_BYTES, round(self._link.rate_kbps * QUEUE_MS / 8)))
                queue = ["qdisc", "add", "dev", device, "parent", "1:1", "handle", "2:", "bfifo", "limit", queue_bytes]
                self._in(place, "tc", *queue)
            if self._link.delay_ms or self._link.loss_percent:
                parent = "1:" if self._link.bucket_bytes else "1:1"
                self._in(
                    "router", "tc", "qdisc", "replace", "dev", f"to-{host}", "parent", parent, "netem",
                    "delay", f"{self._link.delay_ms}ms", "loss", f"{self._link.loss_percent}%",
                    "limit", "1000",
                )  # fmt: skip

    def backlog_bytes(self, host: str) -> int:
        """What waits at the host's link."""
        told = self._in(host, "tc", "-s", "qdisc", "show", "dev", "eth0")
        match = re.search(r"backlog (\d+)(K?)b", told)
        return int(match[1]) * (1024 if match[2] else 1) if match else 0


def has_netem() -> bool:
    """Whether this kernel can delay and lose packets."""
    name = f"avcall-{os.getpid()}-netem"
    subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    try:
        adding = ["ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
        return subprocess.run(adding, capture_output=True, check=False).returncode == 0
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def measure(link: Link, video: Path, seconds: float, folder: Path) -> dict[str, Any]:
    """One call through the link.

    Raises:
        RuntimeError: an end failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sender, receiver = folder / "send-trace", folder / "receive-trace"
    queue_ms: list[tuple[float, float]] = []
    crossed: list[tuple[float, int]] = []
    with ThinNetwork(link) as network, signaling(network, folder) as url:
        common = ["--room", "thin", "--signal", url]
        receiving = network.start(
            "callee",
            [avcall(), "receive", *common, "--no-window", "--no-audio", "--trace", receiver],
            folder / "receive.log",
        )
        sending = network.start(
            "caller",
            [avcall(), "send", *common, "--video", video, "--loop", "--seconds", str(seconds), "--trace", sender],
            folder / "send.log",
        )
        give_up_s = time.monotonic() + seconds + 120.0
        while sending.poll() is None and time.monotonic() < give_up_s:
            now_ms = time.monotonic() * 1000.0
            queue_ms.append((now_ms, network.backlog_bytes("caller") * 8.0 / link.rate_kbps))
            crossed.append((now_ms, network.counted("caller").up))
            time.sleep(EVERY_S)
        with contextlib.suppress(subprocess.TimeoutExpired):
            receiving.wait(30.0)
        codes = [stop(program) for program in (sending, receiving)]
    if codes != [0, 0]:
        logs = " ".join((folder / f"{name}.log").read_text()[-300:] for name in ("send", "receive"))
        raise RuntimeError(f"a call at {link.rate_kbps} kbit/s failed: {logs}")
    return figures(link, sender, receiver, queue_ms, crossed)


def figures(
    link: Link, sender: Path, receiver: Path, queue_ms: list[tuple[float, float]], crossed: list[tuple[float, int]]
) -> dict[str, Any]:
    """What the traces and the kernel say, from the moment the call stood."""
    control = lines(sender, "rate_control")
    begin_ms = control[0]["at_ms"]
    summary = lines(receiver, "summary")[-1]
    settled = [line for line in control if line["at_ms"] >= begin_ms + 1000 * SETTLE_S]
    queue = [ms for at_ms, ms in queue_ms if begin_ms <= at_ms <= control[-1]["at_ms"]]
    after = [(at_ms, up) for at_ms, up in crossed if begin_ms + 1000 * SETTLE_S <= at_ms <= control[-1]["at_ms"]]
    return {
        "rate_kbps": link.rate_kbps,
        "bucket_bytes": link.bucket_bytes,
        "delay_ms": link.delay_ms,
        "loss_percent": link.loss_percent,
        "sent_kbps": round((after[-1][1] - after[0][1]) * 8.0 / (after[-1][0] - after[0][0]), 2),
        "target_kbps": round(float(np.mean([line["target_kbps"] for line in settled])), 2),
        "queue_ms": {
            "p50": round(float(np.percentile(queue, 50)), 1),
            "p95": round(float(np.percentile(queue, 95)), 1),
            "max": round(max(queue), 1),
        },
        "fps_shown": summary["fps_shown"],
        "ticks_filled": summary["ticks_filled"],
        "freeze_longest_ms": summary["freeze_longest_ms"],
        "time_to_first_face_ms": summary["time_to_first_face_ms"],
        "by_second": [
            {key: line[key] for key in ("target_kbps", "delivered_kbps", "queue_ms", "span_ms", "voice_kbps")}
            for line in control
        ],
    }


def lines(trace: Path, kind: str) -> list[dict[str, Any]]:
    """The lines of one kind in a trace."""
    read = (json.loads(line) for line in (trace / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in read if line["kind"] == kind]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--video", type=Path, help="what the caller sends; the built-in sample if not given")
    parser.add_argument("--rates", default="20,30,50", help="kbit/s of the links, one call each (default 20,30,50)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each call (default 30)")
    parser.add_argument("--bucket-bytes", type=int, default=0, help="pass so much at once after a pause (default 0)")
    parser.add_argument("--delay-ms", type=int, default=0, help="more delay each way (needs netem)")
    parser.add_argument("--loss-percent", type=float, default=0.0, help="random loss each way (needs netem)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--out", type=Path, help="keep logs and traces in this folder")
    values = parser.parse_args()
    reason = why_not()
    if not reason and (values.delay_ms or values.loss_percent) and not has_netem():
        reason = "this kernel has no netem: leave out --delay-ms and --loss-percent"
    if reason:
        print(f"thin_link: {reason}", file=sys.stderr)
        return 1
    calls = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = values.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        video = values.video
        if video is None:
            video = folder / "sample.mp4"
            subprocess.run([avcall(), "sample", video], check=True)
        for rate in map(int, values.rates.split(",")):
            link = Link(rate, values.bucket_bytes, values.delay_ms, values.loss_percent)
            call = measure(link, video.resolve(), values.seconds, folder / str(rate))
            queue = call["queue_ms"]
            print(
                f"{rate:4d} kbit/s: {call['sent_kbps']:.1f} sent, target {call['target_kbps']:.1f}; queue p50 "
                f"{queue['p50']:.0f}, p95 {queue['p95']:.0f}, most {queue['max']:.0f} ms; {call['fps_shown']:.1f} "
                f"pictures a second, {call['ticks_filled']:.1%} of ticks filled, longest freeze "
                f"{call['freeze_longest_ms']:.0f} ms, first face after {call['time_to_first_face_ms']:.0f} ms",
                flush=True,
            )
            calls.append(call)
    if values.json is not None:
        words = ["python scripts/thin_link.py --rates", values.rates, "--seconds", f"{values.seconds:g}"]
        if values.bucket_bytes:
            words += ["--bucket-bytes", str(values.bucket_bytes)]
        if values.video is not None:
            words += ["--video", values.video.name]
        results = {"command": " ".join(words), **provenance(), "clips": [video.stem], "calls": calls}
        values.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
