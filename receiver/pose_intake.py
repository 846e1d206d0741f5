"""Poses on their way into the buffer, and what their times and gaps tell the play-out clock. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from avcall.common.keypoints import Keypoints
from avcall.common.stats import Stats
from avcall.common.wire import Bundle, KeypointPacket
from avcall.receiver.bundles import BundleIntake
from avcall.receiver.jitter_buffer import FRAME_MS, WAIT_MS, PoseBuffer
from avcall.receiver.playout import PlayoutClock, Stream

LOST_BUNDLES = 4
"""So many in a row are worth a longer play-out delay."""
EXPECTED_BUNDLES = 2
"""So many in a row are expected where bundles are lost often, before it has happened."""


class PoseIntake:
    """`keypoints_of` gives the keypoints of a pivot, None where it has not arrived; `render_ms` says how long before
    its time a pose has to be here."""

    def __init__(
        self,
        poses: PoseBuffer,
        playout: PlayoutClock,
        keypoints_of: Callable[[int], Keypoints | None],
        render_ms: Callable[[], float],
        stats: Stats,
    ) -> None:
        self._poses, self._playout = poses, playout
        self._bundles = BundleIntake(keypoints_of, stats)
        self._render_ms, self._stats = render_ms, stats

    def take(self, packet: KeypointPacket, media_ms: float, now_ms: float) -> None:
        """One pose that came alone."""
        self._observe([media_ms], self._poses.insert(packet, media_ms), now_ms)

    def take_bundle(self, bundle: Bundle, media_ms: Sequence[float], now_ms: float, *, first: bool) -> None:
        """The poses of a bundle, with the media time of each; they wait where their pivot is missing. `first`: none has
        come before.

        Raises:
            ProtocolError: keypoints that no encoder has made.
        """
        wait_ms = WAIT_MS + LOST_BUNDLES * (media_ms[-1] - media_ms[0])
        bridged: list[float] = []
        lost_before = self._poses.lost
        frames, copy = self._bundles.take(bundle, media_ms, now_ms)
        for packet, time_ms in frames:
            bridged += self._poses.insert(packet, time_ms, wait_ms)
        if copy is not None:
            self._stats.count("copies_used", self._poses.insert_copy(copy))
        # the first pose has waited for its pivot to be coded, and until that has left most poses are left out: neither
        # says anything about later
        if not (first and self._playout.running):
            lost = (self._poses.lost - lost_before) / len(media_ms)
            again = max(0.0, EXPECTED_BUNDLES - lost) if lost > 0 else 0.0
            again_ms = again * (media_ms[-1] - media_ms[0] + FRAME_MS)
            self._observe(media_ms, bridged if self._playout.settled else (), now_ms, again_ms)

    def release(self, now_ms: float) -> int | None:
        """Takes the poses of bundles whose pivot has come since; what had to wait for that says nothing about the
        network. Returns the pivot that the newest of the bundles that still wait needs."""
        for packet, media_ms in self._bundles.release(now_ms):
            self._poses.insert(packet, media_ms)
        return self._bundles.missing

    def clear(self) -> None:
        """Forgets all poses: the sender's clock jumped."""
        self._poses.clear()
        self._bundles.clear()

    def _observe(
        self, times_ms: Sequence[float], bridged_ms: Sequence[float], now_ms: float, again_ms: float = 0.0
    ) -> None:
        """Tells the clock what can be shown from now on, and how much longer the next losses may take."""
        for media_ms in times_ms:
            self._playout.observe(Stream.VIDEO, media_ms, now_ms, self._render_ms())
        for media_ms in bridged_ms:
            self._playout.observe(Stream.VIDEO, media_ms, now_ms, self._render_ms(), again_ms)
