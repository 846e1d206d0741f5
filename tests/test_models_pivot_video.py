"""Chains of pivots: in step, bit for bit; sizes; and bytes that mean harm."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avcall.common.errors import ProtocolError
from avcall.common.keypoints import Image
from avcall.common.pivot_format import PivotCodec
from avcall.models import pivot_video
from avcall.models.pivot_codec import decode_pivot
from avcall.models.pivot_video import (
    COARSEST_CRF,
    PRESET,
    PROBE_PRESET,
    ChainDecoder,
    CodedPivot,
    IntraPivotEncoder,
    PivotVideoEncoder,
    open_chain,
    rate_factor,
)
from avcall.models.svt_av1 import open_svt_av1
from tests.test_models_pivot_codec import portrait, psnr


def moved(step: int, side: int = 128) -> Image:
    """The portrait, shifted by two pixels a step."""
    shift = np.array([[1, 0, 2.0 * step], [0, 1, step]], dtype=np.float32)
    return np.asarray(cv2.warpAffine(portrait(side, 1.0), shift, (side, side), borderMode=cv2.BORDER_REFLECT))


PICTURES = [moved(step) for step in range(6)]


def chain(pictures: list[Image], budget_kbps: float = 6.0) -> list[CodedPivot]:
    encoder = PivotVideoEncoder(budget_kbps)
    return [encoder.encode(picture) for picture in pictures]


CHAIN = chain(PICTURES)


def test_both_ends_see_the_same_pixels() -> None:
    decoder = ChainDecoder(128, 128)
    for picture, coded in zip(PICTURES, CHAIN, strict=True):
        shown = decoder.decode(coded.data)
        assert np.array_equal(shown, coded.shown)
        assert psnr(picture, shown) > 27


def test_links_are_numbered_and_cost_a_fraction_of_the_key_frame() -> None:
    assert [(coded.codec, coded.chain, coded.link) for coded in CHAIN] == [
        (PivotCodec.AV1_CHAIN, 0, link) for link in range(6)
    ]
    sizes = [len(coded.data) for coded in CHAIN]
    assert max(sizes[1:]) < sizes[0] / 3


def test_a_restart_begins_a_chain_that_needs_nothing_else() -> None:
    encoder = PivotVideoEncoder(6.0)
    for picture in PICTURES[:3]:
        encoder.encode(picture)
    encoder.restart()
    coded = encoder.encode(PICTURES[3])
    assert (coded.chain, coded.link) == (1, 0)
    assert np.array_equal(ChainDecoder(128, 128).decode(coded.data), coded.shown)
    assert encoder.encode(PICTURES[4]).link == 1


def test_another_size_begins_a_chain() -> None:
    encoder = PivotVideoEncoder(6.0)
    encoder.encode(PICTURES[0])
    coded = encoder.encode(moved(1, 256))
    assert (coded.chain, coded.link, coded.shown.shape) == (1, 0, (256, 256, 3))


def test_chain_ids_wrap() -> None:
    encoder = PivotVideoEncoder(1.0)
    chains = []
    for _ in range(257):
        encoder.restart()
        chains.append(encoder.encode(np.zeros((16, 16, 3), np.uint8)).chain)
    assert chains[0] == 0
    assert chains[255:] == [255, 0]


def test_the_budget_sets_the_quality_and_only_a_large_change_costs_a_key_frame() -> None:
    assert [rate_factor(kbps) for kbps in (0.5, 1.5, 3.0, 6.0, 12.0, 100.0)] == [50, 45, 40, 36, 33, 30]
    encoder = PivotVideoEncoder(6.0)
    encoder.encode(PICTURES[0])
    encoder.set_budget(3.0)
    assert [encoder.encode(PICTURES[1]).link for _ in range(8)] == list(range(1, 9))
    assert encoder.successor_bytes is None
    encoder.set_budget(0.5)
    assert encoder.successor_bytes is not None  # 14 steps of crf
    encoder.restart()
    assert [encoder.encode(PICTURES[2]).link for _ in range(2)] == [0, 1]
    encoder.set_budget(100.0)
    assert encoder.successor_bytes is None  # the chain is young
    assert len(chain(PICTURES[:1], 1.5)[0].data) < len(chain(PICTURES[:1], 12.0)[0].data) / 2


@pytest.mark.parametrize(("key_s", "most"), [(4.0, 3000), (0.1, 2700)])
def test_a_key_frame_fits_its_seconds_of_the_budget(key_s: float, most: int) -> None:
    noise = np.random.default_rng(0).integers(60, 200, (32, 32, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    assert len(PivotVideoEncoder(6.0).encode(noise).data) > 3000
    coded = PivotVideoEncoder(6.0, key_s=key_s).encode(noise)
    assert 0.5 * most < len(coded.data) <= most
    assert np.array_equal(ChainDecoder(128, 128).decode(coded.data), coded.shown)


def test_the_slow_preset_codes_a_key_frame_once(monkeypatch: pytest.MonkeyPatch) -> None:
    presets: list[int] = []

    def opened(width: int, height: int, options: dict[str, str]) -> Any:
        presets.append(int(options["preset"]))
        return open_svt_av1(width, height, options)

    monkeypatch.setattr(pivot_video, "open_svt_av1", opened)
    noise = np.random.default_rng(0).integers(60, 200, (32, 32, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    assert len(PivotVideoEncoder(6.0, key_s=4.0).encode(noise).data) <= 3000
    assert presets.count(PRESET) == 1
    assert presets.count(PROBE_PRESET) >= 2
    presets.clear()
    PivotVideoEncoder(6.0).encode(noise)
    assert presets == [PRESET], "without a limit there is nothing to find"


def test_links_are_finer_than_a_key_frame_that_had_to_be_coarse() -> None:
    texture = np.random.default_rng(0).integers(60, 200, (32, 32, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    turned = texture.copy()
    turned[32:96, 32:96] = texture[64:, :64]
    encoder = PivotVideoEncoder(2.8, quick_start=True, key_s=6.0)
    key, link = encoder.encode(texture), encoder.encode(turned)
    alike = open_chain(128, 128, COARSEST_CRF), ChainDecoder(128, 128)
    for number, picture in enumerate((texture, turned)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        coarse = alike[1].decode(b"".join(bytes(packet) for packet in alike[0].encode(frame)))
    assert (key.link, link.link) == (0, 1)
    assert psnr(turned, link.shown) > psnr(turned, coarse) + 1.0


def test_a_quick_start_is_coarse_and_a_better_chain_is_on_offer() -> None:
    quick, plain = PivotVideoEncoder(6.0, quick_start=True), PivotVideoEncoder(6.0)
    coded = [quick.encode(PICTURES[0]) for _ in range(9)]
    key_bytes = len(plain.encode(PICTURES[0]).data)
    assert len(coded[0].data) < 0.8 * key_bytes
    assert quick.successor_bytes == pytest.approx(key_bytes, rel=0.25)
    quick.restart()
    coded.append(quick.encode(PICTURES[0]))
    assert [pivot.link for pivot in coded] == [*range(9), 0]
    assert psnr(PICTURES[0], coded[9].shown) > psnr(PICTURES[0], coded[8].shown) + 0.5


def test_a_pivot_on_its_own_is_what_its_decoder_gives() -> None:
    coded = IntraPivotEncoder(2000).encode(PICTURES[0])
    assert (coded.codec, coded.chain, coded.link) == (PivotCodec.AVIF, 0, 0)
    assert len(coded.data) <= 2000
    assert np.array_equal(coded.shown, decode_pivot(PivotCodec.AVIF, coded.data, 128, 128))


def test_a_link_without_its_predecessor_is_refused() -> None:
    with pytest.raises(ProtocolError):
        ChainDecoder(128, 128).decode(CHAIN[1].data)


def test_hostile_links_raise_protocol_errors_only() -> None:
    bomb = chain([np.zeros((1024, 1024, 3), np.uint8)])[0].data
    other_size = chain([moved(0, 64)])[0].data
    for bad in (b"", b"\0", b"GIF89a", CHAIN[0].data[:40], bomb, other_size):
        with pytest.raises(ProtocolError):
            ChainDecoder(128, 128).decode(bad)


def test_two_links_in_one_are_found_out() -> None:
    decoder = ChainDecoder(128, 128)
    decoder.decode(CHAIN[0].data + CHAIN[1].data)
    with pytest.raises(ProtocolError, match="2 pictures"):
        decoder.decode(CHAIN[2].data)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.data())
def test_damage_never_crashes(damaged: int, data: st.DataObject) -> None:
    decoder = ChainDecoder(128, 128)
    for link, coded in enumerate(CHAIN[:3]):
        sent = bytearray(coded.data)
        if link == damaged:
            for _ in range(data.draw(st.integers(1, 4))):
                sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
        try:
            shown = decoder.decode(bytes(sent))
        except ProtocolError:
            return
        assert shown.shape == (128, 128, 3)
