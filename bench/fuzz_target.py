"""Everything in avcall that takes bytes or packets from a peer, put together as a call does it, but without devices,
networks and threads: what `avcall bench fuzz` throws at."""

from __future__ import annotations

import numpy as np

from avcall.common import control, wire
from avcall.common.clock import ClockOffset
from avcall.common.control import Ping, Pong
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket, Packet, PivotAck, PivotSlice, Report, VoicePacket
from avcall.receiver.bundles import BundleIntake
from avcall.receiver.jitter_buffer import PoseBuffer
from avcall.receiver.opus_decoder import make_opus_decoder
from avcall.receiver.pivot_decoder import PivotDecoder
from avcall.receiver.pivots import PivotAssembler
from avcall.receiver.playout import PlayoutClock, Stream
from avcall.receiver.reporter import Reporter
from avcall.receiver.sender_time import SenderTime
from avcall.receiver.voice_buffer import VoiceBuffer
from avcall.sender.pivot_sender import PivotSender
from avcall.sender.rate_control import RateController
from avcall.sender.rate_control_allowance import Wants, allow
from avcall.sender.rate_control_feedback import SentHistory

PICTURE_MS = 40.0
SOUND = 1920
"""Samples in PICTURE_MS."""
KNOWN_PIVOTS = range(4)
"""Ids of pivots that are here from the beginning."""
DECODE_EVERY = 20
"""Of the pivots that come whole; decoding takes a thousand times as long as parsing."""


class Target:
    """Both ends' intakes, fed with bytes; time is an argument and may be anything that does not fall."""

    def __init__(self) -> None:
        self._sender_time, self._playout = SenderTime(), PlayoutClock()
        self._poses, self._voice = PoseBuffer(), VoiceBuffer(make_opus_decoder())
        self._bundles = BundleIntake(self._pivot, Stats())
        self._assembler, self._decoder, self._bodies = PivotAssembler(), PivotDecoder(), 0
        self._reporter = Reporter()
        self._pivots, self._history, self._controller = PivotSender(), SentHistory(), RateController()
        self._offset = ClockOffset()
        self._pivot_points: dict[int, Keypoints] = {
            number: np.full((COUNT, 2), 0.1 * number, np.float32) for number in KNOWN_PIVOTS
        }
        self._jumps = 0
        self._shown_ms = 0.0

    def sent(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        """This end has sent a packet that reports and acknowledgements may be about."""
        stamp = wire.stamp(packet)
        if stamp is not None:
            self._history.sent(stamp, size_bytes, now_ms)
            self._controller.on_sent(now_ms)

    def media(self, data: bytes, now_ms: float) -> None:
        """A message of the media channel.

        Raises:
            ProtocolError: it makes no sense.
        """
        packet = wire.parse(data)
        self._take(packet, len(data), now_ms)
        if isinstance(packet, Bundle):
            for part, riding in zip(packet.attached, wire.attached(packet), strict=True):
                self._take(riding, len(part), now_ms)

    def message(self, data: bytes, now_ms: float) -> None:
        """A message of the control channel.

        Raises:
            ProtocolError: it makes no sense.
        """
        message = control.parse(data)
        match message:
            case Ping():
                control.pack(Pong(message.sent_ms, now_ms))
            case Pong():
                self._offset.add_echo(message.sent_ms, message.peer_ms, now_ms)

    def play(self, now_ms: float) -> None:
        """What is shown and heard in one display tick, acknowledged and reported."""
        for ack in self._assembler.acks(now_ms):
            wire.pack(ack)
        report = self._reporter.report(now_ms)
        if report is not None:
            wire.pack(report)
        for packet, media_ms in self._bundles.release(now_ms):
            self._poses.insert(packet, media_ms)
        self._shown_ms = max(self._shown_ms, self._playout.media_ms(now_ms))
        sample = self._poses.at(self._shown_ms)
        if sample is not None and not np.isfinite(sample.pose.keypoints).all():
            raise AssertionError("keypoints to be shown that are not finite")
        samples = self._voice.pull(SOUND)
        if len(samples) != SOUND:
            raise AssertionError(f"{len(samples)} samples to be heard instead of {SOUND}")
        target_kbps = self._controller.target_kbps(now_ms)
        if not 10.0 <= target_kbps <= 500.0:
            raise AssertionError(f"a target of {target_kbps} kbit/s")
        allow(target_kbps, Wants(), loss=self._controller.loss)
        self._pivots.take(now_ms)

    def _take(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        match packet:
            case KeypointPacket():
                self._pose(packet, self._media_ms(packet.capture_ms, now_ms), now_ms)
            case VoicePacket():
                self._speech(packet, now_ms)
            case Bundle():
                self._bundle(packet, now_ms)
            case PivotSlice():
                self._slice(packet, now_ms)
            case PivotAck():
                self._pivots.acknowledge(packet, now_ms)
            case Report():
                feedback = self._history.feedback(packet, now_ms)
                if feedback is not None:
                    self._controller.on_feedback(feedback, now_ms)
        stamp = wire.stamp(packet)
        if stamp is not None:
            self._reporter.arrived(stamp, size_bytes, now_ms)

    def _bundle(self, bundle: Bundle, now_ms: float) -> None:
        for voice in bundle.voice:
            self._speech(voice, now_ms)
        times_ms = [self._media_ms(capture_ms, now_ms) for capture_ms in bundle.capture_ms]
        frames, copy = self._bundles.take(bundle, times_ms, now_ms)
        for packet, media_ms in frames:
            self._pose(packet, media_ms, now_ms)
        if copy is not None:
            self._poses.insert_copy(copy)

    def _pose(self, packet: KeypointPacket, media_ms: float, now_ms: float) -> None:
        for time_ms in (media_ms, *self._poses.insert(packet, media_ms)):
            self._playout.observe(Stream.VIDEO, time_ms, now_ms)

    def _speech(self, packet: VoicePacket, now_ms: float) -> None:
        media_ms = self._media_ms(packet.capture_ms, now_ms)
        self._voice.insert(packet, media_ms)
        self._playout.observe(Stream.VOICE, media_ms, now_ms)

    def _slice(self, part: PivotSlice, now_ms: float) -> None:
        body = self._assembler.add(part, now_ms)
        if body is None:
            return
        self._bodies += 1
        if self._bodies % DECODE_EVERY == 0:
            self._decoder.decode(body)

    def _media_ms(self, capture_ms: int, now_ms: float) -> float:
        media_ms = self._sender_time.media_ms(capture_ms, now_ms)
        if self._sender_time.jumps != self._jumps:
            self._jumps = self._sender_time.jumps
            self._poses.clear()
            self._bundles.clear()
            self._voice.clear()
            self._playout.reset()
            self._shown_ms = 0.0
        return media_ms

    def _pivot(self, pivot_id: int) -> Keypoints | None:
        return self._pivot_points.get(pivot_id)
