"""Reassembly and acknowledgement of pivots, and the cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avcall.common.errors import ProtocolError
from avcall.common.frames import Pivot
from avcall.common.pivot_format import PivotBody, PivotCodec, PivotSlice, parity_slices, slice_pivot
from avcall.receiver.pivots import ACK_EVERY_MS, MAX_PARTIAL, STALE_MS, PivotAssembler, PivotCache, ReadyPivot

KEYPOINTS = np.zeros((10, 2), np.float32)
PICTURE = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
BODY = PivotBody(PivotCodec.AVIF, 64, 48, 1234, KEYPOINTS, PICTURE)


def slices(pivot_id: int = 5) -> list[PivotSlice]:
    return slice_pivot(pivot_id, BODY)


def test_slices_in_any_order_make_the_body() -> None:
    assembler = PivotAssembler()
    first, second, third = slices()
    assert assembler.add(third, 0.0) is None
    assert assembler.add(first, 1.0) is None
    body = assembler.add(second, 2.0)
    assert body is not None
    assert (body.picture, body.width, body.height, body.capture_ms) == (PICTURE, 64, 48, 1234)


def test_a_finished_pivot_is_acknowledged_at_once_and_others_now_and_then() -> None:
    assembler = PivotAssembler()
    first, second, third = slices()
    assembler.add(first, 0.0)
    assert [ack.received for ack in assembler.acks(0.0)] == [frozenset({0})]
    assembler.add(second, 5.0)
    assert assembler.acks(5.0) == []
    assert [ack.received for ack in assembler.acks(ACK_EVERY_MS)] == [frozenset({0, 1})]
    assembler.add(third, ACK_EVERY_MS + 1)
    assert [ack.received for ack in assembler.acks(ACK_EVERY_MS + 1)] == [frozenset({0, 1, 2})]
    assert len(assembler.acks(1000.0)) == 1  # once more, in case that one was lost
    assert assembler.acks(2000.0) == []


def test_a_slice_sent_again_is_acknowledged_again_but_makes_no_second_pivot() -> None:
    assembler = PivotAssembler()
    for part in slices():
        assembler.add(part, 0.0)
    assembler.acks(0.0)
    assert assembler.add(slices()[1], 100.0) is None
    assert [ack.received for ack in assembler.acks(100.0)] == [frozenset({0, 1, 2})]
    assert assembler.duplicates == 1


def test_parity_completes_a_pivot_and_is_acknowledged_but_late_parity_is_not() -> None:
    assembler = PivotAssembler()
    parts = slices()
    parity, late = parity_slices(parts, 2)
    assembler.add(parts[0], 0.0)
    assembler.add(parity, 1.0)
    body = assembler.add(parts[2], 2.0)
    assert body is not None
    assert body.picture == PICTURE
    (ack,) = assembler.acks(2.0)
    assert ack.received == {0, 2, 3}
    while assembler.acks(2000.0):
        pass
    assert assembler.add(late, 3000.0) is None
    assert assembler.acks(3000.0) == []
    assembler.add(late, 3100.0)  # again: the sender has not heard
    (ack,) = assembler.acks(3100.0)
    assert ack.received == {0, 2, 3, 4}


def test_a_pivot_of_no_use_may_come_again() -> None:
    assembler = PivotAssembler()
    for part in slices():
        assembler.add(part, 0.0)
    assembler.forget(5)
    assert [assembler.add(part, 1.0) is not None for part in slices()] == [False, False, True]


def test_slices_that_disagree_are_refused() -> None:
    assembler = PivotAssembler()
    first, second, _ = slices()
    assembler.add(first, 0.0)
    with pytest.raises(ProtocolError):
        assembler.add(PivotSlice(5, 0, 1, 20, bytes(20)), 1.0)
    assert assembler.add(second, 2.0) is None


def test_a_body_without_sense_is_refused() -> None:
    with pytest.raises(ProtocolError):
        PivotAssembler().add(PivotSlice(1, 0, 1, 20, bytes(20)), 0.0)


def test_memory_is_bounded() -> None:
    assembler = PivotAssembler()
    for pivot_id in range(1000):
        assembler.add(slices(pivot_id)[0], float(pivot_id))
    kept = [pivot_id for pivot_id in range(1000) if assembler.last_slice_ms(pivot_id) is not None]
    assert kept == list(range(1000 - MAX_PARTIAL, 1000))
    assert len(assembler.acks(2000.0)) == MAX_PARTIAL


def test_what_never_finishes_is_forgotten() -> None:
    assembler = PivotAssembler()
    assembler.add(slices(1)[0], 0.0)
    assembler.add(slices(2)[0], STALE_MS + 1)
    assert assembler.last_slice_ms(1) is None
    assert assembler.last_slice_ms(2) == STALE_MS + 1


def ready(pivot_id: int, arrived_ms: float = 0.0) -> ReadyPivot:
    return ReadyPivot(Pivot(pivot_id, 0.0, np.zeros((16, 16, 3), np.uint8), KEYPOINTS), object(), arrived_ms)


def test_the_cache_drops_the_least_recently_used() -> None:
    cache = PivotCache(capacity=2)
    cache.put(ready(1))
    cache.put(ready(2))
    assert cache.get(1) is not None
    cache.put(ready(3))
    assert cache.get(2) is None
    assert cache.get(1) is not None
    assert len(cache) == 2


def test_an_id_used_again_replaces_the_old_pivot() -> None:
    cache = PivotCache()
    cache.put(ready(65535, 1.0))
    cache.put(ready(65535, 2.0))
    again = cache.get(65535)
    assert again is not None
    assert again.arrived_ms == 2.0
    assert len(cache) == 1


def test_all_but_one_can_be_encoded_anew() -> None:
    cache = PivotCache()
    for pivot_id in range(3):
        cache.put(replace(ready(pivot_id, 10.0 * pivot_id), encoded=f"{pivot_id}"))
    assert cache.get(0) is not None  # the one used last is not the one that came last
    cache.update(lambda encoded: f"{encoded} and 2", all_but=2)
    kept = [cache.get(pivot_id) for pivot_id in range(3)]
    assert [one.encoded for one in kept if one] == ["0 and 2", "1 and 2", "2"]
    assert [one.arrived_ms for one in kept if one] == [0.0, 10.0, 20.0]


def test_a_whole_pivot_is_acknowledged_three_times() -> None:
    assembler = PivotAssembler()
    body = PivotBody(PivotCodec.AVIF, 64, 64, 0, np.zeros((10, 2), np.float32), b"picture")
    (part,) = slice_pivot(4, body)
    assert assembler.add(part, 1000.0) is not None
    times = [now for now in range(1000, 3000, 20) for _ in assembler.acks(float(now))]
    assert times == [1000, 1100, 1300]
