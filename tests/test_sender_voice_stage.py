"""Sound is coded in one go when the executor was busy, and none of it is lost."""

from __future__ import annotations

import asyncio
import logging

import pytest

from avcall.bench.virtual_time import VirtualTimeLoop, run
from avcall.common.errors import DeviceError
from avcall.common.stats import Stats
from avcall.common.wire import VoicePacket
from avcall.sender.voice import VoiceEncoder
from avcall.sender.voice_stage import LONGEST_WAIT_CHUNKS, VoiceStage, Work
from tests.sender_fakes import Hum


def play(count: int, busy_ms: float, error: DeviceError | None = None) -> tuple[list[VoicePacket], int, Stats]:
    """The packets of `count` chunks where each job waits `busy_ms` for the executor; also the number of jobs."""

    async def main(loop: VirtualTimeLoop) -> tuple[list[VoicePacket], int, Stats]:
        packets: list[VoicePacket] = []
        jobs: list[int] = []
        stats = Stats()

        async def compute(work: Work) -> tuple[list[VoicePacket], float]:
            await asyncio.sleep(busy_ms / 1000)
            result = work()
            jobs.append(len(result))
            return result, 1.0

        def send(packet: VoicePacket, duration_ms: float) -> None:
            assert duration_ms == 60.0
            packets.append(packet)

        stage = VoiceStage(Hum(count, loop.now_ms, error), VoiceEncoder(8.0, 60), compute, send, stats)
        await stage.run()
        return packets, len(jobs), stats

    return run(main)


def test_an_idle_executor_codes_chunk_by_chunk() -> None:
    packets, jobs, stats = play(30, 1.0)
    assert len(packets) == 10
    assert jobs == 30
    assert stats.counters["sound_chunks_dropped"] == 0


def test_a_busy_executor_loses_no_sound() -> None:
    packets, jobs, stats = play(300, 200.0)
    assert [packet.sequence for packet in packets] == list(range(100))
    assert sum(packet.talk_start for packet in packets) == 1
    assert jobs < 40
    assert stats.counters["sound_chunks_dropped"] == 0


def test_a_stuck_executor_does_not_fill_the_memory() -> None:
    packets, _, stats = play(600, 5_000.0)
    assert stats.counters["sound_chunks_dropped"] >= 200
    assert len(packets) <= (1 + 3 * LONGEST_WAIT_CHUNKS) / 3


def test_a_device_that_fails_ends_the_sound_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    packets, _, _ = play(30, 50.0, DeviceError("the microphone stopped"))
    assert len(packets) == 10
    assert caplog.messages == ["the call goes on without sound: the microphone stopped"]
