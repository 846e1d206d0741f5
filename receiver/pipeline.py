"""The receiving half of a call: packets in, a talking face and its voice out.

link -> pivots, pose buffer, voice buffer -> play-out clock -> drive -> enhance, enlarge -> renderers, speaker
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from avcall.common import wire
from avcall.common.clock import Clock
from avcall.common.config import ReceiveConfig
from avcall.common.control import Bye, Message, Mute
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import Keypoints
from avcall.common.link import Channel, Link
from avcall.common.stats import Stats, payload_kbps
from avcall.common.trace import Trace
from avcall.common.wire import Bundle, KeypointPacket, Packet, PivotSlice, VoicePacket
from avcall.models.interfaces import Enhancer, Interpolator, Reenactor, SuperResolver
from avcall.receiver.animator import Animator
from avcall.receiver.budget import FrameBudget
from avcall.receiver.display import Display
from avcall.receiver.inbetween import Inbetween
from avcall.receiver.jitter_buffer import PoseBuffer, PoseSample
from avcall.receiver.opus_decoder import Samples
from avcall.receiver.overlay import Badges
from avcall.receiver.picture_stage import PictureStage
from avcall.receiver.pivot_intake import PivotIntake
from avcall.receiver.pivots import PivotCache
from avcall.receiver.playout import PlayoutClock
from avcall.receiver.pose_intake import PoseIntake
from avcall.receiver.renderers import Renderer
from avcall.receiver.reporter import ALONE_EARLY_EVERY_MS, ALONE_EVERY_MS, Reporter
from avcall.receiver.sender_time import SenderTime
from avcall.receiver.sound_stage import SoundStage
from avcall.receiver.speaker import Speaker

_SOUND_EVERY_S = 0.01
_HELD_MS = 400.0
"""A picture that has stood this long is marked."""
_PAYLOAD = {KeypointPacket: "keypoints", PivotSlice: "pivots", VoicePacket: "voice"}


class Receiver:
    """An `avcall.common.link.Endpoint`. `run` ends with `stop`, the peer's bye, or cancellation; the caller owns (and
    closes) renderers, speaker, link and executors."""

    def __init__(
        self,
        config: ReceiveConfig,
        *,
        reenactor: Reenactor,
        upscaler: SuperResolver,
        enhancer: Enhancer,
        renderers: Sequence[Renderer],
        speaker: Speaker,
        link: Link,
        clock: Clock,
        executor: Executor,
        pivot_executor: Executor,
        stats: Stats,
        trace: Trace,
        interpolators: Sequence[tuple[str, Interpolator]] = (),
        budget: FrameBudget | None = None,
        tell: Callable[[Packet], None] | None = None,
        played: Callable[[Samples, float], None] | None = None,
    ) -> None:
        """Pictures are made in `executor`; pivots, which take longer than a picture may, are made ready in
        `pivot_executor`, so that no picture waits for them. `interpolators`, preferred ones first, make pictures
        between two where driving is dear. `budget` is that of the stages that are ladders (`avcall.receiver.ladders`);
        None where none is. `tell` sends small packets to the sender of what is received; None sends each at once and
        alone. `played` is told what the speaker plays, and when that is heard."""
        self._link, self._clock = link, clock
        self._stats, self._trace, self._budget = stats, trace, budget
        self._tell = tell or self._send_alone
        self._reporter = Reporter() if tell else Reporter(ALONE_EVERY_MS, ALONE_EARLY_EVERY_MS)
        self._cache = PivotCache()
        self._pivots = PivotIntake(
            reenactor=reenactor,
            cache=self._cache,
            link=link,
            tell=self._tell,
            clock=clock,
            executor=pivot_executor,
            stats=stats,
        )
        self._poses = PoseBuffer()
        self._playout = PlayoutClock(config.max_delay_ms)
        self._intake = PoseIntake(
            self._poses, self._playout, self._pivot_keypoints, lambda: self._display.render_ms, stats
        )
        self._sound = SoundStage(self._playout, speaker, renderers, stats, played)
        self._animator = Animator(
            reenactor,
            self._cache,
            stats,
            Inbetween(interpolators, clock, stats),
            lambda pivot_id: self._pivots.arrived(pivot_id) is not None,
        )
        self._sender_time = SenderTime()
        self._jumps = 0
        self._display = Display(
            self._animator,
            upscaler,
            enhancer,
            side=config.display_size,
            renderers=renderers,
            playout=self._playout,
            clock=clock,
            executor=executor,
            stats=stats,
            trace=trace,
            budget=budget,
        )
        self._pictures = PictureStage(
            self._poses,
            self._playout,
            self._animator,
            self._display,
            self._pivots,
            clock,
            tick=self._on_tick,
            badges=self._badges,
        )
        self._muted = Mute(voice=False, video=False)
        self._stopped = asyncio.Event()
        self._start_ms = clock()
        self._first_packet_ms: float | None = None
        self._second = (self._start_ms, self._stats.payload_bytes.copy(), link.wire_bytes())
        self._kbps = 0.0

    # What arrives -----------------------------------------------------------------------------------------------

    def on_packet(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        """See Endpoint. What makes no sense is counted and dropped."""
        if isinstance(packet, Bundle):
            self._stats.add_payload("keypoints", size_bytes - packet.voice_bytes - packet.attached_bytes)
            self._stats.add_payload("voice", packet.voice_bytes)
        elif type(packet) in _PAYLOAD:
            self._stats.add_payload(_PAYLOAD[type(packet)], size_bytes)
        else:
            return
        if self._first_packet_ms is None:
            self._first_packet_ms = now_ms
        try:
            match packet:
                case KeypointPacket():
                    self._intake.take(packet, self._media_ms(packet.capture_ms, now_ms), now_ms)
                    self._pictures.arrived()
                case VoicePacket():
                    self._sound.take(packet, self._media_ms(packet.capture_ms, now_ms), now_ms)
                case Bundle():
                    self._take_bundle(packet, now_ms)
                case PivotSlice():
                    self._pivots.take(packet, self._sender_time.nearest, now_ms)
            stamp = wire.stamp(packet)
            if stamp is not None:
                self._reporter.arrived(stamp, self._link.wire_bytes().down, self._link.arrived_ms())
        except ProtocolError:
            self._stats.count("packets_malformed")

    def on_message(self, message: Message, now_ms: float) -> None:
        """See Endpoint."""
        match message:
            case Mute():
                self._muted = message
            case Bye():
                self.stop()

    def stop(self) -> None:
        """Ends `run`."""
        self._stopped.set()

    def toggle_sound(self) -> None:
        """Switches the sound off or on, here only."""
        self._sound.off = not self._sound.off

    def _take_bundle(self, bundle: Bundle, now_ms: float) -> None:
        first = self._pictures.first_bundle_ms is None
        if first:
            self._pictures.first_bundle_ms = now_ms
        for voice in bundle.voice:
            self._sound.take(voice, self._media_ms(voice.capture_ms, now_ms), now_ms)
        times_ms = [self._media_ms(capture_ms, now_ms) for capture_ms in bundle.capture_ms]
        self._intake.take_bundle(bundle, times_ms, now_ms, first=first)
        self._pictures.arrived()

    def _pivot_keypoints(self, pivot_id: int) -> Keypoints | None:
        ready = self._cache.get(pivot_id)
        return self._pivots.arrived(pivot_id) if ready is None else ready.pivot.keypoints

    def _media_ms(self, capture_ms: int, now_ms: float) -> float:
        media_ms = self._sender_time.media_ms(capture_ms, now_ms)
        if self._sender_time.jumps != self._jumps:
            self._jumps = self._sender_time.jumps
            self._intake.clear()
            self._sound.clear()
            self._playout.reset()
        return media_ms

    def _send_alone(self, packet: Packet) -> None:
        data = wire.pack(packet)
        self._stats.add_payload("control", len(data))
        self._link.send(Channel.MEDIA, data)

    # What is shown and heard ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """The call, until it ends."""
        self._start_ms = self._clock()
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._pivots.run(), name="receiver-pivots"),
                tasks.create_task(self._pictures.make(), name="receiver-pictures"),
                tasks.create_task(self._pictures.show(), name="receiver-display"),
                tasks.create_task(self._play(), name="receiver-sound"),
                tasks.create_task(self._report(), name="receiver-report"),
            ]
            await self._stopped.wait()
            for task in running:
                task.cancel()

    async def _play(self) -> None:
        while True:
            start_ms = self._clock()
            self._sound.fill(start_ms)
            self._stats.add_stage("voice", self._clock() - start_ms)
            await asyncio.sleep(_SOUND_EVERY_S)

    def _on_tick(self, now_ms: float) -> None:
        """What is done at every tick before its picture is made."""
        self._pivots.send_acks(now_ms)
        report = self._reporter.report(now_ms)
        if report is not None:
            self._tell(report)
        missing = self._intake.release(now_ms)
        if missing is not None:
            self._pivots.want(missing, now_ms)

    def _badges(self, sample: PoseSample, now_ms: float) -> Badges:
        ready = self._cache.get(sample.pose.pivot_id)
        age_ms = 0.0 if ready is None else sample.pose.capture_ms - ready.pivot.capture_ms
        return Badges(
            fps=self._display.seen.fps(now_ms),
            kbps=self._kbps,
            pivot_age_s=max(0.0, age_ms / 1000),
            held=self._display.seen.still_ms(now_ms) > _HELD_MS,
            face_lost=sample.pose.face_lost,
            voice_muted=self._muted.voice,
            video_muted=self._muted.video,
            sound_off=self._sound.off,
            stages=() if self._budget is None else self._budget.running(),
        )

    # What is told -----------------------------------------------------------------------------------------------

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._trace.event("rate", **self.rate(self._clock()))

    def rate(self, now_ms: float) -> dict[str, object]:
        """The figures of the time since the last call, for one line of `--stats` and the trace."""
        then_ms, payload, wired = self._second
        payload_now, wired_now = self._stats.payload_bytes.copy(), self._link.wire_bytes()
        self._second = (now_ms, payload_now, wired_now)
        kbps = 8.0 / max(1.0, now_ms - then_ms)
        up_kbps, down_kbps = (wired_now.up - wired.up) * kbps, (wired_now.down - wired.down) * kbps
        self._kbps = up_kbps + down_kbps
        return {
            "at_ms": now_ms,
            "payload_kbps": payload_kbps(payload, payload_now, now_ms - then_ms),
            "wire_kbps": {"up": up_kbps, "down": down_kbps},
            "fps_shown": self._display.seen.fps(now_ms),
            "delay_ms": self._playout.delay_ms,
            "keypoints_lost": self._poses.lost,
            "ticks_filled": self._display.seen.shown,
        }

    def summary(self, now_ms: float, clock_offset_ms: float | None) -> dict[str, object]:
        """The receiver's part of report.json. `clock_offset_ms` is the peer's clock minus ours; without it, both are
        taken for one (which they are on one machine)."""
        elapsed_ms = now_ms - (self._first_packet_ms or now_ms)
        face_ms = self._display.first_face_ms
        counters = {
            **self._stats.counters,
            **self._sound.counters(),
            "keypoints_received": self._poses.received,
            "keypoints_lost": self._poses.lost,
            "keypoints_late": self._poses.late,
            "keypoints_duplicate": self._poses.duplicates,
            "clock_jumps": self._playout.jumps,
        }
        return {
            "payload_kbps": payload_kbps(Counter(), self._stats.payload_bytes, elapsed_ms),
            **self._display.seen.summary(clock_offset_ms or 0.0),
            "play_out_delay_ms": self._playout.delay_ms,
            "time_to_first_face_ms": None if face_ms is None else face_ms - self._start_ms,
            "stage_ms": self._stats.stage_ms(),
            "budget": None if self._budget is None else self._budget.summary(),
            "counters": counters,
        }
