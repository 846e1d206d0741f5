"""The sound of a call: voice packets in; speaker and recordings out, at the play-out clock's pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from avcall.common.errors import ProtocolError
from avcall.common.stats import Stats
from avcall.common.wire import VoicePacket
from avcall.receiver.opus_decoder import Samples, make_opus_decoder
from avcall.receiver.playout import PlayoutClock, Stream
from avcall.receiver.renderers import Renderer
from avcall.receiver.speaker import Speaker
from avcall.receiver.voice_buffer import VoiceBuffer
from avcall.receiver.voice_player import CHUNK, CHUNK_MS, VoicePlayer

_MAX_CHUNKS = 50


class SoundStage:
    """Buffer, decoder, steering and speaker in a row. On the event loop: 20 ms of speech take some 0.1 ms."""

    def __init__(
        self,
        playout: PlayoutClock,
        speaker: Speaker,
        renderers: Sequence[Renderer],
        stats: Stats,
        played: Callable[[Samples, float], None] | None = None,
    ) -> None:
        """`played` is told what the speaker plays, and when that is heard (ms)."""
        self._playout = playout
        self._speaker = speaker
        self._played = played
        self._renderers = renderers
        self._stats = stats
        self._buffer = VoiceBuffer(make_opus_decoder())
        self._player = VoicePlayer(self._buffer, playout)
        self.off = False
        """The viewer switched the sound off: recordings still have it."""

    def take(self, packet: VoicePacket, media_ms: float, now_ms: float) -> None:
        """One packet; what cannot be Opus is counted and dropped."""
        try:
            recovered_ms = self._buffer.insert(packet, media_ms)
        except ProtocolError:
            self._stats.count("packets_malformed")
            return
        lead_ms = self._speaker.lead_ms + CHUNK_MS
        self._playout.observe(Stream.VOICE, media_ms, now_ms, lead_ms)
        if recovered_ms is not None:
            self._playout.observe(Stream.VOICE, recovered_ms, now_ms, lead_ms)

    def clear(self) -> None:
        """Forgets what waits: the sender's clock jumped."""
        self._buffer.clear()

    def fill(self, now_ms: float) -> None:
        """Gives the speaker what it wants now."""
        for _ in range(min(_MAX_CHUNKS, -(-self._speaker.wanted(now_ms) // CHUNK))):
            heard_ms = self._speaker.heard_ms(now_ms)
            samples = self._player.chunk(heard_ms)
            audible = np.zeros_like(samples) if self.off else samples
            self._speaker.write(audible)
            if self._played is not None:
                self._played(audible, heard_ms)
            for renderer in self._renderers:
                renderer.hear(samples, heard_ms)

    def counters(self) -> dict[str, int]:
        """What happened to the voice so far."""
        buffer = self._buffer
        return {
            "voice_received": buffer.received,
            "voice_lost": buffer.lost,
            "voice_late": buffer.late,
            "voice_recovered": buffer.recovered,
            "voice_refused": buffer.refused,
            "voice_concealed_ms": round(buffer.concealed_ms),
        }
