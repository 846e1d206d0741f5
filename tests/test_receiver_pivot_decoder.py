"""Links in their order: what is missing, late, repeated or damaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avcall.common.errors import ProtocolError
from avcall.common.pivot_format import PivotBody, PivotCodec
from avcall.models.pivot_codec import encode_pivot
from avcall.models.pivot_video import CodedPivot, PivotVideoEncoder
from avcall.receiver.pivot_decoder import PivotDecoder
from tests.test_models_pivot_video import PICTURES


def body(coded: CodedPivot) -> PivotBody:
    points = np.zeros((10, 2), np.float32)
    return PivotBody(coded.codec, 128, 128, 0, points, coded.data, coded.chain, coded.link)


def coded(count: int, restarts: tuple[int, ...] = ()) -> list[CodedPivot]:
    encoder = PivotVideoEncoder(6.0)
    found = []
    for number in range(count):
        if number in restarts:
            encoder.restart()
        found.append(encoder.encode(PICTURES[number]))
    return found


CHAIN = coded(4)


def test_a_chain_in_order() -> None:
    decoder = PivotDecoder()
    for link in CHAIN:
        assert np.array_equal(decoder.decode(body(link)), link.shown)


def test_a_receiver_that_joins_late_waits_for_a_key_frame() -> None:
    decoder = PivotDecoder()
    links = coded(4, restarts=(2,))
    for link in links[1:2]:
        with pytest.raises(ProtocolError, match="link 1 of pivot chain 0 without the one before it"):
            decoder.decode(body(link))
    for link in links[2:]:
        assert np.array_equal(decoder.decode(body(link)), link.shown)


def test_a_missing_link_is_named_and_the_right_one_still_fits() -> None:
    decoder = PivotDecoder()
    decoder.decode(body(CHAIN[0]))
    with pytest.raises(ProtocolError, match="link 2"):
        decoder.decode(body(CHAIN[2]))
    assert np.array_equal(decoder.decode(body(CHAIN[1])), CHAIN[1].shown)
    with pytest.raises(ProtocolError, match="link 1"):
        decoder.decode(body(CHAIN[1]))
    assert np.array_equal(decoder.decode(body(CHAIN[2])), CHAIN[2].shown)


def test_a_damaged_link_closes_its_chain() -> None:
    decoder = PivotDecoder()
    decoder.decode(body(CHAIN[0]))
    with pytest.raises(ProtocolError):
        decoder.decode(replace(body(CHAIN[1]), picture=b"GIF89a"))
    with pytest.raises(ProtocolError, match="without the one before it"):
        decoder.decode(body(CHAIN[1]))


def test_the_last_link_of_the_chain_before_may_still_come() -> None:
    decoder = PivotDecoder()
    first, second, third = coded(3, restarts=(2,))
    decoder.decode(body(first))
    assert np.array_equal(decoder.decode(body(third)), third.shown)
    assert np.array_equal(decoder.decode(body(second)), second.shown)


def test_a_chain_of_another_size_is_refused() -> None:
    decoder = PivotDecoder()
    decoder.decode(body(CHAIN[0]))
    with pytest.raises(ProtocolError):
        decoder.decode(replace(body(CHAIN[1]), width=256))


def test_memory_is_bounded_whatever_chains_are_begun() -> None:
    decoder = PivotDecoder()
    for chain in range(200):
        decoder.decode(replace(body(CHAIN[0]), chain=chain))
    assert len(decoder._chains) == 2


def test_a_pivot_on_its_own_leaves_chains_alone() -> None:
    decoder = PivotDecoder()
    decoder.decode(body(CHAIN[0]))
    codec, data = encode_pivot(PICTURES[0], 2000)
    assert codec is PivotCodec.AVIF
    assert decoder.decode(PivotBody(codec, 128, 128, 0, np.zeros((10, 2), np.float32), data)).shape == (128, 128, 3)
    assert np.array_equal(decoder.decode(body(CHAIN[1])), CHAIN[1].shown)
