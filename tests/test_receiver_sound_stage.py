"""Voice packets to speaker and recordings."""

from __future__ import annotations

from typing import Any

import numpy as np

from avcall.common.stats import Stats
from avcall.common.wire import VoicePacket
from avcall.receiver.opus_decoder import Samples
from avcall.receiver.playout import PlayoutClock
from avcall.receiver.renderers import ShownFrame
from avcall.receiver.sound_stage import SoundStage
from avcall.receiver.speaker import SilentSpeaker
from tests.test_receiver_opus_decoder import encode, speechlike

PACKETS = encode(speechlike(2.0))


class Ear(SilentSpeaker):
    def __init__(self) -> None:
        super().__init__()
        self.played: list[Samples] = []

    def write(self, samples: Samples) -> None:
        super().write(samples)
        self.played.append(samples)


class Tape:
    def __init__(self) -> None:
        self.heard: list[tuple[Samples, float]] = []

    def show(self, frame: ShownFrame) -> None: ...

    def hear(self, samples: Samples, heard_ms: float) -> None:
        self.heard.append((samples, heard_ms))

    def close(self) -> None: ...


def stage() -> tuple[SoundStage, Ear, Tape, Stats, PlayoutClock]:
    ear, tape, stats, clock = Ear(), Tape(), Stats(), PlayoutClock()
    return SoundStage(clock, ear, [tape], stats), ear, tape, stats, clock


def talk(sound: SoundStage, **_: Any) -> None:
    for now_ms in range(0, 1900, 10):
        if now_ms % 60 == 0 and now_ms // 60 < len(PACKETS):
            i = now_ms // 60
            sound.take(VoicePacket(i, 0, PACKETS[i], talk_start=i == 0), now_ms - 80.0, float(now_ms))
        sound.fill(float(now_ms))


def test_the_voice_reaches_speaker_and_tape() -> None:
    sound, ear, tape, _, clock = stage()
    talk(sound)
    assert len(np.concatenate(ear.played)) == 16 * 1900
    assert np.abs(np.concatenate(ear.played)).max() > 3000
    assert [samples.tolist() for samples in ear.played] == [samples.tolist() for samples, _ in tape.heard]
    assert [at_ms for _, at_ms in tape.heard] == [10.0 * i for i in range(190)]
    assert clock.voice_leads(1900.0)
    assert sound.counters()["voice_concealed_ms"] == 0


def test_switched_off_it_is_still_recorded() -> None:
    sound, ear, tape, _, _ = stage()
    sound.off = True
    talk(sound)
    assert not np.concatenate(ear.played).any()
    assert np.abs(np.concatenate([samples for samples, _ in tape.heard])).max() > 3000


def test_what_is_not_opus_is_counted() -> None:
    sound, _, _, stats, clock = stage()
    sound.take(VoicePacket(0, 0, b"\xff\xff"), 0.0, 0.0)
    assert stats.counters["packets_malformed"] == 1
    assert not clock.running
