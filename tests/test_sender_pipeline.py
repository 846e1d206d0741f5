"""The whole sender on virtual time, against a receiver of forty lines."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from avcall.bench.memory_link import MemoryLink, Path, pair
from avcall.bench.virtual_time import InlineExecutor, LateExecutor, VirtualTimeLoop, run
from avcall.common import control, wire
from avcall.common.config import SendConfig
from avcall.common.control import Mute, PivotRequest
from avcall.common.errors import AvcallError, DeviceError, InputError
from avcall.common.keypoints import CHIN, NOSE, Image
from avcall.common.link import Channel, LinkClosed
from avcall.common.stats import Stats
from avcall.common.wire import KeypointPacket, PivotAck, PivotBody, PivotSlice, VoicePacket
from avcall.models.pivot_video import ChainDecoder
from avcall.sender.pipeline import Sender
from tests.sender_fakes import BlobMesh, Face, Hum, MeshPoints, PaintedVideo

LOSSY = (False, True, False, False, True)


class Notes:
    """A Trace that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.pictures: list[dict[str, Any]] = []

    def event(self, kind: str, **values: object) -> None:
        self.events.append((kind, values))

    def picture(self, image: Image, **values: object) -> None:
        self.pictures.append({"shape": image.shape, **values})

    def reasons(self) -> list[str]:
        return [values["reason"] for kind, values in self.events if kind == "pivot"]


@dataclass
class Heard:
    """What came out of the link at the other end."""

    poses: list[tuple[float, KeypointPacket]] = field(default_factory=list)
    voice: list[VoicePacket] = field(default_factory=list)
    voice_ms: list[float] = field(default_factory=list)
    """When each packet of voice came."""
    slices: dict[int, dict[int, PivotSlice]] = field(default_factory=dict)
    pivots: dict[int, PivotBody] = field(default_factory=dict)
    acknowledged_ms: dict[int, float] = field(default_factory=dict)
    control: list[control.Message] = field(default_factory=list)

    def take(self, data: bytes, link: MemoryLink, now_ms: float, answer: bool) -> None:
        packet = wire.parse(data)
        if isinstance(packet, KeypointPacket):
            self.poses.append((now_ms, packet))
        elif isinstance(packet, VoicePacket):
            self.voice.append(packet)
            self.voice_ms.append(now_ms)
        elif isinstance(packet, PivotSlice):
            parts = self.slices.setdefault(packet.pivot_id, {})
            parts[packet.index] = packet
            if len(parts) == packet.count:
                body = b"".join(parts[index].data for index in range(packet.count))
                self.pivots.setdefault(packet.pivot_id, wire.parse_pivot(body))
            if answer:
                link.send(Channel.MEDIA, wire.pack(PivotAck(packet.pivot_id, frozenset(parts))))


@dataclass
class Call:
    heard: Heard
    stats: Stats
    notes: Notes
    sender: Sender


def call(
    face: Callable[[int], Face] = lambda number: (128, 128, 120),
    frames: int = 50,
    *,
    size: tuple[int, int] = (256, 256),
    there: Path | None = None,
    back: Path | None = None,
    chunks: int = 0,
    video_error: AvcallError | None = None,
    sound_error: AvcallError | None = None,
    answer: bool = True,
    at_ms: dict[float, Callable[[Sender, float], None]] | None = None,
    stop_ms: float | None = None,
    pivots_take_ms: float = 0.0,
    frames_take_ms: float = 0.0,
) -> Call:
    """Runs a sender to its end; `at_ms` are things that happen on the way."""

    async def main(loop: VirtualTimeLoop) -> Call:
        near, far = pair(there, back)
        begin_ms = loop.now_ms()
        heard, stats, notes = Heard(), Stats(), Notes()
        sender = Sender(
            SendConfig(room="test", wire="thesis"),
            source=PaintedVideo(frames, face, loop.now_ms, size, video_error),
            microphone=Hum(chunks, loop.now_ms, sound_error) if chunks else None,
            detector=MeshPoints(),
            link=near,
            clock=loop.now_ms,
            executor=LateExecutor(loop, frames_take_ms) if frames_take_ms else InlineExecutor(),
            pivot_executor=LateExecutor(loop, pivots_take_ms),
            voice_executor=InlineExecutor(),
            stats=stats,
            trace=notes,
            make_mesh=BlobMesh,
        )

        async def receive_far() -> None:
            while True:
                channel, data = await far.receive()
                if channel is Channel.CONTROL:
                    heard.control.append(control.parse(data))
                else:
                    heard.take(data, far, loop.now_ms() - begin_ms, answer)

        async def receive_near() -> None:
            while True:
                _, data = await near.receive()
                sender.on_packet(wire.parse(data), len(data), loop.now_ms())

        def happen(action: Callable[[Sender, float], None]) -> None:
            action(sender, loop.now_ms())

        for delay_ms, action in (at_ms or {}).items():
            loop.call_later(delay_ms / 1000, happen, action)
        receivers = [asyncio.create_task(receive_far()), asyncio.create_task(receive_near())]
        try:
            async with asyncio.timeout(None if stop_ms is None else stop_ms / 1000):
                await sender.run()
        except TimeoutError:
            assert stop_ms is not None
        finally:
            await asyncio.sleep(0.2)
            near.cut()
            far.cut()
            await asyncio.gather(*receivers, return_exceptions=True)
        return Call(heard, stats, notes, sender)

    return run(main)


def test_a_plain_call() -> None:
    done = call(frames=50, chunks=100)
    assert len(done.heard.poses) == 50
    assert [packet.sequence for _, packet in done.heard.poses] == list(range(50))
    assert set(np.diff([packet.capture_ms for _, packet in done.heard.poses])) == {40}
    assert done.notes.reasons() == ["start"]
    body = done.heard.pivots[0]
    assert ChainDecoder(256, 256).decode(body.picture).shape == (256, 256, 3)
    assert np.allclose(body.keypoints, done.heard.poses[0][1].keypoints, atol=1e-4)
    assert len(done.heard.voice) == 33
    assert done.sender.face_seen
    assert [picture["pivot_id"] for picture in done.notes.pictures] == [0] * 50
    assert done.notes.pictures[0]["shape"] == (256, 256, 3)
    assert done.stats.payload_bytes["keypoints"] == 50 * 90
    assert done.stats.payload_bytes["voice"] > 0
    assert set(done.stats.stage_ms()) == {"capture", "track", "detect", "pivot_encode", "voice_encode"}
    assert done.stats.counters["frames_captured"] == done.stats.counters["frames_sent"] == 50


def test_no_frame_waits_while_a_pivot_is_coded() -> None:
    done = call(frames=400, pivots_take_ms=700.0)
    assert done.notes.reasons() == ["start", "age"]
    assert done.stats.counters["frames_captured"] == done.stats.counters["frames_sent"] == 400
    pivots = [pose.pivot_id for _, pose in done.heard.poses]
    assert pivots == sorted(pivots)
    assert set(pivots) == {0, 1}
    sent_ms = [at_ms for at_ms, _ in done.heard.poses]
    assert sent_ms[0] >= 700.0  # nothing can be shown before there is a first pivot
    steady = [later - sooner for sooner, later in itertools.pairwise(sent_ms) if sooner > 2000.0]
    assert max(steady) < 50.0


def test_no_word_waits_while_a_frame_is_analysed() -> None:
    quick, slow = (call(frames=50, chunks=100, frames_take_ms=ms).heard.voice_ms for ms in (0.0, 250.0))
    assert len(slow) == len(quick) == 33
    assert np.diff(slow) == pytest.approx(np.diff(quick), abs=1.0)


def test_pivots_arrive_through_heavy_loss() -> None:
    done = call(frames=400, there=Path(losses=LOSSY), back=Path(losses=LOSSY[::-1]))
    assert done.notes.reasons() == ["start", "age"]
    assert set(done.heard.pivots) == {0, 1}


def test_frames_refer_only_to_acknowledged_pivots() -> None:
    """The head walks from one place to another: a new crop, whose pivot is used once its acknowledgement is back."""
    done = call(
        lambda number: (400 if number < 50 else 505, 360, 150),
        frames=150,
        size=(1280, 720),
        there=Path(delay_ms=150, losses=LOSSY),
        back=Path(delay_ms=150),
    )
    assert done.notes.reasons() == ["start", "crop"]
    acknowledged_ms = {
        values["pivot_id"]: values["now_ms"]
        for kind, values in reversed(done.notes.events)
        if kind == "pivot_acknowledged"
    }
    uses = [(picture["capture_ms"], picture["pivot_id"]) for picture in done.notes.pictures]
    assert [pivot for _, pivot in uses] == sorted(pivot for _, pivot in uses)
    switched_ms = next(capture_ms for capture_ms, pivot in uses if pivot == 1)
    assert acknowledged_ms[1] <= switched_ms <= acknowledged_ms[1] + 40
    noses = [(packet.pivot_id, packet.keypoints[NOSE, 0]) for _, packet in done.heard.poses]
    assert max(x for pivot, x in noses if pivot == 0) > 0.6  # at the edge of the old crop, which is still in use
    assert noses[-1] == (1, pytest.approx(0.0, abs=0.05))


def test_a_head_far_outside_the_old_crop_sends_nothing_rather_than_nonsense() -> None:
    done = call(lambda number: (200 if number < 25 else 1100, 360, 100), frames=60, size=(1280, 720))
    assert done.stats.counters["frames_outside"] >= 5
    assert len(done.heard.poses) == 60 - done.stats.counters["frames_outside"]
    assert done.heard.poses[-1][1].pivot_id == 1


def test_a_receiver_that_never_answers_still_gets_poses() -> None:
    done = call(frames=100, answer=False)
    assert len(done.heard.poses) == 100
    assert {packet.pivot_id for _, packet in done.heard.poses} == {0}
    assert 0 in done.heard.pivots


def test_a_lost_face_is_held_and_comes_back_with_a_fresh_pivot() -> None:
    done = call(lambda number: None if 25 <= number < 75 else (128, 128, 120), frames=125)
    held = [packet for _, packet in done.heard.poses if packet.face_lost]
    assert 9 <= len(held) <= 10
    alive = [packet for _, packet in done.heard.poses if not packet.face_lost]
    assert np.array_equal(held[0].keypoints, alive[24].keypoints)
    assert done.notes.reasons() == ["start", "face_return"]
    assert len(done.notes.pictures) == len(alive) == 75
    assert done.stats.counters["frames_without_face"] == 50


def test_no_face_at_all_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    done = call(lambda number: None, frames=200)
    assert done.heard.poses == []
    assert not done.sender.face_seen
    assert [record.message for record in caplog.records] == [
        "no face in the picture: face the camera, come nearer, and put light on the face"
    ]


def test_a_request_brings_a_pivot_at_once() -> None:
    done = call(frames=100, at_ms={2000.0: lambda sender, now_ms: sender.on_message(PivotRequest(), now_ms)})
    assert done.notes.reasons() == ["start", "request"]
    assert done.stats.counters["pivot_requests"] == 1
    assert done.heard.pivots[1].capture_ms - done.heard.pivots[0].capture_ms in (2000, 2040)


def test_a_request_while_a_pivot_is_on_its_way_brings_no_other_one() -> None:
    def thin(sender: Sender, now_ms: float) -> None:
        sender.set_pivot_budget(0.5, slice_bytes=40)

    def ask(sender: Sender, now_ms: float) -> None:
        sender.on_message(PivotRequest(), now_ms)

    done = call(frames=50, at_ms={0.0: thin, 500.0: ask, 1000.0: ask})
    assert done.stats.counters["pivot_requests"] == 2
    assert done.notes.reasons() == ["start"]
    assert 0 < len(done.heard.slices[0]) < next(iter(done.heard.slices[0].values())).count


def test_mute_stops_picture_and_sound_and_is_told() -> None:
    done = call(
        frames=100,
        chunks=200,
        at_ms={
            1000.0: lambda sender, now_ms: sender.set_muted(voice=True, video=True),
            3000.0: lambda sender, now_ms: sender.set_muted(voice=False, video=False),
        },
    )
    assert done.heard.control == [Mute(voice=True, video=True), Mute(voice=False, video=False)]
    arrivals = [time for time, _ in done.heard.poses]
    assert not [time for time in arrivals if 1060 < time < 3000]
    assert len(arrivals) == pytest.approx(50, abs=2)
    assert len(done.heard.voice) == pytest.approx(33, abs=2)
    assert sum(packet.talk_start for packet in done.heard.voice) == 2
    assert done.notes.reasons() == ["start", "request"]
    assert done.stats.payload_bytes["control"] > 0


def test_mouth_and_head_arrive_as_they_moved() -> None:
    done = call(lambda number: (128 + 20 * np.sin(number / 8), 128, 120), frames=100)
    sent = np.array([packet.keypoints[CHIN, 0] for _, packet in done.heard.poses])
    truth = np.array([20 * np.sin(number / 8) / 127.5 for number in range(100)])
    assert np.abs(sent - truth).max() < 0.03


@pytest.mark.parametrize(
    "error", [InputError("--video a.mp4 broke"), DeviceError("--camera 0 stopped giving pictures")]
)
def test_an_error_of_the_source_ends_the_call_as_itself(error: AvcallError) -> None:
    with pytest.raises(type(error), match=str(error)):
        call(frames=10, chunks=100, video_error=error)


def test_a_microphone_that_dies_does_not_end_the_call(caplog: pytest.LogCaptureFixture) -> None:
    done = call(frames=50, chunks=30, sound_error=DeviceError("the microphone stopped"))
    assert len(done.heard.poses) == 50
    assert "the call goes on without sound: the microphone stopped" in caplog.text


def test_cancelling_leaves_nothing_behind() -> None:
    done = call(frames=10_000, chunks=20_000, stop_ms=2000.0)
    assert len(done.heard.poses) == pytest.approx(50, abs=2)  # `run` itself fails if a task is left


def test_packets_for_the_other_end_are_ignored() -> None:
    def stray(sender: Sender, now_ms: float) -> None:
        sender.on_packet(VoicePacket(0, 0, b"x"), 9, now_ms)
        sender.on_packet(PivotAck(77, frozenset({0})), 8, now_ms)
        sender.on_message(Mute(voice=True, video=True), now_ms)

    done = call(frames=50, at_ms={500.0: stray})
    assert len(done.heard.poses) == 50
    assert done.notes.reasons() == ["start"]


def test_sending_into_a_closed_link_is_harmless() -> None:
    async def main(loop: VirtualTimeLoop) -> int:
        near, far = pair()
        stats = Stats()
        sender = Sender(
            SendConfig(room="test", wire="thesis"),
            source=PaintedVideo(20, lambda number: (128, 128, 120), loop.now_ms),
            microphone=None,
            detector=MeshPoints(),
            link=near,
            clock=loop.now_ms,
            executor=InlineExecutor(),
            pivot_executor=InlineExecutor(),
            voice_executor=InlineExecutor(),
            stats=stats,
            trace=Notes(),
            make_mesh=BlobMesh,
        )
        near.cut()
        await sender.run()
        with pytest.raises(LinkClosed):
            await near.receive()
        far.cut()
        return stats.counters["frames_captured"]

    assert run(main) == 20


def test_a_busy_machine_sends_every_second_frame() -> None:
    there_is_time = call(frames=150, frames_take_ms=15.0)
    busy = call(frames=150, frames_take_ms=45.0)
    assert len(there_is_time.heard.poses) >= 145
    assert not [kind for kind, _ in there_is_time.notes.events if kind == "frame_rate"]
    assert [values for kind, values in busy.notes.events if kind == "frame_rate"] == [{"every": 2}]
    captured = [packet.capture_ms for _, packet in busy.heard.poses]
    assert 60 < len(captured) < 120
    assert {round(after - before) for before, after in itertools.pairwise(captured[-30:])} == {80}
