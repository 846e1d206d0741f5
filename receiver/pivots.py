"""Pivots on their way in: slices put together and acknowledged, and the finished ones kept. Sans-IO."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from avcall.common import pivot_format
from avcall.common.errors import ProtocolError
from avcall.common.frames import Pivot
from avcall.common.pivot_format import PivotAck, PivotBody, PivotSlice
from avcall.models.interfaces import Encoded

ACK_EVERY_MS = 50.0
"""Slices of a pivot that is still incomplete are acknowledged together, this often."""
ACK_AGAIN_MS = (100.0, 300.0)
"""A whole pivot is acknowledged again after this: a lost acknowledgement costs the sender a pivot sent again and a late
change of pivot, a repeated one 100 bytes."""
MAX_PARTIAL = 4
"""Pivots in reassembly at once: with `MAX_PIVOT_BYTES` this bounds the memory a peer can claim to 1.1 MB."""
MAX_FINISHED = 64
STALE_MS = 10_000.0


@dataclass(slots=True)
class _Partial:
    count: int
    length: int
    slice_ms: float
    parts: dict[int, bytes] = field(default_factory=dict)


class PivotAssembler:
    """Puts slices together and says what to acknowledge."""

    def __init__(self) -> None:
        self._partial: OrderedDict[int, _Partial] = OrderedDict()
        self._finished: OrderedDict[int, set[int]] = OrderedDict()
        self._unacknowledged: set[int] = set()
        self._again: list[tuple[float, int]] = []
        self._acknowledged_ms = float("-inf")
        self.duplicates = 0

    def add(self, part: PivotSlice, now_ms: float) -> PivotBody | None:
        """Takes one slice; returns the body when this completed it.

        Raises:
            ProtocolError: the slice disagrees with those before it, or the whole makes no sense.
        """
        pivot_id = part.pivot_id
        if pivot_id in self._finished:  # sent again because our acknowledgement was lost
            again = part.index in self._finished[pivot_id]
            self.duplicates += again
            self._finished[pivot_id].add(part.index)
            if part.index < part.count or again:  # parity that comes late means nothing, if it comes once
                self._unacknowledged.add(pivot_id)
            return None
        self._forget_stale(now_ms)
        partial = self._partial.setdefault(pivot_id, _Partial(part.count, part.length, now_ms))
        if (partial.count, partial.length) != (part.count, part.length):
            raise ProtocolError(f"slices of pivot {pivot_id} disagree about its length")
        if part.index in partial.parts:
            self.duplicates += 1
        partial.parts[part.index] = part.data
        partial.slice_ms = now_ms
        self._unacknowledged.add(pivot_id)
        body = pivot_format.join_slices(partial.parts, partial.length, partial.count)
        if body is None:
            return None
        del self._partial[pivot_id]
        self._finished[pivot_id] = set(partial.parts)
        while len(self._finished) > MAX_FINISHED:
            self._unacknowledged.discard(self._finished.popitem(last=False)[0])
        self._acknowledged_ms = float("-inf")  # tell the sender at once
        self._again += [(now_ms + later_ms, pivot_id) for later_ms in ACK_AGAIN_MS]
        return pivot_format.parse_pivot(body)

    def acks(self, now_ms: float) -> list[PivotAck]:
        """What to send back now; empty most of the time."""
        self._unacknowledged.update(key for due_ms, key in self._again if due_ms <= now_ms and key in self._finished)
        self._again = [(due_ms, key) for due_ms, key in self._again if due_ms > now_ms]
        if not self._unacknowledged or now_ms - self._acknowledged_ms < ACK_EVERY_MS:
            return []
        self._acknowledged_ms = now_ms
        acks = [self._ack(pivot_id) for pivot_id in sorted(self._unacknowledged)]
        self._unacknowledged.clear()
        return acks

    def forget(self, pivot_id: int) -> None:
        """The finished pivot was of no use (its picture could not be decoded): the same id may be sent again."""
        self._finished.pop(pivot_id, None)
        self._unacknowledged.discard(pivot_id)

    def last_slice_ms(self, pivot_id: int) -> float | None:
        """When the latest slice of a pivot in reassembly came; None if nothing of it is here."""
        partial = self._partial.get(pivot_id)
        return partial.slice_ms if partial else None

    def _ack(self, pivot_id: int) -> PivotAck:
        if pivot_id in self._finished:
            return PivotAck(pivot_id, frozenset(self._finished[pivot_id]))
        return PivotAck(pivot_id, frozenset(self._partial[pivot_id].parts))

    def _forget_stale(self, now_ms: float) -> None:
        for pivot_id in [key for key, value in self._partial.items() if now_ms - value.slice_ms > STALE_MS]:
            self._drop(pivot_id)
        while len(self._partial) > MAX_PARTIAL - 1:
            self._drop(min(self._partial, key=lambda key: self._partial[key].slice_ms))

    def _drop(self, pivot_id: int) -> None:
        del self._partial[pivot_id]
        self._unacknowledged.discard(pivot_id)


@dataclass(frozen=True, slots=True)
class ReadyPivot:
    """A pivot that frames can be driven from."""

    pivot: Pivot
    encoded: Encoded
    arrived_ms: float


class PivotCache:
    """The latest pivots by id; the least recently used one makes room."""

    def __init__(self, capacity: int = 8) -> None:
        self._capacity = capacity
        self._pivots: OrderedDict[int, ReadyPivot] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pivots)

    def put(self, ready: ReadyPivot) -> None:
        """Keeps a pivot; one with the same id (ids count modulo 2**16) is replaced."""
        self._pivots[ready.pivot.pivot_id] = ready
        self._pivots.move_to_end(ready.pivot.pivot_id)
        while len(self._pivots) > self._capacity:
            self._pivots.popitem(last=False)

    def update(self, change: Callable[[Encoded], Encoded], *, all_but: int) -> None:
        """Changes how all pivots but one are encoded."""
        for pivot_id, ready in self._pivots.items():
            if pivot_id != all_but:
                self._pivots[pivot_id] = replace(ready, encoded=change(ready.encoded))

    def get(self, pivot_id: int) -> ReadyPivot | None:
        """The pivot with that id, now the most recently used."""
        if pivot_id not in self._pivots:
            return None
        self._pivots.move_to_end(pivot_id)
        return self._pivots[pivot_id]
