"""A small systematic erasure code: any n of n parts and their parities give the n parts back.

Parity row j is the sum over i of part i times 1 / (x_j + y_i) in GF(256), x_j = 255 - j, y_i = i: a Cauchy matrix,
every square submatrix of which can be inverted (Blömer et al., "An XOR-based erasure-resilient coding scheme", 1995).
For one part, any parity row is a multiple of it; for two or more, row 0 alone makes good any one loss. Sans-IO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MAX_PARTS = 255
"""Parts and parities together."""
_POLYNOMIAL = 0x11D


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    power, log = np.zeros(512, dtype=np.uint8), np.zeros(256, dtype=np.int64)
    value = 1
    for exponent in range(255):
        power[exponent] = power[exponent + 255] = value
        log[value] = exponent
        value <<= 1
        if value & 0x100:
            value ^= _POLYNOMIAL
    return power, log


_POWER, _LOG = _tables()


def _multiply(factor: int, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if factor == 0:
        return np.zeros_like(values)
    return np.where(values == 0, 0, _POWER[_LOG[values] + _LOG[factor]]).astype(np.uint8)


def _inverse(value: int) -> int:
    return int(_POWER[255 - _LOG[value]])


def _factor(row: int, column: int) -> int:
    return _inverse((255 - row) ^ column)


def parity(parts: Sequence[bytes], row: int) -> bytes:
    """Parity number `row` (from 0) of parts of equal length; at most MAX_PARTS parts and rows together."""
    total = np.zeros(len(parts[0]), dtype=np.uint8)
    for column, part in enumerate(parts):
        total ^= _multiply(_factor(row, column), np.frombuffer(part, dtype=np.uint8))
    return total.tobytes()


def recover(parts: Mapping[int, bytes], count: int) -> list[bytes]:
    """The `count` parts from any `count` of them by index; indices from `count` on are parities. All of equal length.

    Raises:
        ValueError: fewer than `count`.
    """
    missing = [index for index in range(count) if index not in parts]
    rows = sorted(index - count for index in parts if index >= count)[: len(missing)]
    if len(rows) < len(missing):
        raise ValueError(f"{len(parts)} parts of {count}")
    sums = []
    for row in rows:
        total = np.frombuffer(parts[count + row], dtype=np.uint8).copy()
        for column in range(count):
            if column in parts:
                total ^= _multiply(_factor(row, column), np.frombuffer(parts[column], dtype=np.uint8))
        sums.append(total)
    found = _solve([[_factor(row, column) for column in missing] for row in rows], sums)
    whole = dict(zip(missing, found, strict=True))
    return [whole[index].tobytes() if index in whole else parts[index] for index in range(count)]


def _solve(matrix: list[list[int]], sums: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Gauss and Jordan's elimination; a Cauchy matrix needs no search for pivots."""
    size = len(matrix)
    left = np.array(matrix, dtype=np.uint8).reshape(size, size)
    for step in range(size):
        scale = _inverse(int(left[step, step]))
        left[step], sums[step] = _multiply(scale, left[step]), _multiply(scale, sums[step])
        for other in range(size):
            if other != step and left[other, step]:
                factor = int(left[other, step])
                left[other] ^= _multiply(factor, left[step])
                sums[other] = sums[other] ^ _multiply(factor, sums[step])
    return sums
