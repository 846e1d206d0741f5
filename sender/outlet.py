"""Poses, voice and small packets on their way to the link: each at once and alone, or gathered into bundles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from avcall.common import wire
from avcall.common.clock import Clock
from avcall.common.frames import Pose
from avcall.common.keypoints import Keypoints
from avcall.common.link import Channel, Link
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket, Packet, Report, VoicePacket
from avcall.sender.bundler import Bundler
from avcall.sender.packetiser import KeypointPacketiser


class Outlet:
    """`bundler` None sends everything at once (`--wire thesis`). `sent` hears of every packet that has left."""

    def __init__(
        self,
        link: Link,
        stats: Stats,
        clock: Clock,
        bundler: Bundler | None,
        sent: Callable[[Packet, int], None] = lambda packet, size_bytes: None,
    ) -> None:
        self._link = link
        self._stats = stats
        self._clock = clock
        self._bundler = bundler
        self._packetiser = KeypointPacketiser()
        self._sent = sent
        self._changed = asyncio.Event()
        self.urgent_reports = 0
        """So many of the next receiver reports do not wait for a bundle to be full."""

    def set_span(self, span_ms: float) -> None:
        """What each bundle covers from now on, 40 to 200 ms (kept within); nothing without bundles."""
        if self._bundler is not None:
            self._bundler.span_ms = span_ms

    def set_fps(self, fps: float) -> None:
        """How many poses a second come from now on; nothing without bundles."""
        if self._bundler is not None:
            self._bundler.fps = fps

    def set_copies(self, on: bool) -> None:
        """Whether each bundle repeats a frame of the one before, coarsely; nothing without bundles."""
        if self._bundler is not None:
            self._bundler.copies = on

    @property
    def has_poses(self) -> bool:
        """Some poses wait for their bundle to be full."""
        return self._bundler is not None and self._bundler.has_poses

    @property
    def closing(self) -> bool:
        """The next pose is the last of its bundle, or may be; never without bundles."""
        return self._bundler is not None and self._bundler.closing

    def pose(self, pose: Pose, pivot: Keypoints) -> None:
        """`pivot` are the keypoints of the pivot that the pose refers to."""
        packet = self._packetiser.packet(pose)
        self._send([packet] if self._bundler is None else self._bundler.pose(packet, pivot, self._clock()))

    def voice(self, packet: VoicePacket, duration_ms: float) -> None:
        """One packet, in the order of capture."""
        self._send([packet] if self._bundler is None else self._bundler.voice(packet, duration_ms, self._clock()))

    def attach(self, packet: Packet) -> None:
        """A small packet of a kind in `wire.ATTACHABLE`: it rides in the next bundle, or leaves alone where none comes
        within a span. Reports that are urgent leave with the next pose."""
        if self._bundler is None:
            self._send([packet])
            return
        hurry = isinstance(packet, Report) and self.urgent_reports > 0
        self.urgent_reports -= hurry
        self._send(self._bundler.attach(wire.pack(packet), self._clock(), hurry=hurry))

    async def run(self) -> None:
        """Sends what has waited for a span, for ever; without bundles nothing ever waits."""
        while True:
            self._changed.clear()
            due_ms = None if self._bundler is None else self._bundler.due_ms
            # half a millisecond more, or rounding could wake this just too early, again and again
            delay_s = None if due_ms is None else max(0.0, due_ms - self._clock() + 0.5) / 1000.0
            try:
                async with asyncio.timeout(delay_s):
                    await self._changed.wait()
            except TimeoutError:
                self.flush()

    def flush(self) -> None:
        """Sends what waits."""
        if self._bundler is not None:
            self._send(self._bundler.flush())

    def _send(self, packets: Iterable[Packet]) -> None:
        self._changed.set()
        for packet in packets:
            data = wire.pack(packet)
            match packet:
                case KeypointPacket():
                    self._stats.add_payload("keypoints", len(data))
                case Bundle():
                    others = packet.voice_bytes + packet.attached_bytes
                    self._stats.add_payload("keypoints", len(data) - others)
                    self._stats.add_payload("voice", packet.voice_bytes)
                    self._stats.add_payload("control", packet.attached_bytes)
                case VoicePacket():
                    self._stats.add_payload("voice", len(data))
                case _:
                    self._stats.add_payload("control", len(data))
            self._link.send(Channel.MEDIA, data)
            self._sent(packet, len(data))
