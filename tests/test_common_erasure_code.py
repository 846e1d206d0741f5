"""Any n of n parts and their parities."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from avcall.common.erasure_code import parity, recover

PARTS = [bytes([1, 2, 3]), bytes([0, 255, 16]), bytes([7, 7, 7]), bytes([200, 100, 50])]


def coded(count: int, rows: int) -> dict[int, bytes]:
    parts = PARTS[:count]
    return dict(enumerate([*parts, *(parity(parts, row) for row in range(rows))]))


def test_parity_by_hand() -> None:
    # 1 / (255 + 0) and 1 / (255 + 1) in GF(256) modulo 0x11d: 255 * 253 = 254 * 126 = 1
    assert parity([bytes([1]), bytes([0])], 0) == bytes([253])
    assert parity([bytes([0]), bytes([1])], 0) == bytes([126])
    assert parity([bytes([1]), bytes([1])], 0) == bytes([253 ^ 126])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_any_of_them_suffice(count: int) -> None:
    every = coded(count, 3)
    for chosen in combinations(every, count):
        assert recover({index: every[index] for index in chosen}, count) == PARTS[:count]


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="3 parts of 4"):
        recover({0: PARTS[0], 1: PARTS[1], 4: PARTS[2]}, 4)


def test_as_many_as_the_wire_allows() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.bytes(50) for _ in range(239)]
    here = {index: part for index, part in enumerate(parts) if index >= 16}
    here |= {239 + row: parity(parts, row) for row in range(16)}
    assert recover(here, 239) == parts
