"""The sending end of a call, from capture to the link. The stages do the work; this file only joins them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from avcall.common import control
from avcall.common.clock import Clock
from avcall.common.config import AUTO, SendConfig
from avcall.common.control import Message, Mute, PivotRequest
from avcall.common.errors import AvcallError, ProtocolError
from avcall.common.frames import Pose, VideoFrame
from avcall.common.keypoints import NOSE, Keypoints
from avcall.common.link import Channel, Link
from avcall.common.pivot_format import SLICE_DATA_BYTES
from avcall.common.stats import Stats
from avcall.common.trace import Trace
from avcall.common.wire import Packet, PivotAck, Report
from avcall.models.face_mesh import FaceMesh
from avcall.models.interfaces import KeypointDetector
from avcall.sender.analysis import Analysis, FaceAnalyser, Segments, View
from avcall.sender.bundler import Bundler
from avcall.sender.capture import VideoSource
from avcall.sender.flow_stage import FlowStage
from avcall.sender.frame_rate import FrameRate
from avcall.sender.microphone import AudioSource
from avcall.sender.outlet import Outlet
from avcall.sender.path_probe import PathProbe
from avcall.sender.pivot_check import PivotChecker
from avcall.sender.pivot_stage import PivotStage
from avcall.sender.presence import FacePresence
from avcall.sender.rate_control_allowance import Allowance
from avcall.sender.rate_control_stage import RateStage
from avcall.sender.selector import PivotSelector, Sight, distance
from avcall.sender.thinning import Thinner
from avcall.sender.tracker import Mesh
from avcall.sender.voice import VoiceEncoder, frame_for
from avcall.sender.voice_stage import VoiceStage

T = TypeVar("T")

CALM = 0.04
"""Movement between two frames, in distances between the eye corners, below which a picture is sharp."""
OUTSIDE = 0.75
"""A head that leaves the crop with its nose here (1 is the edge) is half out: no warp of the pivot can show that."""
TAIL_S = 0.3
"""The sound of a file may end this much after its picture."""
AUTO_SPAN_MS = 120.0
"""With `--span-ms auto`, until a rate controller says otherwise."""
THESIS_FRAME_MS = 60
THIN_EVERY = 2
"""Where not even the least of everything fits, the keypoints of so many frames are those of one, and no residual flow
travels."""
logger = logging.getLogger(__name__)


def face_mesh() -> Mesh:
    """The mesh that follows a face from frame to frame."""
    return FaceMesh(video=True)


class Sender:
    """Sends one face and one voice. Implements `avcall.common.link.Endpoint`."""

    def __init__(
        self,
        config: SendConfig,
        *,
        source: VideoSource,
        microphone: AudioSource | None,
        detector: KeypointDetector,
        link: Link,
        clock: Clock,
        executor: concurrent.futures.Executor,
        pivot_executor: concurrent.futures.Executor,
        voice_executor: concurrent.futures.Executor,
        stats: Stats,
        trace: Trace,
        make_mesh: Callable[[], Mesh] = face_mesh,
        selector: PivotSelector | None = None,
        checker: PivotChecker | None = None,
        segmenter: Segments | None = None,
    ) -> None:
        """Without `segmenter` the scene around the face is told to stand still."""
        self._config = config
        self._source = source
        self._link = link
        self._clock = clock
        self._executor = executor
        self._stats = stats
        self._trace = trace
        self._analyser = FaceAnalyser(make_mesh, detector, config.size, clock, segmenter)
        span_ms = AUTO_SPAN_MS if config.span_ms == AUTO else float(config.span_ms)
        bundler = Bundler(span_ms, config.fps / config.keypoints_every) if config.wire == "coded" else None
        self._outlet = Outlet(link, stats, clock, bundler, self._note_sent)
        self._rate: RateStage | None = None
        if config.wire == "coded" and config.rate_control:
            self._rate = RateStage(
                config, voice=microphone is not None, link=link, clock=clock, trace=trace, spend=self._spend
            )
        self._frame_rate = FrameRate(config.fps)
        self._thinner = Thinner(config.keypoints_every)
        self._voice: VoiceStage | None = None
        if microphone is not None:
            frame_ms = config.voice_frame_ms or (frame_for(span_ms) if config.wire == "coded" else THESIS_FRAME_MS)
            encoder = VoiceEncoder(config.voice_kbps, frame_ms)
            compute = partial(self._compute_timed, executor=voice_executor)
            self._voice = VoiceStage(microphone, encoder, compute, self._outlet.voice, stats)
        self._pivots = PivotStage(
            config,
            selector=selector,
            checker=checker,
            compute=partial(self._compute_timed, executor=pivot_executor),
            link=link,
            clock=clock,
            stats=stats,
            trace=trace,
            note_sent=self._note_sent,
        )
        self._selector = self._pivots.selector
        self._probe = PathProbe(self._rate, self._pivots, self._outlet, clock)
        self._outlet.rider = self._probe.ride
        self._flows = FlowStage(checker, compute=self._compute_timed, clock=clock, stats=stats)
        self._presence = FacePresence()
        self._last_view: View | None = None
        self._last: tuple[Pose, Keypoints] | None = None
        self._muted = Mute(voice=False, video=False)

    @property
    def face_seen(self) -> bool:
        """A face was found at least once."""
        return self._presence.face_seen

    async def run(self) -> None:
        """Sends until the picture's source ends; cancel to stop before.

        Raises:
            InputError, DeviceError: what the picture's source met.
        """
        await self._compute(self._analyser.prepare)  # before the source opens: its first frames would be late
        try:
            async with asyncio.TaskGroup() as group:
                pacing = group.create_task(self._pivots.run(), name="sender-pivots")
                coding = group.create_task(self._pivots.run_jobs(), name="sender-pivot-jobs")
                bundling = group.create_task(self._outlet.run(), name="sender-outlet")
                voice = group.create_task(self._voice.run(), name="sender-voice") if self._voice else None
                controlling = group.create_task(self._rate.run(), name="sender-rate") if self._rate else None
                await self._send_video()
                if voice is not None:
                    await asyncio.wait({voice}, timeout=TAIL_S)
                    voice.cancel()
                self._outlet.flush()
                for task in (bundling, coding, pacing):
                    task.cancel()
                if controlling is not None:
                    controlling.cancel()
        except BaseExceptionGroup as errors:
            known, _ = errors.split(AvcallError)
            if known is None:
                raise
            raise first(known) from errors
        finally:
            await self._compute(self._analyser.close)

    # what a rate controller, or the other half of a two-way call, may ask for

    def set_span(self, span_ms: float) -> None:
        """What each bundle covers from now on, 40 to 200 ms, and pieces of speech that fit it; nothing with
        `--wire thesis`, where nothing is bundled."""
        if self._config.wire != "coded":
            return
        self._outlet.set_span(span_ms)
        if self._voice is not None and not self._config.voice_frame_ms:
            self._voice.set_frame(frame_for(span_ms))

    def set_voice_kbps(self, kbps: float) -> None:
        """The speech coder's bit rate from now on."""
        if self._voice is not None:
            self._voice.set_rate(kbps)

    def set_pivot_budget(
        self, kbps: float, slice_bytes: int = SLICE_DATA_BYTES, pace_kbps: float | None = None
    ) -> None:
        """What pivots may take on the wire from now on, the longest slice, behind which keypoints wait, and the rate at
        which slices leave (by default a little more than that budget)."""
        self._pivots.set_budget(kbps, slice_bytes, pace_kbps)

    def attach(self, packet: Packet) -> None:
        """Sends a small packet (of a kind in `wire.ATTACHABLE`) with the next bundle, see `Outlet.attach`."""
        self._outlet.attach(packet)

    def _spend(self, allowance: Allowance) -> None:
        """Keeps to what rate control allows."""
        if self._config.span_ms == AUTO:
            self.set_span(allowance.span_ms)
        self._outlet.set_copies(allowance.repeat)
        self.set_voice_kbps(allowance.voice_kbps)
        self.set_pivot_budget(allowance.pivot_kbps, allowance.slice_bytes, allowance.pace_kbps)
        if self._rate is not None:
            self._pivots.set_loss(self._rate.loss)
        self._thin_out()

    def _thin_out(self) -> None:
        """Settles how many of the frames travel, of those that are analysed."""
        thin = self._rate is not None and self._rate.thin
        every = max(self._config.keypoints_every, THIN_EVERY if thin else 1)
        self._thinner.every = math.ceil(every / self._frame_rate.every)
        self._outlet.set_fps(self._config.fps / (self._thinner.every * self._frame_rate.every))

    def _note_sent(self, packet: Packet, size_bytes: int) -> None:
        if self._rate is not None:
            self._rate.sent(packet, size_bytes)

    # what the peer says

    def on_packet(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        """A media packet: acknowledgements and reports are for this end."""
        self._probe.heard(packet, now_ms)
        if isinstance(packet, Report) and self._rate is not None:
            try:
                self._rate.take(packet, now_ms, slices_there=self._pivots.slices_there)
            except ProtocolError:
                self._stats.count("packets_malformed")
        if not isinstance(packet, PivotAck):
            return
        if self._pivots.acknowledge(packet, now_ms) and self._rate is not None:
            self._rate.first_pivot = False

    def on_message(self, message: Message, now_ms: float) -> None:
        """A control message: requests for a pivot are for this end."""
        if isinstance(message, PivotRequest):
            self._stats.count("pivot_requests")
            if not self._pivots.in_first_round:  # or a thin path would be asked for another before it has carried one
                self._selector.request(now_ms)

    def set_muted(self, *, voice: bool, video: bool) -> None:
        """Switches microphone and camera off (True) or on, and tells the peer."""
        if self._muted.video and not video:
            self._selector.request(self._clock())
        self._muted = Mute(voice=voice, video=video)
        if self._voice is not None:
            self._voice.muted = voice
        data = control.pack(self._muted)
        self._stats.add_payload("control", len(data))
        self._link.send(Channel.CONTROL, data)

    # picture

    async def _send_video(self) -> None:
        async for frame in self._source.frames():
            self._stats.counters["frames_dropped"] = self._source.dropped
            self._stats.count("frames_captured")
            self._stats.add_stage("capture", self._clock() - frame.capture_ms)
            if not self._muted.video and self._frame_rate.wants(frame.capture_ms):
                begin_ms = self._clock()
                await self._send_frame(frame)
                if self._frame_rate.took(begin_ms, self._clock()):
                    self._trace.event("frame_rate", every=self._frame_rate.every)
                    self._thin_out()

    async def _send_frame(self, frame: VideoFrame) -> None:
        in_use = self._selector.reference()
        analysis = await self._compute(partial(self._analyser.analyse, frame, in_use.crop if in_use else None))
        if analysis is None:
            self._hold(frame)
            return
        self._stats.add_stage("track", analysis.track_ms)
        self._stats.add_stage("detect", analysis.detect_ms)
        sight = self._sight(analysis)
        self._pivots.check(sight, analysis.current)
        reason = None if self._pivots.coding else self._selector.wants(sight, self._clock())
        if reason is not None and self._selector.refer(sight) is None:
            await self._pivots.send(analysis, reason)  # the first: frames refer to it even before it has arrived
            reason = None
        pivot = self._selector.refer(sight)
        if pivot is not None:
            view = analysis.views.get(pivot.crop)
            moving = analysis.leaving or pivot.crop != analysis.current.crop
            if view is None or (moving and np.abs(view.keypoints[NOSE]).max() > OUTSIDE):
                self._stats.count("frames_outside")  # until the new crop's pivot has arrived
            else:
                last = self._outlet.closing
                thin = self._rate is not None and self._rate.thin
                flow = await self._flows.flow(pivot.pivot_id, view, wanted=not (analysis.late or thin), last=last)
                scene = replace(view.scene.since(pivot.scene), flow=flow)
                pose = Pose(frame.capture_ms, pivot.pivot_id, view.keypoints, scene=scene)
                self._send_pose(pose, pivot.keypoints, view)
        if reason is not None:
            self._pivots.want(analysis, reason)

    def _sight(self, analysis: Analysis) -> Sight:
        """Also notes that there is a face."""
        view, before = analysis.current, self._last_view
        calm = before is not None and before.crop == view.crop and distance(view.keypoints, before.keypoints) < CALM
        self._last_view = view
        returned = self._presence.found(analysis.capture_ms)
        return Sight(view.keypoints, view.crop, calm, returned, analysis.leaving)

    def _send_pose(self, pose: Pose, pivot: Keypoints, view: View | None) -> None:
        self._last = pose, pivot
        if self._outlet.has_poses and self._rate is not None and self._rate.first_pivot and self._pivots.in_first_round:
            return  # nothing can be shown yet: one pose a bundle keeps the path's measure, the rest is for the pivot
        for travelling in self._thinner.take(pose, pivot):
            self._stats.count("frames_sent")
            self._outlet.pose(*travelling)
            self._probe.said()
        if view is not None:
            self._trace.picture(view.image, capture_ms=pose.capture_ms, pivot_id=pose.pivot_id)

    def _hold(self, frame: VideoFrame) -> None:
        self._stats.count("frames_without_face")
        self._last_view = None
        if self._presence.missed(frame.capture_ms) and self._last is not None:
            pose, pivot = self._last
            held = replace(pose, capture_ms=frame.capture_ms, face_lost=True)
            self._trace.event("face_lost", capture_ms=frame.capture_ms)
            self._send_pose(held, pivot, None)
        if self._presence.hint_due(frame.capture_ms):
            logger.warning("no face in the picture: face the camera, come nearer, and put light on the face")

    # the executors: the event loop itself never computes

    async def _compute_timed(
        self, work: Callable[[], T], executor: concurrent.futures.Executor | None = None
    ) -> tuple[T, float]:
        """What the work returns, and how long it took in ms, waiting not counted."""

        def timed() -> tuple[T, float]:
            begin_ms = self._clock()
            return work(), self._clock() - begin_ms

        return await self._compute(timed, executor)

    async def _compute(self, work: Callable[[], T], executor: concurrent.futures.Executor | None = None) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor or self._executor, work)


def first(group: BaseExceptionGroup[AvcallError]) -> AvcallError:
    """The first error in a group of groups."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
