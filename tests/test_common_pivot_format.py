"""Pivots cut into slices and put together again, with parity; and bytes that mean harm."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avcall.common import wire
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.pivot_format import (
    KEYPOINT_LIMIT,
    MAX_PARITY,
    MAX_PIVOT_BYTES,
    MAX_PIVOT_SIDE,
    MAX_SLICES,
    SLICE_DATA_BYTES,
    PivotBody,
    PivotCodec,
    PivotSlice,
    join_slices,
    pack_body,
    parity_slices,
    parse_pivot,
    rounded,
    slice_pivot,
)

POINTS = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16
BODY = PivotBody(PivotCodec.AV1_CHAIN, 256, 256, 1_000_000, POINTS, bytes(range(200)), 3, 258)
u32 = st.integers(0, 2**32 - 1)
points = st.lists(st.floats(-4, 3.984375, width=32), min_size=20, max_size=20).map(
    lambda values: np.array(values, dtype=np.float32).reshape(COUNT, 2)
)


def test_the_layout_of_a_body() -> None:
    packed = pack_body(BODY)
    assert packed[:12].hex(" ") == "03 03 02 01 00 01 00 01 40 42 0f 00"
    assert packed[12:16].hex(" ") == "00 ec 00 ee"  # -10/16 and -9/16 in steps of 1/8192
    assert packed[52:] == BODY.picture


@given(st.integers(1, 20_000), u32, points, st.sampled_from(PivotCodec), st.integers(50, 2000))
def test_a_pivot_survives_slicing(
    size: int, capture_ms: int, keypoints: Keypoints, codec: PivotCodec, most: int
) -> None:
    picture = np.random.default_rng(size).bytes(size)
    slices = slice_pivot(9, PivotBody(codec, 256, 256, capture_ms, keypoints, picture), most)
    assert all(len(part.data) <= max(most, -(-(size + 52) // MAX_SLICES)) for part in slices)
    arrived = [wire.parse(wire.pack(part)) for part in slices]
    parts = {part.index: part.data for part in arrived if isinstance(part, PivotSlice)}
    body = join_slices(parts, slices[0].length, len(slices))
    assert body is not None
    parsed = parse_pivot(body)
    assert (parsed.picture, parsed.codec, parsed.capture_ms) == (picture, codec, capture_ms)
    assert np.array_equal(parsed.keypoints, rounded(keypoints))
    assert np.abs(parsed.keypoints - keypoints).max() <= 0.5 / 8192 + 1e-6


def test_slices_are_of_one_length_but_for_the_last() -> None:
    slices = slice_pivot(9, PivotBody(PivotCodec.AVIF, 256, 256, 0, POINTS, bytes(3000)))
    assert [len(part.data) for part in slices] == [1018, 1018, 1016]
    assert [len(part.data) for part in slice_pivot(9, BODY, 100)] == [84, 84, 84]


def test_rounding_twice_changes_nothing_and_keeps_to_the_limit() -> None:
    wild = np.array([[9, -9]] * COUNT, dtype=np.float32)
    assert np.abs(rounded(wild)).max() <= KEYPOINT_LIMIT
    assert np.array_equal(rounded(rounded(POINTS + 0.0001)), rounded(POINTS + 0.0001))


@pytest.mark.parametrize("lost", [{0}, {2}, {0, 1}, {1, 2}, {0, 1, 2}])
def test_parity_replaces_what_is_lost(lost: set[int]) -> None:
    slices = slice_pivot(9, PivotBody(PivotCodec.AVIF, 256, 256, 0, POINTS, np.random.default_rng(1).bytes(3000)))
    every = [wire.parse(wire.pack(part)) for part in [*slices, *parity_slices(slices, 3)]]
    parts = {part.index: part.data for part in every if isinstance(part, PivotSlice) and part.index not in lost}
    body = join_slices(parts, slices[0].length, 3)
    assert body == b"".join(part.data for part in slices)
    del parts[5]
    assert (join_slices(parts, slices[0].length, 3) is None) == (len(lost) == 3)


def test_no_more_parity_than_the_wire_allows() -> None:
    assert [part.index for part in parity_slices(slice_pivot(9, BODY), 99)] == list(range(1, 1 + MAX_PARITY))


def test_a_picture_too_large_is_refused() -> None:
    assert (
        len(slice_pivot(0, PivotBody(PivotCodec.AVIF, 256, 256, 0, POINTS, bytes(MAX_PIVOT_BYTES - 52)))) == MAX_SLICES
    )
    with pytest.raises(ValueError, match="exceeds"):
        slice_pivot(0, PivotBody(PivotCodec.AVIF, 256, 256, 0, POINTS, bytes(MAX_PIVOT_BYTES)))


@pytest.mark.parametrize(
    "part",
    [
        PivotSlice(1, 0, 0, 5, b"hello"),  # no slices
        PivotSlice(1, 0, 240, 5, b"hello"),  # too many
        PivotSlice(1, 0, 6, 5, b"h"),  # more than bytes
        PivotSlice(1, 0, 1, SLICE_DATA_BYTES + 1, bytes(SLICE_DATA_BYTES)),  # too long for one
        PivotSlice(1, 17, 1, 5, b"hello"),  # past the parity
        PivotSlice(1, 1, 2, 5, b"abc"),  # longer than what is left
        PivotSlice(1, 2, 2, 5, b"ab"),  # parity shorter than the slices
    ],
)
def test_slices_that_make_no_sense_are_refused(part: PivotSlice) -> None:
    with pytest.raises(ProtocolError):
        wire.parse(wire.pack(part))


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0), (0, 4), (0, 1), (4, 15), (5, 5), (6, 15), (7, 5)]
)  # unknown codec, a chain of another codec, sides too small or large
def test_bodies_that_make_no_sense_are_refused(at: int, value: int) -> None:
    data = bytearray(pack_body(BODY))
    data[at] = value
    if at in (4, 6):
        data[at + 1] = 0
    with pytest.raises(ProtocolError):
        parse_pivot(bytes(data))


def test_hostile_bodies_parse_or_are_refused() -> None:
    rng = random.Random(3)
    refused = 0
    for _ in range(5_000):
        data = bytearray(pack_body(BODY))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(12)] = rng.randrange(256)
        try:
            body = parse_pivot(bytes(data[: rng.randrange(len(data) + 1)]))
        except ProtocolError:
            refused += 1
            continue
        assert max(body.width, body.height) <= MAX_PIVOT_SIDE
        assert np.abs(body.keypoints).max() <= KEYPOINT_LIMIT
    assert 500 < refused < 5_000
