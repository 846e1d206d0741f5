"""From the microphone to voice packets. The executor may be busy for longer than a chunk lasts (a pivot is being coded,
the machine is loaded), so all that waits is coded in one go: sound comes late then, but none of it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from avcall.common.errors import DeviceError
from avcall.common.frames import AudioChunk
from avcall.common.stats import Stats
from avcall.common.wire import VoicePacket
from avcall.sender.microphone import AudioSource
from avcall.sender.voice import VOICE_KBPS, VoiceEncoder

Work: TypeAlias = Callable[[], list[VoicePacket]]
LONGEST_WAIT_CHUNKS = 100
"""Two seconds. What is older than that when its turn comes is dropped: nobody would hear it in time."""

logger = logging.getLogger(__name__)


class VoiceStage:
    """Reads a source, codes on `compute` (which returns the result and the milliseconds it took), hands packets on,
    each with its length in ms."""

    def __init__(
        self,
        source: AudioSource,
        encoder: VoiceEncoder,
        compute: Callable[[Work], Awaitable[tuple[list[VoicePacket], float]]],
        send: Callable[[VoicePacket, float], None],
        stats: Stats,
    ) -> None:
        self.muted = False
        self._source = source
        self._encoder = encoder
        self._compute = compute
        self._send = send
        self._stats = stats
        self._waiting: deque[AudioChunk] = deque()
        self._more = asyncio.Event()
        self._ended = False

    def set_rate(self, kbps: float) -> None:
        """The speech coder's bit rate from the next frame on, 6 to 64 kbit/s (kept within)."""
        self._encoder.set(kbps=min(max(kbps, VOICE_KBPS[0]), VOICE_KBPS[1]))

    def set_frame(self, frame_ms: int) -> None:
        """The length of the coded pieces from the next one on, one of `voice.FRAMES_MS`."""
        self._encoder.set(frame_ms=frame_ms)

    async def run(self) -> None:
        """Until the source ends, or its device fails: then the call goes on without sound."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._code(), name="sender-voice-coder")
            try:
                await self._hear()
            except DeviceError as error:
                logger.warning("the call goes on without sound: %s", error)
            self._ended = True
            self._more.set()

    async def _hear(self) -> None:
        dropped_here = 0
        async for chunk in self._source.chunks():
            if not self.muted:
                self._waiting.append(chunk)
                self._more.set()
            if len(self._waiting) > LONGEST_WAIT_CHUNKS:
                self._waiting.popleft()
                dropped_here += 1
            self._stats.counters["sound_chunks_dropped"] = self._source.dropped + dropped_here

    async def _code(self) -> None:
        while self._waiting or not self._ended:
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
                continue
            chunks = list(self._waiting)
            self._waiting.clear()
            packets, took_ms = await self._compute(partial(self._encode, chunks))
            if packets:
                self._stats.add_stage("voice_encode", took_ms)
            for packet in packets:
                self._send(packet, self._encoder.frame_ms)

    def _encode(self, chunks: list[AudioChunk]) -> list[VoicePacket]:
        return [packet for chunk in chunks for packet in self._encoder.encode(chunk)]
