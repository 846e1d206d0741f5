"""What loss and delay do to the WebRTC link, in one process over loopback: `python scripts/lossy_link.py --loss 0.1`.

Keypoint-sized messages go one way 25 times a second, and one control message a second. Every datagram of both ends is
delayed by 50-70 ms and lost with the given probability. `--stock` leaves aiortc's SCTP as it is. Prints one line of
JSON; `--matrix > results/link.json` measures several losses, stock and tuned.
"""
# ruff: noqa: T201 - it talks to the one who runs it

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import struct
import subprocess
import sys
import time
from typing import Any

from avcall.bench.provenance import provenance
from avcall.common.link import Channel
from avcall.signaling import ice_sockets, peer, sctp_tuning
from avcall.signaling.messages import FromServer, Signal

MESSAGE_BYTES = 90
FPS = 25
LOSSES = (0.0, 0.1, 0.3)
LOOPBACK = ice_sockets.LOOPBACK


class Wire:
    """One end of a signaling path that is two queues."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[FromServer] = asyncio.Queue()
        self.other = self

    async def send(self, data: dict[str, Any]) -> None:
        self.other.inbox.put_nowait(Signal(data))

    async def receive(self) -> FromServer:
        return await self.inbox.get()


class Weather:
    """Stands in for the transport's sendto; calm until `loss` is set."""

    def __init__(self) -> None:
        self.loss: float | None = None
        self._random = random.Random(1)

    def sendto(self, transport: Any, data: bytes, *rest: Any) -> None:
        transport._meter.sent(len(data) + transport._header_bytes)
        if self.loss is None:
            transport._transport.sendto(data, *rest)
        elif self._random.random() >= self.loss:
            delay_s = 0.05 + 0.02 * self._random.random()
            asyncio.get_running_loop().call_later(delay_s, transport._transport.sendto, data, *rest)


async def measure(loss: float, seconds: float) -> dict[str, float]:
    weather = Weather()
    ice_sockets._MeteredTransport.sendto = lambda transport, *sent: weather.sendto(transport, *sent)  # type: ignore[method-assign, assignment]
    near, far = Wire(), Wire()
    near.other, far.other = far, near
    first, second = await asyncio.gather(
        peer.connect(near, offerer=True, bind=LOOPBACK), peer.connect(far, offerer=False, bind=LOOPBACK)
    )
    weather.loss = loss
    took_ms: dict[Channel, list[float]] = {Channel.MEDIA: [], Channel.CONTROL: []}
    arrived_s: list[float] = []

    async def take() -> None:
        while True:
            channel, data = await second.receive()
            now_s = time.monotonic()
            took_ms[channel].append(1000 * (now_s - struct.unpack_from("<d", data)[0]))
            if channel is Channel.MEDIA:
                arrived_s.append(now_s)

    taking = asyncio.create_task(take())
    before, start_s, count = first.wire_bytes(), time.monotonic(), int(seconds * FPS)
    for number in range(count):
        first.send(Channel.MEDIA, struct.pack("<d", time.monotonic()).ljust(MESSAGE_BYTES, b"\0"))
        if number % FPS == 0:
            first.send(Channel.CONTROL, struct.pack("<d", time.monotonic()).ljust(28, b"\0"))
        await asyncio.sleep(max(0.0, start_s + (number + 1) / FPS - time.monotonic()))
    after, elapsed_s = first.wire_bytes(), time.monotonic() - start_s
    await asyncio.sleep(3.0)
    taking.cancel()
    weather.loss = None
    await asyncio.sleep(0.1)  # until what is on its way has come
    await asyncio.gather(first.close(), second.close())
    media = sorted(took_ms[Channel.MEDIA])
    freeze_ms = 1000 * max(b - a for a, b in itertools.pairwise(arrived_s))
    up_kbps, back_kbps = (8 * (b - a) / 1000 / elapsed_s for a, b in ((before.up, after.up), (before.down, after.down)))
    control = took_ms[Channel.CONTROL]
    return {
        "loss": loss,
        "delivered": len(media) / count,
        "median_ms": media[len(media) // 2],
        "p99_ms": media[int(0.99 * len(media))],
        "freeze_longest_ms": freeze_ms,
        "up_kbps": up_kbps,
        "back_kbps": back_kbps,
        "control_slowest_ms": max(control),
    }


def matrix(seconds: float) -> dict[str, Any]:
    """All of LOSSES, with aiortc's SCTP as it is and tuned, each in a process of its own, side by side."""
    command = [sys.executable, __file__, "--seconds", f"{seconds:g}", "--loss"]
    runs = {
        (system, loss): subprocess.Popen([*command, f"{loss:g}", *flags], stdout=subprocess.PIPE, text=True)
        for loss in LOSSES
        for system, flags in (("stock", ["--stock"]), ("tuned", []))
    }
    rows = [{"system": system, **json.loads(run.communicate()[0])} for (system, _), run in runs.items()]
    clips = ["none: messages of keypoint size"]
    return {
        **provenance(),
        "command": "python scripts/lossy_link.py --matrix",
        "clips": clips,
        "seconds": seconds,
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--loss", type=float, default=0.1, help="part of the datagrams that is lost (default 0.1)")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long to send (default 40)")
    parser.add_argument("--stock", action="store_true", help="leave aiortc's SCTP as it is")
    parser.add_argument("--matrix", action="store_true", help="measure 0, 10 and 30 %% loss, stock and tuned")
    values = parser.parse_args()
    if values.matrix:
        print(json.dumps(matrix(values.seconds), indent=1))
        return
    if values.stock:
        vars(peer)["tune"] = lambda sctp: sctp_tuning._forgive_late_sends(sctp.transport)
    print(json.dumps(asyncio.run(measure(values.loss, values.seconds))))


if __name__ == "__main__":
    main()
