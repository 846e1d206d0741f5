"""Whole receivers on virtual time: a scripted sender, an in-memory network, a reenactor that can be read."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from avcall.bench import memory_link
from avcall.bench.memory_link import MemoryLink
from avcall.bench.virtual_time import LateExecutor, VirtualTimeLoop, run
from avcall.common import control, keypoint_coder, wire
from avcall.common.config import ReceiveConfig
from avcall.common.control import Bye, Mute, PivotRequest
from avcall.common.keypoints import Image, Keypoints
from avcall.common.link import Channel, LinkClosed
from avcall.common.stats import Stats
from avcall.common.wire import KeypointPacket, PivotBody, VoicePacket
from avcall.models.interfaces import Encoded, Enhancer, ModelId
from avcall.models.pivot_codec import encode_pivot
from avcall.models.twins import BicubicSuperResolver, IdentityEnhancer
from avcall.receiver.budget import FrameBudget, Version
from avcall.receiver.ladders import ENHANCE, EnhancerLadder
from avcall.receiver.pipeline import Receiver
from avcall.receiver.recorder import Recorder
from avcall.receiver.renderers import Renderer, ShownFrame
from avcall.receiver.speaker import SilentSpeaker
from tests.test_receiver_opus_decoder import encode as encode_speech
from tests.test_receiver_opus_decoder import speechlike
from tests.test_receiver_recorder import onsets, read, settle

SPEECH = encode_speech(speechlike(8.0), bit_rate=8_000)


class ReadableReenactor:
    """Draws a picture whose brightness says which pivot, and whose first pixel says which keypoints."""

    model = ModelId("readable", "00000000")
    device = "cpu"

    def __init__(self) -> None:
        self.encoded = 0
        self.fail = False

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        self.encoded += 1
        return pivot.mean()

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        if self.fail:
            raise FloatingPointError("nan")
        image = np.full((32, 32, 3), encoded, dtype=np.uint8)
        image[0, 0] = round(100 * float(keypoints[0, 0])) + 1
        return image


class NoseTrace:
    def __init__(self) -> None:
        self.pictures: list[dict[str, Any]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, kind: str, **values: object) -> None:
        self.events.append((kind, values))

    def picture(self, image: Image, **values: object) -> None:
        self.pictures.append({"image": image, **values})


class Gallery:
    """A renderer that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[ShownFrame] = []
        self.sound_ms = 0.0
        self.loudest = 0

    def show(self, frame: ShownFrame) -> None:
        self.frames.append(frame)

    def hear(self, samples: np.ndarray[Any, Any], heard_ms: float) -> None:
        self.sound_ms += len(samples) / 16
        self.loudest = max(self.loudest, int(np.abs(samples).max()))

    def close(self) -> None: ...


def keypoints(value: float) -> Keypoints:
    return np.full((10, 2), value, dtype=np.float32)


def pivot_slices(pivot_id: int, grey: int, capture_ms: float) -> list[bytes]:
    codec, data = encode_pivot(np.full((64, 64, 3), grey, np.uint8), 4000)
    body = PivotBody(codec, 64, 64, round(capture_ms) % 2**32, keypoints(0.0), data)
    return [wire.pack(part) for part in wire.slice_pivot(pivot_id, body)]


@dataclass
class Call:
    loop: VirtualTimeLoop
    receiver: Receiver
    near: MemoryLink
    far: MemoryLink
    reenactor: ReadableReenactor
    stats: Stats
    trace: NoseTrace = field(default_factory=NoseTrace)
    gallery: Gallery = field(default_factory=Gallery)
    acked: list[int] = field(default_factory=list)
    requests: int = 0
    phase: float = 0.0
    sequence: Any = field(default_factory=itertools.count)

    async def pump(self) -> None:
        while True:
            try:
                channel, data = await self.near.receive()
            except LinkClosed:
                return
            if channel is Channel.MEDIA:
                self.receiver.on_packet(wire.parse(data), len(data), self.loop.now_ms())
            else:
                self.receiver.on_message(control.parse(data), self.loop.now_ms())

    async def listen(self) -> None:
        while True:
            channel, data = await self.far.receive()
            if channel is Channel.MEDIA:
                packet = wire.parse(data)
                if isinstance(packet, wire.Report):
                    continue
                assert isinstance(packet, wire.PivotAck)
                self.acked.append(packet.pivot_id)
            else:
                self.requests += isinstance(control.parse(data), PivotRequest)

    def send_pose(self, value: float, pivot_id: int = 1) -> None:
        capture = round(self.loop.now_ms() + 5e8) % 2**32  # the sender's clock is another one
        packet = KeypointPacket(next(self.sequence) % 2**16, capture, pivot_id, keypoints(value))
        self.far.send(Channel.MEDIA, wire.pack(packet))

    async def send_pivot(self, pivot_id: int = 1, grey: int = 100) -> None:
        while pivot_id not in self.acked:
            for data in pivot_slices(pivot_id, grey, self.loop.now_ms() + 5e8):
                self.far.send(Channel.MEDIA, data)
            await asyncio.sleep(0.2)

    async def talk(self, seconds: float) -> None:
        start_ms = self.loop.now_ms()
        for i, opus in enumerate(SPEECH[: int(seconds * 1000 / 60)]):
            await asyncio.sleep((start_ms + 60 * (i + 1) - self.loop.now_ms()) / 1000)
            capture = round(start_ms + 60 * i + 5e8) % 2**32
            self.far.send(Channel.MEDIA, wire.pack(VoicePacket(i, capture, opus, talk_start=i == 0)))

    async def flash_and_beep(self, seconds: int) -> None:
        """Both for the first 200 ms of every second, as one camera and one microphone would catch them."""
        tone = (9000 * np.sin(np.arange(3200) * 2 * np.pi * 700 / 16_000)).astype(np.int16)
        packets = encode_speech(np.tile(np.concatenate([tone, np.zeros(12_800, np.int16)]), seconds))
        start_ms = self.loop.now_ms()
        for step in range(50 * seconds):
            await asyncio.sleep((start_ms + 20 * step - self.loop.now_ms()) / 1000)
            if step % 2 == 0:
                self.send_pose(0.9 if 20 * step % 1000 < 200 else 0.0)
            if step % 3 == 0 and step > 0:
                i = step // 3 - 1
                capture = round(start_ms + 60 * i - 6.5 + 5e8) % 2**32  # the coder's own delay
                self.far.send(Channel.MEDIA, wire.pack(VoicePacket(i, capture, packets[i], talk_start=i == 0)))

    async def nod(self, seconds: float, pivot_id: int = 1) -> None:
        start_ms = self.loop.now_ms()
        for i in range(round(25 * seconds)):
            self.phase += 0.2
            self.send_pose(0.4 + 0.3 * np.sin(self.phase), pivot_id)
            await asyncio.sleep((start_ms + 40 * (i + 1) - self.loop.now_ms()) / 1000)

    def summary(self) -> dict[str, Any]:
        return self.receiver.summary(self.loop.now_ms(), 5e8)


def play(
    script: Callable[[Call], Any],
    path: memory_link.Path | None = None,
    renderers: Sequence[Renderer] = (),
    enhancers: Sequence[tuple[str, Enhancer]] = (("as drawn", IdentityEnhancer()),),
    pivots_take_ms: float = 0.0,
    pictures_take_ms: Sequence[float] = (0.0,),
    **config: Any,
) -> Call:
    """Runs a receiver while `script` plays the sender."""

    async def main(loop: VirtualTimeLoop) -> Call:
        near, far = memory_link.pair(memory_link.Path(delay_ms=30), path or memory_link.Path(delay_ms=30))
        reenactor, stats, trace, gallery = ReadableReenactor(), Stats(), NoseTrace(), Gallery()
        enhancer = EnhancerLadder(enhancers, loop.now_ms, stats)
        enhancer.budget = FrameBudget({ENHANCE: [Version(name, 0.0) for name in enhancer.names]}, (ENHANCE,))
        receiver = Receiver(
            ReceiveConfig(room="r", **config),
            reenactor=reenactor,
            upscaler=BicubicSuperResolver(),
            enhancer=enhancer,
            renderers=[gallery, *renderers],
            speaker=SilentSpeaker(),
            link=near,
            clock=loop.now_ms,
            executor=LateExecutor(loop, *pictures_take_ms),
            pivot_executor=LateExecutor(loop, pivots_take_ms),
            stats=stats,
            trace=trace,
            budget=enhancer.budget,
        )
        call = Call(loop, receiver, near, far, reenactor, stats, trace, gallery)
        helpers = [asyncio.create_task(call.pump()), asyncio.create_task(call.listen())]
        running = asyncio.create_task(receiver.run())
        await script(call)
        receiver.stop()
        await running
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        return call

    cv2.setNumThreads(1)
    return run(main)


async def six_seconds(call: Call) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call.send_pivot())
        tasks.create_task(call.talk(6.0))
        tasks.create_task(call.nod(6.0))


def test_a_clean_call() -> None:
    call = play(six_seconds)
    figures = call.summary()
    assert figures["ticks_filled"] > 0.97
    assert figures["freeze_longest_ms"] < 90
    assert figures["fps_shown"] == pytest.approx(25, abs=0.8)
    assert 30 <= figures["latency_ms"]["p50"] < 160
    assert figures["av_skew_ms"]["p95_abs"] < 40
    assert figures["time_to_first_face_ms"] < 300
    assert figures["payload_kbps"]["keypoints"] == pytest.approx(18, abs=1)
    assert call.gallery.loudest > 3000
    assert call.gallery.sound_ms == pytest.approx(6000, abs=300)
    assert call.reenactor.encoded == 1
    assert call.requests == 0
    assert call.gallery.frames[0].display.shape == (512, 512, 3)
    assert sum(kind == "rate" for kind, _ in call.trace.events) >= 5


def test_pictures_do_not_wait_while_a_pivot_is_made_ready() -> None:
    async def two_pivots(call: Call) -> None:
        await call.send_pivot()
        await call.nod(2.0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call.send_pivot(2))
            tasks.create_task(call.nod(0.8))
        await call.nod(2.0, pivot_id=2)

    call = play(two_pivots, pivots_take_ms=400.0)
    assert call.reenactor.encoded == 2
    assert call.summary()["freeze_longest_ms"] < 90
    assert {picture["pivot_id"] for picture in call.trace.pictures} == {1, 2}


def test_poses_of_a_pivot_that_is_made_ready_are_shown_by_the_one_before() -> None:
    async def script(call: Call) -> None:
        await call.send_pivot(1)
        start_ms = call.loop.now_ms()
        sending: asyncio.Task[None] | None = None
        for number in range(40):
            if number == 20:
                sending = asyncio.create_task(call.send_pivot(2))
            pivot_id = 2 if 2 in call.acked else 1
            capture = round(call.loop.now_ms() + 5e8) % 2**32
            times = tuple((capture + past_ms) % 2**32 for past_ms in (-80, -40, 0))
            points = [keypoints(0.1 + 0.05 * np.sin(number + third / 3)) for third in range(3)]
            coded = keypoint_coder.encode(points, keypoints(0.0))
            call.far.send(Channel.MEDIA, wire.pack(wire.Bundle(3 * number, times, pivot_id, coded)))
            await asyncio.sleep((start_ms + 120 * (number + 1) - call.loop.now_ms()) / 1000)
        assert sending is not None
        await sending

    call = play(script, pivots_take_ms=600.0)
    figures = call.summary()
    assert call.reenactor.encoded == 2
    assert figures["counters"]["pictures_by_earlier_pivot"] > 5
    assert figures["freeze_longest_ms"] < 90
    assert figures["ticks_filled"] > 0.97
    assert call.requests == 0


def test_bundles_lost_one_by_one_make_room_for_two_in_a_row() -> None:
    async def script(call: Call) -> None:
        await call.send_pivot(1)
        start_ms = call.loop.now_ms()
        for number in range(75):
            capture = round(call.loop.now_ms() + 5e8) % 2**32
            times = tuple((capture + past_ms) % 2**32 for past_ms in (-80, -40, 0))
            points = [keypoints(0.4 + 0.3 * np.sin(number + third / 3)) for third in range(3)]
            if number not in (16, 24, 32, 40, 65, 66):
                coded = keypoint_coder.encode(points, keypoints(0.0))
                call.far.send(Channel.MEDIA, wire.pack(wire.Bundle(3 * number, times, 1, coded)))
            await asyncio.sleep((start_ms + 120 * (number + 1) - call.loop.now_ms()) / 1000)

    call = play(script)
    filled = [picture["tick"] for picture in call.trace.pictures if picture["filled"]]
    assert filled[-1] > 205
    missed = set(range(filled[-1])) - set(filled)
    assert not [tick for tick in missed if tick > 3 * 44]
    assert len(missed) <= 9
    late_ms = [picture["latency_ms"] + 5e8 for picture in call.trace.pictures]
    assert max(late_ms[:36]) < 180  # nobody waits before anything is lost
    assert late_ms[180] == pytest.approx(late_ms[30] + 240, abs=40)


async def bundled(call: Call) -> None:
    """Six seconds of poses that come three at a time."""
    await call.send_pivot()
    start_ms, held = call.loop.now_ms(), []
    for i in range(150):
        capture = round(call.loop.now_ms() + 5e8) % 2**32
        held.append(KeypointPacket(i, capture, 1, keypoints(0.4 + 0.3 * np.sin(i / 5))))
        if i % 3 == 2:
            for packet in held:
                call.far.send(Channel.MEDIA, wire.pack(packet))
            held.clear()
        await asyncio.sleep((start_ms + 40 * (i + 1) - call.loop.now_ms()) / 1000)


@pytest.mark.parametrize("slow_ms", [60.0, 80.0])
def test_a_picture_that_takes_long_makes_none_late(slow_ms: float) -> None:
    call = play(bundled, pictures_take_ms=[25.0] * 7 + [slow_ms])
    figures = call.summary()
    assert figures["ticks_filled"] > 0.97
    assert figures["freeze_longest_ms"] < 100  # one tick left out at most
    after = [picture["shown_ms"] for picture in call.trace.pictures[50:]]
    assert np.percentile(np.diff(after), 95) < 55  # 73 where each is begun at its tick
    assert figures["latency_ms"]["p50"] < 250


def test_pictures_that_all_take_too_long_are_left_out_not_queued() -> None:
    call = play(bundled, pictures_take_ms=[55.0])
    figures = call.summary()
    assert 0.6 < figures["ticks_filled"] < 0.8
    assert figures["freeze_longest_ms"] < 130
    latency = [picture["latency_ms"] for picture in call.trace.pictures[25:]]
    assert max(latency) < 300


def test_pictures_show_the_pose_of_their_media_time() -> None:
    call = play(six_seconds)
    exact = [picture for picture in call.trace.pictures if picture["pose_kind"] == "new"]
    assert len(exact) > 0.9 * len(call.trace.pictures)
    first_ms = exact[0]["capture_ms"]
    steps = [(picture["capture_ms"] - first_ms) / 40 for picture in exact]
    assert np.allclose(steps, np.round(steps), atol=0.03)


@pytest.mark.parametrize("percent", [10, 20, 30])
def test_losses_leave_the_face_moving(percent: int) -> None:
    losses = (np.random.default_rng(3).random(997) < percent / 100).tolist()
    jitter = np.random.default_rng(4).gamma(1.0, 12.0, 499).tolist()
    call = play(six_seconds, memory_link.Path(delay_ms=80, losses=losses, jitter_ms=jitter))
    figures = call.summary()
    assert figures["ticks_filled"] > {10: 0.95, 20: 0.9, 30: 0.85}[percent]
    assert figures["freeze_longest_ms"] < 400
    assert figures["av_skew_ms"]["p95_abs"] < 60
    assert figures["counters"]["keypoints_lost"] > 0


class FlashReenactor(ReadableReenactor):
    """White while the keypoints say so."""

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        return np.full((32, 32, 3), 230 if keypoints[0, 0] > 0.5 else 20, dtype=np.uint8)


class WaitingRecorder(Recorder):
    """Virtual time runs faster than the recorder's thread."""

    def show(self, frame: ShownFrame) -> None:
        settle(self, 20)
        super().show(frame)


@pytest.mark.parametrize("percent", [0, 10])
def test_sound_and_picture_of_a_recording_are_in_sync(tmp_path: Path, percent: int) -> None:
    async def script(call: Call) -> None:
        call.reenactor.drive = FlashReenactor().drive  # type: ignore[method-assign]
        await call.send_pivot()
        await call.flash_and_beep(8)
        await asyncio.sleep(0.3)

    recorder = WaitingRecorder(tmp_path / "call.mp4")
    losses = (np.random.default_rng(8).random(997) < percent / 100).tolist()
    play(script, memory_link.Path(delay_ms=50, losses=losses), [recorder], display_size=64)
    recorder.close()
    video_s, grey, audio_s, level = read(tmp_path / "call.mp4")
    flashes, beeps = onsets(video_s, grey, 120, 0.5), onsets(audio_s, level, 0.12, 0.5)
    apart_s = [flash - beeps[np.abs(np.array(beeps) - flash).argmin()] for flash in flashes[2:]]
    assert len(apart_s) >= 5
    assert np.abs(np.median(apart_s)) < 0.02
    assert np.abs(apart_s).max() < (0.04 if percent == 0 else 0.1)  # a beep's start may itself be lost


def test_half_the_frames_are_enough() -> None:
    async def script(call: Call) -> None:
        await call.send_pivot()
        start_ms = call.loop.now_ms()
        for i in range(75):
            call.send_pose(0.4 + 0.3 * np.sin(i / 5))
            await asyncio.sleep((start_ms + 80 * (i + 1) - call.loop.now_ms()) / 1000)

    call = play(script)
    assert call.summary()["ticks_filled"] > 0.95
    assert sum(picture["pose_kind"] == "interpolated" for picture in call.trace.pictures) > 60


def test_a_missing_pivot_is_asked_for_at_most_twice_a_second() -> None:
    async def script(call: Call) -> None:
        await call.nod(3.0, pivot_id=7)

    call = play(script)
    assert 3 <= call.requests <= 6
    assert call.gallery.frames == []
    assert call.summary()["time_to_first_face_ms"] is None


def test_bundles_ask_for_their_missing_pivot_and_are_shown_when_it_comes() -> None:
    async def script(call: Call) -> None:
        for number in range(40):
            if number == 20:
                await call.send_pivot(7)
            capture = round(call.loop.now_ms() + 5e8) % 2**32
            times = tuple((capture + past_ms) % 2**32 for past_ms in (-80, -40, 0))
            coded = keypoint_coder.encode([keypoints(0.1)] * 3, keypoints(0.0))
            call.far.send(Channel.MEDIA, wire.pack(wire.Bundle(3 * number, times, 7, coded)))
            await asyncio.sleep(0.12)

    call = play(script)
    assert 2 <= call.requests <= 6
    assert call.gallery.frames
    assert call.summary()["counters"]["keypoints_received"] >= 60
    assert not call.stats.counters["packets_malformed"]


def test_a_change_of_pivot_fades_and_shows_the_new_one() -> None:
    async def script(call: Call) -> None:
        await call.send_pivot(1, grey=80)
        await call.nod(1.0, 1)
        await call.send_pivot(2, grey=160)
        await call.nod(1.0, 2)

    call = play(script)
    greys = [int(frame.image[16, 16, 0]) for frame in call.gallery.frames]
    between = [grey for grey in greys if 85 < grey < 155]
    assert between == pytest.approx([100, 120, 140], abs=2)
    assert greys[-1] == pytest.approx(160, abs=3)


def test_a_failing_network_leaves_the_last_picture() -> None:
    async def script(call: Call) -> None:
        await call.send_pivot()
        await call.nod(1.0)
        call.reenactor.fail = True
        await call.nod(1.0)
        call.reenactor.fail = False
        await call.nod(1.0)

    call = play(script)
    figures = call.summary()
    assert figures["counters"]["drive_failed"] > 20
    assert 0.6 < figures["ticks_filled"] < 0.75
    assert figures["freeze_longest_ms"] == pytest.approx(1000, abs=200)
    assert len(call.gallery.frames) > 65  # held pictures are shown


class BluePaint:
    """An enhancer that paints a corner blue, or gives up."""

    fail = False

    def enhance(self, image: Image) -> Image:
        if self.fail:
            raise FloatingPointError("NaN")
        painted = image.copy()
        painted[-4:, -4:] = (0, 0, 255)
        return painted


def test_an_enhancer_that_fails_costs_no_picture() -> None:
    paint = BluePaint()

    async def script(call: Call) -> None:
        await call.send_pivot()
        await call.nod(2.0)
        paint.fail = True
        await call.nod(1.0)

    call = play(script, enhancers=[("as drawn", IdentityEnhancer()), ("blue", paint)])
    figures = call.summary()
    assert figures["counters"]["enhance_failed"] == 1
    assert figures["ticks_filled"] > 0.95
    assert 0.5 < figures["budget"]["stages"]["enhance"]["blue"] < 0.8
    assert figures["budget"]["given_up"] == 1
    blue = [frame.image[-1, -1, 2] > 200 and frame.image[-1, -1, 0] < 50 for frame in call.gallery.frames]
    named = [frame.badges.stages == ("blue",) for frame in call.gallery.frames]
    assert any(blue)
    assert not blue[-1]
    assert any(named)
    assert not named[-1]


def test_switched_off_video_is_no_freeze() -> None:
    async def script(call: Call) -> None:
        await call.send_pivot()
        await call.nod(2.0)
        call.far.send(Channel.CONTROL, control.pack(Mute(voice=False, video=True)))
        await asyncio.sleep(2.0)
        call.far.send(Channel.CONTROL, control.pack(Mute(voice=False, video=False)))
        await call.nod(2.0)

    call = play(script)
    figures = call.summary()
    assert figures["ticks_filled"] > 0.9
    assert figures["freeze_longest_ms"] < 400
    assert any(frame.badges.video_muted for frame in call.gallery.frames)


def test_hostile_pivots_and_clocks_are_counted() -> None:
    async def script(call: Call) -> None:
        await call.send_pivot()
        await call.nod(0.5)
        body = PivotBody(wire.PivotCodec.AVIF, 64, 64, 0, keypoints(0), bytes(500))
        for part in wire.slice_pivot(9, body):
            call.far.send(Channel.MEDIA, wire.pack(part))
        call.far.send(Channel.MEDIA, wire.pack(KeypointPacket(40, 12345, 1, keypoints(0))))
        call.far.send(Channel.MEDIA, wire.pack(VoicePacket(1, round(call.loop.now_ms() + 5e8), b"\xff\xff")))
        await call.nod(1.0)

    call = play(script)
    counters = call.summary()["counters"]
    assert counters["pivots_undecodable"] == 1
    assert counters["packets_malformed"] == 2
    assert call.summary()["ticks_filled"] > 0.9


def test_bye_ends_the_call() -> None:
    async def script(call: Call) -> None:
        running = asyncio.create_task(call.nod(100.0))
        call.far.send(Channel.CONTROL, control.pack(Bye("done")))
        await call.receiver._stopped.wait()
        running.cancel()

    assert play(script).loop.time() < 1002


def test_a_peer_gone_mad_does_not_end_the_call() -> None:
    rng = np.random.default_rng(11)

    def anything(now_ms: float) -> wire.Packet:
        near_ms = round(now_ms + 5e8 + rng.normal() * 3000) % 2**32
        capture = int(rng.integers(2**32)) if rng.random() < 0.3 else near_ms
        sequence, pivot_id = int(rng.integers(2**16)), int(rng.integers(12))
        data = rng.integers(0, 256, int(rng.integers(1, 400)), dtype=np.uint8).tobytes()
        match int(rng.integers(5)):
            case 4:
                times = tuple((capture + 40 * frame) % 2**32 for frame in range(int(rng.integers(1, 11))))
                voice = (VoicePacket(sequence, capture, data[:50]),) if rng.random() < 0.5 else ()
                return wire.Bundle(sequence, times, pivot_id, data[:60], voice, bool(rng.integers(2)))
            case 0:
                points = rng.uniform(-4, 4, (10, 2)).astype(np.float32)
                return KeypointPacket(sequence, capture, pivot_id, points, bool(rng.integers(2)))
            case 1:
                return VoicePacket(sequence, capture, data, bool(rng.integers(2)))
            case 2:
                return VoicePacket(sequence, capture, SPEECH[sequence % len(SPEECH)], bool(rng.integers(2)))
            case _:
                return wire.PivotSlice(pivot_id, 0, 1, len(data), data)

    async def script(call: Call) -> None:
        for _ in range(1500):
            packet = anything(call.loop.now_ms())
            call.receiver.on_packet(packet, len(wire.pack(packet)), call.loop.now_ms())
            await asyncio.sleep(0.004)
        await call.send_pivot(77)
        await call.nod(15.0, 77)

    call = play(script)
    assert call.summary()["counters"]["packets_malformed"] > 100
    last = [picture for picture in call.trace.pictures[-50:] if picture["filled"]]
    assert len(last) > 45  # an honest sender is understood again as soon as the window has forgotten
    assert all(frame.image.dtype == np.uint8 for frame in call.gallery.frames)
