"""Steering the voice to the clock's target."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.common.wire import VoicePacket
from avcall.receiver.opus_decoder import make_opus_decoder
from avcall.receiver.playout import MARGIN_MS, PlayoutClock, Stream
from avcall.receiver.voice_buffer import VoiceBuffer
from avcall.receiver.voice_player import CHUNK, CHUNK_MS, VoicePlayer
from tests.test_receiver_opus_decoder import encode, speechlike

PACKETS = encode(speechlike(6.0))


class Line:
    """Packets of 60 ms that take `transit_ms`, and a player that is asked every 10 ms."""

    def __init__(self) -> None:
        self.clock = PlayoutClock()
        self.buffer = VoiceBuffer(make_opus_decoder())
        self.player = VoicePlayer(self.buffer, self.clock)
        self.now_ms = 0.0
        self.errors: list[float] = []
        self.heard: list[np.ndarray] = []
        self._sent = 0
        self._due: list[tuple[float, int]] = []

    def play(self, seconds: float, transit_ms: float, pace: float = 1.0) -> None:
        """`pace` is how fast the sound card takes samples."""
        end_ms = self.now_ms + 1000 * seconds
        while self.now_ms < end_ms:
            while 60 * self._sent <= self.now_ms:
                self._due.append((60 * self._sent + transit_ms, self._sent))
                self._sent += 1
            for due_ms, i in [item for item in self._due if item[0] <= self.now_ms]:
                self._due.remove((due_ms, i))
                sound = PACKETS[i % len(PACKETS)]
                self.buffer.insert(VoicePacket(i, 0, sound, talk_start=i == 0), 60.0 * i)
                self.clock.observe(Stream.VOICE, 60.0 * i, due_ms, CHUNK_MS)
            chunk = self.player.chunk(self.now_ms)
            assert len(chunk) == CHUNK
            self.heard.append(chunk)
            if not self.buffer.silent:
                self.errors.append(self.clock.target_ms(self.now_ms + CHUNK_MS) - self.buffer.position_ms)
            self.now_ms += CHUNK_MS / pace

    def loudness(self) -> float:
        return float(np.sqrt(np.mean(np.concatenate(self.heard[-100:]).astype(float) ** 2)))


def test_the_voice_plays_at_the_target_from_its_start() -> None:
    line = Line()
    line.play(3.0, 100.0)
    assert np.abs(line.errors[10:]).max() < 3.0
    assert line.buffer.concealed_ms == 0
    assert line.clock.heard_ms(line.now_ms) == pytest.approx(line.now_ms - 110.0 - MARGIN_MS, abs=4)
    assert line.loudness() > 1000


def test_a_longer_path_is_followed_without_a_long_silence() -> None:
    line = Line()
    line.play(3.0, 80.0)
    line.play(3.0, 230.0)
    assert np.abs(line.errors[-20:]).max() < 12.0
    assert line.buffer.concealed_ms < 600
    line.buffer.concealed_ms = 0
    line.play(2.0, 230.0)
    assert line.buffer.concealed_ms == 0


def test_a_voice_that_is_a_little_ahead_soon_waits_for_the_picture() -> None:
    line = Line()
    line.play(3.0, 100.0)
    line.play(1.0, 145.0)
    assert np.abs(line.errors[-20:]).max() < 13.0
    assert line.loudness() > 1000


def test_a_shorter_path_is_caught_up_by_leaving_out_periods() -> None:
    line = Line()
    line.play(3.0, 250.0)
    line.play(22.0, 80.0)
    assert line.clock.heard_ms(line.now_ms) == pytest.approx(line.now_ms - 90.0 - MARGIN_MS, abs=35)
    assert line.buffer.concealed_ms == 0


@pytest.mark.parametrize("pace", [0.998, 1.002])
def test_a_sound_card_that_runs_off_is_held(pace: float) -> None:
    line = Line()
    line.play(20.0, 100.0, pace)
    assert np.abs(line.errors[10:]).max() < 10.0
    assert line.buffer.concealed_ms <= 60


def test_before_anything_arrives_there_is_silence() -> None:
    line = Line()
    assert not line.player.chunk(0.0).any()
