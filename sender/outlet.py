"""Poses, voice and small packets on their way to the link: each at once and alone, or gathered into bundles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from avcall.common import wire
from avcall.common.bundle_format import MAX_ATTACHED, MAX_ATTACHED_BYTES
from avcall.common.clock import Clock
from avcall.common.frames import Pose
from avcall.common.keypoints import Keypoints
from avcall.common.link import Channel, Link
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket, Packet, Report, VoicePacket
from avcall.sender.bundler import Bundler
from avcall.sender.packetiser import KeypointPacketiser

_RIDING_BYTES = 3
"""What a bundle takes for a packet that rides in it, at most: how many there are, and how long it is."""


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
        self.rider: Callable[[int], bytes | None] = lambda most_bytes: None
        """Asked for a packet of at most so many bytes that may leave with a bundle, each time that one leaves."""
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
    def span_ms(self) -> float:
        """What a bundle covers; 0 without bundles."""
        return 0.0 if self._bundler is None else self._bundler.span_ms

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
            size_bytes = len(wire.pack(packet))
            match packet:
                case KeypointPacket():
                    self._stats.add_payload("keypoints", size_bytes)
                case Bundle():
                    if self._bundler is not None:
                        self._stats.counters["keypoint_bits"] = round(self._bundler.keypoint_bits)
                    others = packet.voice_bytes + packet.attached_bytes
                    self._stats.add_payload("keypoints", size_bytes - others)
                    self._stats.add_payload("voice", packet.voice_bytes)
                    self._stats.add_payload("control", packet.attached_bytes)
                case VoicePacket():
                    self._stats.add_payload("voice", size_bytes)
                case _:
                    self._stats.add_payload("control", size_bytes)
            leaving = self._ridden(packet, size_bytes) if isinstance(packet, Bundle) else packet
            data = wire.pack(leaving)
            self._link.send(Channel.MEDIA, data)
            self._sent(leaving, len(data))

    def _ridden(self, bundle: Bundle, size_bytes: int) -> Bundle:
        """With a packet of `rider`, where there is one."""
        room = min(MAX_ATTACHED_BYTES, wire.MTU_BYTES - size_bytes - _RIDING_BYTES)
        part = self.rider(room) if len(bundle.attached) < MAX_ATTACHED and room > 0 else None
        return bundle if part is None else replace(bundle, attached=(*bundle.attached, part))
