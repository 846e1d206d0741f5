"""Whole calls on virtual time: a real sender, session and receiver; only face, camera and network are made up.

The made-up reenactor writes the nose's x into its picture, so what is shown can be compared with what was sent.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from avcall.common import wire
from avcall.common.config import ReceiveConfig, SendConfig
from avcall.common.control import Hello
from avcall.common.errors import CallError, ModelMismatchError
from avcall.common.frames import SAMPLE_RATE, AudioChunk, VideoFrame
from avcall.common.keypoints import MESH_INDICES, NOSE, Image, Keypoints, Landmarks
from avcall.common.link import Channel
from avcall.common.pivot_format import join_slices
from avcall.common.stats import Stats
from avcall.models.interfaces import ModelId
from avcall.models.twins import BicubicSuperResolver, IdentityEnhancer
from avcall.receiver.bundles import frames
from avcall.receiver.pipeline import Receiver
from avcall.receiver.speaker import SilentSpeaker
from avcall.sender.pipeline import Sender
from avcall.signaling.session import Session, handshake
from tests.memory_link import MemoryLink, Path, pair
from tests.virtual_time import InlineExecutor, VirtualTimeLoop, run

MODEL = ModelId("fake", "00000000")
SIZE = 64


class SwayingFace:
    """A mesh whose nose sways with the number that is painted into the frame (0: nobody there)."""

    def __init__(self) -> None:
        angles = np.linspace(0, 2 * np.pi, 468)
        self._face = np.stack([0.4 * np.cos(angles), 0.5 * np.sin(angles), 0 * angles], axis=1).astype(np.float32)

    def find(self, image: Image) -> Landmarks | None:
        number = int(image[0, 0, 0])
        if number == 0:
            return None
        points = self._face.copy()
        points[MESH_INDICES[NOSE], 0] = 0.3 * np.sin(2 * np.pi * number / 50)
        return points

    def reset(self) -> None: ...

    def close(self) -> None: ...


class TenPoints:
    model = MODEL

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        return np.ascontiguousarray(landmarks[list(MESH_INDICES), :2])


class NoseWriter:
    """A reenactor whose picture says where the nose is, in 16 bits."""

    model = MODEL
    device = "cpu"

    def encode(self, pivot: Image, keypoints: Keypoints) -> Image:
        return pivot

    def drive(self, encoded: object, keypoints: Keypoints) -> Image:
        assert isinstance(encoded, np.ndarray)
        image = encoded.copy()
        image[0, 0, :2] = divmod(round((float(keypoints[NOSE, 0]) + 1) * 30_000), 256)
        return image


def nose_x(image: Image) -> float:
    return (int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])) / 30_000 - 1


@dataclass
class Camera:
    """25 frames a second; in `away` (seconds from, to) there is nobody in the picture."""

    loop: VirtualTimeLoop
    seconds: float
    away: tuple[float, float] = (0.0, 0.0)
    dropped: int = 0

    async def frames(self) -> AsyncIterator[VideoFrame]:
        start_s = self.loop.time()
        for index in range(round(self.seconds * 25)):
            await asyncio.sleep(max(0.0, start_s + index / 25 - self.loop.time()))
            here = not self.away[0] <= index / 25 < self.away[1]
            image = np.full((SIZE, SIZE, 3), index % 200 + 1 if here else 0, dtype=np.uint8)
            yield VideoFrame(image, self.loop.now_ms())


@dataclass
class Voice:
    """A tone of a syllable's rhythm, in chunks of 20 ms."""

    loop: VirtualTimeLoop
    dropped: int = 0

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        start_s = self.loop.time()
        step = SAMPLE_RATE // 50
        for index in range(100_000):
            await asyncio.sleep(max(0.0, start_s + (index + 1) / 50 - self.loop.time()))
            time_s = (np.arange(step) + index * step) / SAMPLE_RATE
            tone = np.sin(2 * np.pi * 300 * time_s) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s))
            yield AudioChunk((8000 * tone).astype(np.int16), (start_s + index / 50) * 1000)


@dataclass
class Log:
    """A trace in memory."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pictures: list[tuple[Image, dict[str, Any]]] = field(default_factory=list)

    def event(self, kind: str, **values: object) -> None:
        self.events.append((kind, values))

    def picture(self, image: Image, **values: object) -> None:
        self.pictures.append((image.copy(), values))


@dataclass
class Outcome:
    """What a call left behind."""

    reason: str
    summary: dict[str, Any]
    shown: list[tuple[Image, dict[str, Any]]]
    sent: dict[int, float]
    """Capture time in ms to the nose's x of every keypoint packet that was sent."""
    sender: Stats
    receiver: Stats
    there: MemoryLink
    back: MemoryLink
    sender_log: Log


def hello(*, sends: bool) -> Hello:
    return Hello(wire.VERSION, "test", MODEL.name, MODEL.weights, 10, SIZE, 25.0, sends, not sends, True)


async def call(
    loop: VirtualTimeLoop,
    there: Path,
    back: Path,
    *,
    seconds: float,
    away: tuple[float, float] = (0.0, 0.0),
    cut_after_s: float = 0.0,
    wire_kind: str = "thesis",
    span_ms: str = "120",
    every: int = 1,
) -> Outcome:
    """A call from the handshake to the bye."""
    a, b = pair(there, back)
    if cut_after_s:
        loop.call_later(cut_after_s, b.cut)
    hellos = await asyncio.gather(handshake(a, hello(sends=True)), handshake(b, hello(sends=False)))
    stats_a, stats_b, log_a, log_b = Stats(), Stats(), Log(), Log()
    clock, executor = loop.now_ms, InlineExecutor()
    sender = Sender(
        SendConfig(room="r", size=SIZE, pivot_max_age_s=5.0, wire=wire_kind, span_ms=span_ms, keypoints_every=every),
        source=Camera(loop, seconds, away),
        microphone=Voice(loop),
        detector=TenPoints(),
        link=a,
        clock=clock,
        executor=executor,
        stats=stats_a,
        trace=log_a,
        make_mesh=SwayingFace,
    )
    receiver = Receiver(
        ReceiveConfig(room="r", window=False),
        reenactor=NoseWriter(),
        upscaler=BicubicSuperResolver(),
        enhancer=IdentityEnhancer(),
        renderers=[],
        speaker=SilentSpeaker(),
        link=b,
        clock=clock,
        executor=executor,
        pivot_executor=executor,
        stats=stats_b,
        trace=log_b,
    )
    sessions = Session(a, hellos[0], clock, stats_a), Session(b, hellos[1], clock, stats_b)

    async def send() -> None:
        pumping = asyncio.create_task(sessions[0].pump([sender]), name="pump-sender")
        await sender.run()
        await sessions[0].bye("the file has ended")
        await pumping

    async def receive() -> str:
        showing = asyncio.create_task(receiver.run(), name="receiver")
        try:
            return await sessions[1].pump([receiver])
        finally:
            receiver.stop()
            await showing

    async with asyncio.TaskGroup() as group:
        sending, receiving = group.create_task(send()), group.create_task(receive())
    assert sending.done()
    sent = dict(noses(a))
    summary = receiver.summary(clock(), sessions[1].offset.offset_ms)
    return Outcome(receiving.result(), summary, log_b.pictures, sent, stats_a, stats_b, a, b, log_a)


def noses(link: MemoryLink) -> Iterator[tuple[int, float]]:
    """Capture time and nose of every frame that was sent, alone or in a bundle."""
    packets = [wire.parse(data) for _, channel, data in link.sent if channel is Channel.MEDIA]
    slices = [packet for packet in packets if isinstance(packet, wire.PivotSlice)]
    pivots = {}
    for pivot_id in {part.pivot_id for part in slices}:
        parts = {part.index: part.data for part in slices if part.pivot_id == pivot_id}
        head = next(part for part in slices if part.pivot_id == pivot_id)
        body = join_slices(parts, head.length, head.count)
        if body is not None:
            pivots[pivot_id] = wire.parse_pivot(body).keypoints
    for packet in packets:
        if isinstance(packet, wire.KeypointPacket):
            yield packet.capture_ms, float(packet.keypoints[NOSE, 0])
        elif isinstance(packet, wire.Bundle):
            for frame in frames(packet, pivots[packet.pivot_id]):
                yield frame.capture_ms, float(frame.keypoints[NOSE, 0])


def losses(share: float, seed: int = 7, count: int = 5000) -> list[bool]:
    rng = random.Random(seed)
    return [rng.random() < share for _ in range(count)]


def motion_error(outcome: Outcome) -> float:
    """Mean difference between the shown nose and the sent track at the time the picture claims to show."""
    times = np.array(sorted(outcome.sent))
    track = np.array([outcome.sent[time] for time in times])
    shown = [(v["capture_ms"], nose_x(image)) for image, v in outcome.shown if v["pose_kind"] != "held"]
    return float(np.mean([abs(x - np.interp(time, times, track)) for time, x in shown]))


def test_a_clean_call_shows_every_frame_in_time_and_in_sync() -> None:
    outcome = run(lambda loop: call(loop, Path(delay_ms=50), Path(delay_ms=50), seconds=20))
    assert outcome.reason == "the file has ended"
    assert outcome.sender.counters["frames_sent"] == 500
    assert outcome.summary["ticks_filled"] >= 0.98
    assert outcome.summary["freeze_longest_ms"] <= 120
    assert outcome.summary["latency_ms"]["p95"] <= 50 + 60 + 140  # the way, a packet of voice, play-out delay
    assert motion_error(outcome) < 0.004  # of 0.3 amplitude
    assert outcome.summary["av_skew_ms"]["p95_abs"] <= 40


def test_the_payload_is_that_of_the_thesis() -> None:
    outcome = run(lambda loop: call(loop, Path(), Path(), seconds=20))
    keypoints = outcome.sender.payload_bytes["keypoints"]
    assert keypoints == 90 * outcome.sender.counters["frames_sent"]
    assert 6_000 < outcome.sender.payload_bytes["voice"] * 8 / 20 < 11_000  # bit/s, 8,000 asked for
    assert outcome.receiver.payload_bytes["keypoints"] == keypoints


@pytest.mark.parametrize(("share", "filled", "freeze_ms"), [(0.1, 0.97, 400), (0.3, 0.90, 600)])
def test_losses_are_bridged(share: float, filled: float, freeze_ms: float) -> None:
    path = Path(delay_ms=50, losses=losses(share), jitter_ms=[0, 5, 15, 2, 20, 8])
    back = Path(delay_ms=50, losses=losses(share, seed=8))
    outcome = run(lambda loop: call(loop, path, back, seconds=30))
    assert outcome.summary["ticks_filled"] >= filled
    assert outcome.summary["freeze_longest_ms"] <= freeze_ms
    assert motion_error(outcome) < 0.03
    acknowledged = [values for kind, values in outcome.sender_log.events if kind == "pivot_acknowledged"]
    assert len(acknowledged) >= 4  # one every 5 s, whatever is lost


def test_bundles_show_every_frame_at_a_third_of_the_packets() -> None:
    clean = Path(delay_ms=50)
    thesis = run(lambda loop: call(loop, clean, Path(delay_ms=50), seconds=20))
    coded = run(lambda loop: call(loop, clean, Path(delay_ms=50), seconds=20, wire_kind="coded"))
    assert coded.sender.counters["frames_sent"] == 500
    assert coded.summary["counters"]["keypoints_received"] == 500
    assert coded.summary["ticks_filled"] >= 0.98
    assert coded.summary["freeze_longest_ms"] <= 120
    assert coded.summary["latency_ms"]["p95"] <= 250  # at a round trip of 100 ms
    assert coded.summary["av_skew_ms"]["p95_abs"] <= 40
    assert motion_error(coded) < 0.004
    assert len(coded.there.sent) < len(thesis.there.sent) / 3
    assert coded.sender.payload_bytes["keypoints"] < thesis.sender.payload_bytes["keypoints"] / 5
    for kind in ("keypoints", "voice"):
        assert coded.receiver.payload_bytes[kind] == coded.sender.payload_bytes[kind]
    assert not coded.receiver.counters["packets_malformed"]


@pytest.mark.parametrize("wire_kind", ["thesis", "coded"])
@pytest.mark.parametrize(("every", "sent"), [(2, 250), (3, 167)])
def test_keypoints_of_some_frames_show_all_of_them(every: int, sent: int, wire_kind: str) -> None:
    path = Path(delay_ms=50)
    outcome = run(lambda loop: call(loop, path, Path(delay_ms=50), seconds=20, wire_kind=wire_kind, every=every))
    changes = 2 * 4  # a pivot every 5 s, and up to two poses more at each change
    assert sent <= outcome.sender.counters["frames_sent"] <= sent + changes
    assert outcome.summary["counters"]["keypoints_lost"] == 0
    assert outcome.summary["ticks_filled"] >= 0.97
    assert outcome.summary["freeze_longest_ms"] <= 160
    assert outcome.summary["latency_ms"]["p95"] <= 350  # up to a gap more than with all
    assert outcome.summary["av_skew_ms"]["p95_abs"] <= 40
    assert motion_error(outcome) < 0.006
    kinds = [values["pose_kind"] for _, values in outcome.shown]
    assert kinds.count("interpolated") > (1 - 1 / every) * 0.8 * len(kinds)


@pytest.mark.parametrize(("share", "filled", "freeze_ms"), [(0.1, 0.985, 300), (0.3, 0.95, 500)])
def test_lost_bundles_are_bridged(share: float, filled: float, freeze_ms: float) -> None:
    path = Path(delay_ms=50, losses=losses(share), jitter_ms=[0, 5, 15, 2, 20, 8])
    back = Path(delay_ms=50, losses=losses(share, seed=8))
    outcome = run(lambda loop: call(loop, path, back, seconds=30, wire_kind="coded"))
    assert outcome.summary["ticks_filled"] >= filled
    assert outcome.summary["freeze_longest_ms"] <= freeze_ms
    assert motion_error(outcome) < 0.03
    acknowledged = [values for kind, values in outcome.sender_log.events if kind == "pivot_acknowledged"]
    assert len(acknowledged) >= 4


def test_bundles_wait_for_a_pivot_whose_slices_are_lost() -> None:
    path = Path(delay_ms=30, losses=[True] * 6 + [False] * 100_000)
    outcome = run(lambda loop: call(loop, path, Path(delay_ms=30), seconds=10, wire_kind="coded"))
    assert outcome.summary["time_to_first_face_ms"] < 2500
    assert outcome.summary["ticks_filled"] >= 0.95
    assert not outcome.receiver.counters["packets_malformed"]


def test_a_lost_face_is_held_with_bundles_too() -> None:
    outcome = run(lambda loop: call(loop, Path(), Path(), seconds=14, away=(4.0, 7.0), wire_kind="coded"))
    start_ms = min(outcome.sent)
    gone = [image for image, v in outcome.shown if 5000 < v["capture_ms"] - start_ms < 6800]
    assert gone
    assert len({nose_x(image) for image in gone}) == 1
    back = [v for _, v in outcome.shown if v["capture_ms"] - start_ms > 9000]
    assert sum(v["filled"] for v in back) >= 0.95 * len(back)


def test_reordering_does_not_show() -> None:
    path = Path(delay_ms=40, jitter_ms=[0, 90, 10, 0, 70, 30, 0])
    outcome = run(lambda loop: call(loop, path, Path(), seconds=20))
    times = [values["capture_ms"] for _, values in outcome.shown]
    assert times == sorted(times)
    assert outcome.summary["ticks_filled"] >= 0.97
    assert motion_error(outcome) < 0.01


def test_a_pivot_whose_slices_are_lost_is_sent_again() -> None:
    path = Path(delay_ms=30, losses=[True] * 12 + [False] * 100_000)
    outcome = run(lambda loop: call(loop, path, Path(delay_ms=30), seconds=10))
    assert outcome.summary["time_to_first_face_ms"] < 2500
    assert outcome.shown


def test_a_face_that_leaves_is_held_and_returns_with_a_fresh_pivot() -> None:
    outcome = run(lambda loop: call(loop, Path(), Path(), seconds=14, away=(4.0, 7.0)))
    pivots = [values for kind, values in outcome.sender_log.events if kind == "pivot"]
    assert "face_return" in [values["reason"] for values in pivots]
    start_ms = min(outcome.sent)
    gone = [image for image, v in outcome.shown if 5000 < v["capture_ms"] - start_ms < 6800]
    assert gone, "the last picture stays"
    assert len({nose_x(image) for image in gone}) == 1
    back = [v for _, v in outcome.shown if v["capture_ms"] - start_ms > 9000]
    assert sum(v["filled"] for v in back) >= 0.95 * len(back)


def test_a_peer_that_vanishes_ends_the_call_with_an_error_on_both_sides() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        run(lambda loop: call(loop, Path(), Path(), seconds=40, cut_after_s=10))
    messages = [str(error) for error in caught.value.exceptions]
    assert all(isinstance(error, CallError) for error in caught.value.exceptions)
    assert all("the peer is gone" in message for message in messages)


def test_other_weights_are_refused_at_both_ends() -> None:
    async def main(loop: VirtualTimeLoop) -> list[object]:
        a, b = pair()
        other = replace(hello(sends=False), weights="ffffffff")
        ends = await asyncio.gather(handshake(a, hello(sends=True)), handshake(b, other), return_exceptions=True)
        await a.close()
        return list(ends)

    for error in run(main):
        assert isinstance(error, ModelMismatchError | CallError)
        assert "ffffffff" in str(error) or "refused" in str(error)
