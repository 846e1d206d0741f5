"""One end of a call without cameras or models, to be run on a host of its own: `two_hosts_end.py send|receive URL`.

The sender sends a packet of 80-byte keypoints 25 times a second for a while; each end prints what it counted as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import numpy as np

from avcall.common import wire
from avcall.common.clock import monotonic_ms
from avcall.common.config import CallConfig
from avcall.common.control import Hello, Message
from avcall.common.link import Channel
from avcall.common.stats import Stats
from avcall.common.wire import KeypointPacket, Packet
from avcall.signaling.session import open_session

PACKETS = 75


class Counter:
    """An endpoint that counts keypoint packets."""

    def __init__(self) -> None:
        self.arrived = 0

    def on_packet(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        self.arrived += isinstance(packet, KeypointPacket)

    def on_message(self, message: Message, now_ms: float) -> None:
        del message, now_ms


async def end(sends: bool, url: str) -> dict[str, object]:
    hello = Hello(wire.VERSION, "test", "classical", "00000000", 10, 256, 25.0, sends, not sends, voice=False)
    counter = Counter()
    config = CallConfig(room="two-hosts", signal=url, wait_s=20.0)
    async with open_session(config, hello, monotonic_ms, Stats()) as session:
        pump = asyncio.create_task(session.pump([counter]))
        if sends:
            start_s = time.monotonic()
            for number in range(PACKETS):
                packet = KeypointPacket(number, number * 40, 0, np.zeros((10, 2), np.float32))
                session.link.send(Channel.MEDIA, wire.pack(packet))
                await asyncio.sleep(max(0.0, start_s + 0.04 * (number + 1) - time.monotonic()))
            await asyncio.sleep(0.3)
            await session.bye("sent")
        reason = await pump
    wired = session.wire_bytes()
    return {"up": wired.up, "down": wired.down, "arrived": counter.arrived, "reason": reason}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(end(sys.argv[1] == "send", sys.argv[2]))))
