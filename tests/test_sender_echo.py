"""The echo of the other end: a sound card, a room and a microphone that are made up, and the real canceller."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from avcall.cli.calling import without_echo
from avcall.common.errors import DeviceError
from avcall.common.frames import SAMPLE_RATE, AudioChunk
from avcall.receiver.speaker import STOCK_MS, SilentSpeaker, SoundCardSpeaker
from avcall.sender.echo import DELAY_MS, LEAD_MS, EchoCancelled, EchoCanceller, PlayedSound, Samples
from avcall.sender.microphone import CHUNK_SAMPLES, Microphone
from avcall.sender.voice import VoiceEncoder
from tests.test_receiver_speaker import Driver

CARD_LATENCY_MS = 20


def voice(seconds: float, seed: int, level: float = 3000.0) -> Samples:
    """Noise with a voice's spectrum and syllables."""
    random = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE)
    hz = np.fft.rfftfreq(count, 1.0 / SAMPLE_RATE)
    spectrum = np.where((hz > 200.0) & (hz < 4000.0), 1.0 / np.maximum(hz, 500.0), 0.0)
    noise = np.fft.irfft(np.fft.rfft(random.normal(size=count)) * spectrum, count)
    syllables = np.repeat(random.uniform(0.0, 1.0, count // 3200 + 1) ** 2, 3200)[:count]
    sound = noise * np.convolve(syllables, np.ones(800) / 800, "same")
    return np.asarray(np.clip(level * sound / np.sqrt(np.mean(sound**2)), -32768, 32767), np.int16)


def room(sound: Samples, seed: int = 5) -> np.ndarray:
    """What comes back of it, half as loud, within 0.2 s."""
    taps = SAMPLE_RATE // 5
    echoes = np.random.default_rng(seed).normal(size=taps) * 10.0 ** (-3.0 * np.arange(taps) / taps)
    return 0.5 * np.convolve(sound.astype(float), echoes / np.sqrt(np.sum(echoes**2)))[: len(sound)]


def level_db(samples: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean(np.square(samples.astype(float) / 32768.0)) + 1e-12))


class Nothing:
    """A microphone that hears nothing, and is pulled out."""

    dropped = 3

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        yield AudioChunk(np.zeros(CHUNK_SAMPLES, np.int16), 1000.0)
        raise DeviceError("gone")


def call(
    monkeypatch: pytest.MonkeyPatch, far: Samples, near: Samples, *, wrong_ms: float = 0.0, lost_ms: int = 0
) -> tuple[np.ndarray, Samples]:
    """What a microphone hears beside a speaker that plays `far`, and what is left of it: see `left_of`."""
    heard, chunks = left_of(monkeypatch, far, near, wrong_ms=wrong_ms, lost_ms=lost_ms)
    return heard, np.concatenate([chunk.samples for chunk in chunks])


def left_of(
    monkeypatch: pytest.MonkeyPatch, far: Samples, near: Samples, *, wrong_ms: float = 0.0, lost_ms: int = 0
) -> tuple[np.ndarray, list[AudioChunk]]:
    """The same in chunks. The card is `wrong_ms` later than it says; in the middle its driver plays nothing for
    `lost_ms`."""
    driver = Driver()
    monkeypatch.setitem(sys.modules, "sounddevice", driver)
    speaker, played = SoundCardSpeaker(), PlayedSound()
    assert driver.stream is not None
    canceller = EchoCanceller(played)
    heard_from_ms, written = 1000.0, 0
    out = np.zeros(len(far) + SAMPLE_RATE, np.int16)
    # the speaker, every 10 ms: the call fills it, the driver takes a block that is heard a latency later
    for now_ms in range(1000, 1000 + len(far) * 1000 // SAMPLE_RATE, 10):
        while speaker.wanted(now_ms) >= 160 and written + 160 <= len(far):
            played.play(far[written : written + 160], speaker.heard_ms(now_ms))
            speaker.write(far[written : written + 160])
            written += 160
        if lost_ms and 0 <= now_ms - 1000 - len(far) * 500 // SAMPLE_RATE < lost_ms:
            continue
        at = round((now_ms - heard_from_ms + CARD_LATENCY_MS + wrong_ms) * SAMPLE_RATE / 1000)
        block = driver.stream.take(160)
        if at >= 0:
            out[at : at + 160] = block
    heard = np.clip(room(out)[: len(near)] + near + np.random.default_rng(1).normal(size=len(near)), -32768, 32767)
    chunks = [
        canceller.cancel(AudioChunk(heard[at : at + CHUNK_SAMPLES].astype(np.int16), 1000.0 + at * 1000 / SAMPLE_RATE))
        for at in range(0, len(near) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES)
    ]
    return heard, chunks


@pytest.mark.parametrize("wrong_ms", [-30.0, 0.0, 60.0])
def test_the_other_end_does_not_hear_itself(monkeypatch: pytest.MonkeyPatch, wrong_ms: float) -> None:
    far = voice(8.0, 1)
    heard, left = call(monkeypatch, far, np.zeros(len(far), np.int16), wrong_ms=wrong_ms)
    last = slice(4 * SAMPLE_RATE, len(left))
    assert level_db(heard[last]) > -32.0
    assert level_db(heard[last]) - level_db(left[last]) > 20.0


def test_a_speaker_that_stalls_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    far = voice(10.0, 1)
    heard, left = call(monkeypatch, far, np.zeros(len(far), np.int16), lost_ms=200)
    last = slice(7 * SAMPLE_RATE, len(left))
    assert level_db(heard[last]) - level_db(left[last]) > 20.0


def test_a_voice_alone_passes_unchanged_but_for_eight_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    near = voice(6.0, 2)
    _, left = call(monkeypatch, np.zeros(len(near), np.int16), near)
    late = round(DELAY_MS * SAMPLE_RATE / 1000)
    whole = slice(SAMPLE_RATE, 5 * SAMPLE_RATE)
    matched = np.corrcoef(left[late:][whole], near[whole])[0, 1]
    assert matched > 0.9
    assert matched > np.corrcoef(left[late - 16 :][whole], near[whole])[0, 1]
    assert abs(level_db(left[late:][whole]) - level_db(near[whole])) < 1.0


def test_who_interrupts_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    far, near = voice(8.0, 1), voice(8.0, 2)
    near[: 4 * SAMPLE_RATE] = 0
    _, left = call(monkeypatch, far, near)
    late = round(DELAY_MS * SAMPLE_RATE / 1000)
    both = slice(4 * SAMPLE_RATE, 7 * SAMPLE_RATE)
    voices = np.stack([near[both], room(far)[both]]).astype(float)
    kept, echo = np.linalg.lstsq(voices.T, left[late:][both].astype(float), rcond=None)[0]
    assert kept > 0.2
    assert echo < 0.1 * kept


def test_who_listens_sends_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    far = voice(8.0, 1)
    _, chunks = left_of(monkeypatch, far, np.zeros(len(far), np.int16))
    sent = []
    for told in (chunks, [replace(chunk, echo=False) for chunk in chunks]):
        encoder = VoiceEncoder(8.0, 60)
        packets = [packet for chunk in told for packet in encoder.encode(chunk)]
        sent.append(sum(packet.capture_ms > 5000.0 for packet in packets) * 60 / 4000)
    assert sent[0] < 0.2
    assert sent[1] > 0.4, "the level alone does not tell"


def test_an_own_voice_that_the_canceller_leaves_is_not_taken_for_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    far, near = voice(8.0, 1), voice(8.0, 2)
    heard, chunks = left_of(monkeypatch, far, near)
    left = []
    for number, chunk in enumerate(chunks):
        part = slice(number * CHUNK_SAMPLES, (number + 1) * CHUNK_SAMPLES)
        own_db = level_db(near[part])
        if own_db > level_db(heard[part]) - 6.0 and level_db(chunk.samples) > own_db - 6.0:
            left.append(chunk.echo)
    assert len(left) > 150
    assert not any(left)
    assert np.mean([chunk.echo for chunk in chunks]) > 0.2, "between its words the other end is"


def test_what_is_played_stands_at_its_time() -> None:
    played = PlayedSound()
    assert not played.at(900.0, 320).any()
    played.play(np.full(320, 1, np.int16), 1000.0)
    played.play(np.full(320, 2, np.int16), 1021.0)  # a clock that wanders by a millisecond
    played.play(np.full(320, 3, np.int16), 1140.0)  # 100 ms of nothing
    assert played.at(1000.0, 640).tolist() == [1] * 320 + [2] * 320
    assert played.at(1039.0, 320).tolist() == [0] * 320
    assert played.at(1130.0, 480).tolist() == [0] * 160 + [3] * 320
    assert not played.at(1200.0, 320).any()
    played.play(np.full(320, 4, np.int16), 9000.0)
    assert not played.at(1000.0, 320).any()  # forgotten
    assert played.at(9000.0, 320).tolist() == [4] * 320
    assert not played.at(5500.0, 320).any()  # the ring holds nothing of an earlier round


def test_a_microphone_s_errors_and_drops_are_its_own() -> None:
    cancelled = EchoCancelled(Nothing(), PlayedSound())
    assert cancelled.dropped == 3

    async def listen() -> list[AudioChunk]:
        return [chunk async for chunk in cancelled.chunks()]

    with pytest.raises(DeviceError, match="gone"):
        asyncio.run(listen())


def test_only_a_microphone_beside_a_sound_card_has_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Driver())
    microphone, card = Microphone.__new__(Microphone), SoundCardSpeaker()
    cancelled, played = without_echo(microphone, card)
    assert isinstance(cancelled, EchoCancelled)
    assert played is not None
    assert without_echo(microphone, SilentSpeaker()) == (microphone, None)
    assert without_echo(None, card) == (None, None)
    file = Nothing()
    assert without_echo(file, card) == (file, None)


def test_the_reference_is_written_before_it_is_asked_for() -> None:
    assert LEAD_MS < STOCK_MS
