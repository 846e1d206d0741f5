"""32-bit capture times unwrapped, and hostile ones refused."""

from __future__ import annotations

import pytest

from avcall.common.errors import ProtocolError
from avcall.receiver.sender_time import SenderTime


def test_on_one_machine_it_is_that_machines_clock() -> None:
    time = SenderTime()
    after_fifty_days_ms = 2**32 + 5_000.0
    assert time.media_ms(4_900, after_fifty_days_ms) == 2**32 + 4_900


def test_it_runs_on_where_the_counter_wraps() -> None:
    time = SenderTime()
    first = time.media_ms(2**32 - 20, 1_000.0)
    assert time.media_ms(20, 1_040.0) == first + 40
    assert time.nearest(2**32 - 60, 1_040.0) == first - 40


def test_times_that_cannot_be_are_refused() -> None:
    time = SenderTime()
    time.media_ms(50_000, 0.0)
    for wrong in (0, 100_000, 2**31, 2**32 - 1):
        with pytest.raises(ProtocolError):
            time.media_ms(wrong, 10.0)
    assert time.media_ms(50_040, 40.0) == pytest.approx(50_040, abs=2**33) == time.nearest(50_040, 40.0)
    assert time.jumps == 0


def test_a_clock_that_really_jumped_is_believed_in_the_end() -> None:
    time = SenderTime()
    time.media_ms(50_000, 0.0)
    refused = 0
    for i in range(40):
        try:
            time.media_ms(900_000 + 40 * i, 40.0 * i)
        except ProtocolError:
            refused += 1
    assert refused == 24
    assert time.jumps == 1
