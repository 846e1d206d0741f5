"""Pivots from the wire to the cache: acknowledged, decoded, encoded for the reenactor, and asked for when missing."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeAlias

from avcall.common import control
from avcall.common.clock import Clock
from avcall.common.control import PivotRequest
from avcall.common.errors import ProtocolError
from avcall.common.frames import Pivot
from avcall.common.keypoints import Keypoints
from avcall.common.link import Channel, Link
from avcall.common.stats import Stats
from avcall.common.wire import Packet, PivotBody, PivotSlice
from avcall.models.interfaces import Reenactor, followed
from avcall.receiver.pivot_decoder import PivotDecoder
from avcall.receiver.pivots import PivotAssembler, PivotCache, ReadyPivot

MAX_WAITING = 4
REQUEST_AFTER_MS = 300.0
REQUEST_EVERY_MS = 500.0
PATIENCE_MS, STALLED_MS = 20_000.0, 4_000.0
"""While slices of the missing pivot keep coming, so long; on a thin link they are seconds apart. The sender sends again
what is lacking; it is asked only when it seems to have given up."""
_log = logging.getLogger(__name__)
MediaTimeOf: TypeAlias = Callable[[int, float], float]
_Arrived: TypeAlias = tuple[int, PivotBody, float, float]


class PivotRequester:
    """When to ask for a pivot that poses refer to and that is not here. Sans-IO."""

    def __init__(self) -> None:
        self._missing_id: int | None = None
        self._missing_ms = 0.0
        self._asked_ms = float("-inf")

    def due(self, pivot_id: int, progress_ms: float | None, now_ms: float) -> bool:
        """True where it should be asked for now. `progress_ms` is when something of the pivot came last."""
        if pivot_id != self._missing_id:
            self._missing_id, self._missing_ms = pivot_id, now_ms
        missing_ms = now_ms - self._missing_ms
        coming = progress_ms is not None and now_ms - progress_ms < STALLED_MS
        if missing_ms < (PATIENCE_MS if coming else REQUEST_AFTER_MS) or now_ms - self._asked_ms < REQUEST_EVERY_MS:
            return False
        self._asked_ms = now_ms
        return True

    def found(self) -> None:
        """Nothing is missing."""
        self._missing_id = None


class PivotIntake:
    """Runs as a task; `take`, `want` and `send_acks` are called from the event loop. `tell` sends acknowledgements."""

    def __init__(
        self,
        *,
        reenactor: Reenactor,
        cache: PivotCache,
        link: Link,
        tell: Callable[[Packet], None],
        clock: Clock,
        executor: Executor,
        stats: Stats,
    ) -> None:
        self._reenactor = reenactor
        self._cache = cache
        self._link = link
        self._tell = tell
        self._clock = clock
        self._executor = executor
        self._stats = stats
        self._assembler = PivotAssembler()
        self._decoder = PivotDecoder()
        self._requested_ms = float("-inf")
        self._requester = PivotRequester()
        self._waiting: deque[_Arrived] = deque()
        self._working: _Arrived | None = None
        self._arrived = asyncio.Event()

    def take(self, part: PivotSlice, media_ms_of: MediaTimeOf, now_ms: float) -> None:
        """One slice.

        Raises:
            ProtocolError: see `PivotAssembler.add`.
        """
        try:
            body = self._assembler.add(part, now_ms)
        finally:
            self.send_acks(now_ms)
        if body is None:
            return
        if len(self._waiting) == MAX_WAITING:
            self._stats.count("pivots_dropped")
            self._assembler.forget(self._waiting.popleft()[0])
        self._waiting.append((part.pivot_id, body, media_ms_of(body.capture_ms, now_ms), now_ms))
        self._arrived.set()

    def send_acks(self, now_ms: float) -> None:
        """Acknowledges what is due."""
        for ack in self._assembler.acks(now_ms):
            self._tell(ack)

    def want(self, pivot_id: int, now_ms: float) -> None:
        """The pose to be shown needs a pivot that is not in the cache."""
        if self.arrived(pivot_id) is not None:
            return
        if self._requester.due(pivot_id, self._assembler.last_slice_ms(pivot_id), now_ms):
            self._assembler.forget(pivot_id)
            self._request(now_ms)

    def arrived(self, pivot_id: int) -> Keypoints | None:
        """The keypoints of a pivot that is being made ready; its picture cannot be driven yet."""
        for arrived in (self._working, *self._waiting):
            if arrived is not None and arrived[0] == pivot_id:
                return arrived[1].keypoints
        return None

    def found(self) -> None:
        """The pose to be shown has its pivot."""
        self._requester.found()

    def _request(self, now_ms: float) -> None:
        if now_ms - self._requested_ms >= REQUEST_EVERY_MS:
            self._requested_ms = now_ms
            self._stats.count("pivot_requests")
            self._send(Channel.CONTROL, control.pack(PivotRequest()))

    async def run(self) -> None:
        """Decodes and encodes what arrives, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                self._working = arrived = self._waiting.popleft()
                ready = await loop.run_in_executor(self._executor, self._prepare, arrived)
                self._working = None
                if ready is None:
                    self._assembler.forget(arrived[0])
                    self._request(self._clock())
                else:
                    self._stats.count("pivots_received")
                    self._cache.put(ready)
                    lend = partial(followed, self._reenactor, other=ready.encoded)
                    self._cache.update(lend, all_but=ready.pivot.pivot_id)

    def _prepare(self, arrived: _Arrived) -> ReadyPivot | None:
        """In the executor: None where the picture or the reenactor fails."""
        pivot_id, body, capture_ms, arrived_ms = arrived
        start_ms = self._clock()
        try:
            image = self._decoder.decode(body)
        except ProtocolError as error:
            self._stats.count("pivots_undecodable")
            _log.debug("pivot %d: %s", pivot_id, error)
            return None
        decoded_ms = self._clock()
        try:
            encoded = self._reenactor.encode(image, body.keypoints)
        except Exception as error:  # noqa: BLE001 - a network may fail in any way, and a call outlives it
            self._stats.count("encode_failed")
            _log.warning("the reenactor cannot use pivot %d: %s", pivot_id, error)
            return None
        self._stats.add_stage("pivot_decode", decoded_ms - start_ms)
        self._stats.add_stage("encode", self._clock() - decoded_ms)
        return ReadyPivot(Pivot(pivot_id, capture_ms, image, body.keypoints), encoded, arrived_ms)

    def _send(self, channel: Channel, data: bytes) -> None:
        self._stats.add_payload("control", len(data))
        self._link.send(channel, data)
