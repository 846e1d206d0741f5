"""The pivot's picture as bytes: quality, size, and bytes that mean harm."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avcall.common.errors import ProtocolError
from avcall.common.keypoints import Image
from avcall.common.wire import PivotCodec
from avcall.models import pivot_codec
from avcall.models.pivot_codec import PivotEncoder, decode_pivot, encode_av1, encode_pivot, encode_webp


def portrait(side: int = 256, detail: float = 6.0) -> Image:
    """Something smooth with edges and a little noise, as a face is."""
    yy, xx = np.mgrid[:side, :side] / side
    rng = np.random.default_rng(0)
    image = np.stack([120 + 80 * xx, 90 + 70 * yy, 140 - 60 * xx * yy], axis=-1)
    image[(xx - 0.5) ** 2 / 0.06 + (yy - 0.45) ** 2 / 0.1 < 1] = (205, 160, 130)
    noise = cv2.GaussianBlur(rng.normal(0, 8 * detail, image.shape), (0, 0), 1.0)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def psnr(a: Image, b: Image) -> float:
    return 10 * float(np.log10(255**2 / np.mean(np.square(a.astype(float) - b))))


PICTURE = portrait()
AV1 = encode_av1(PICTURE, 35)
WEBP = encode_webp(PICTURE, 50)


def test_the_budget_is_kept_and_used() -> None:
    codec, data = encode_pivot(PICTURE, 4000)
    assert codec is PivotCodec.AVIF
    assert 0.7 * 4000 < len(data) <= 4000
    assert psnr(PICTURE, decode_pivot(codec, data, 256, 256)) > 27


def test_more_bytes_are_better_pictures() -> None:
    qualities = []
    for budget in (1500, 3000, 6000):
        codec, data = encode_pivot(PICTURE, budget)
        assert len(data) <= budget
        qualities.append(psnr(PICTURE, decode_pivot(codec, data, 256, 256)))
    assert qualities == sorted(qualities)
    assert qualities[-1] > qualities[0] + 2


def test_the_next_picture_begins_where_the_last_one_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    trials: list[int] = []

    def counted(image: Image, crf: int) -> bytes:
        trials.append(crf)
        return encode_av1(image, crf)

    monkeypatch.setattr(pivot_codec, "encode_av1", counted)
    encoder = PivotEncoder()
    encoder.encode(PICTURE, 4000)
    first = len(trials)
    trials.clear()
    _, again = encoder.encode(PICTURE, 4000)
    assert len(trials) == 1 < first
    assert 0.7 * 4000 < len(again) <= 4000
    easy = encoder.encode(np.full((256, 256, 3), 128, dtype=np.uint8), 4000)[1]
    assert len(easy) < 300
    assert len(encoder.encode(PICTURE, 4000)[1]) <= 4000


@pytest.mark.parametrize("budget", [300, 700, 1500, 4000, 9000, 50_000])
def test_every_search_ends_within_its_budget(budget: int) -> None:
    encoder = PivotEncoder()
    for picture in (PICTURE, portrait(128, 1.0), PICTURE):
        smallest = len(encode_av1(picture, pivot_codec.WORST_CRF))
        assert len(encoder.encode(picture, budget)[1]) <= max(budget, smallest)


def test_an_easy_picture_does_not_waste_the_budget() -> None:
    codec, data = encode_pivot(np.full((256, 256, 3), 128, dtype=np.uint8), 5000)
    assert len(data) < 300
    assert np.abs(decode_pivot(codec, data, 256, 256).astype(int) - 128).max() <= 2


def test_a_hopeless_budget_gives_the_smallest_there_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    codec, data = encode_pivot(noise, 10)
    assert decode_pivot(codec, data, 256, 256).shape == (256, 256, 3)


@pytest.mark.parametrize("side", [16, 50, 64, 130, 255, 512, 1024])
def test_every_size_the_wire_allows(side: int) -> None:
    picture = portrait(side, detail=0.5)
    for codec, data in ((PivotCodec.AVIF, encode_av1(picture, 25)), (PivotCodec.WEBP, encode_webp(picture, 80))):
        assert psnr(picture, decode_pivot(codec, data, side, side)) > 28


def test_colours_survive() -> None:
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    picture[:32], picture[32:] = (200, 40, 30), (30, 60, 190)
    shown = decode_pivot(PivotCodec.AVIF, encode_av1(picture, 10), 64, 64).astype(int)
    assert np.abs(shown[16, 32] - (200, 40, 30)).max() < 8
    assert np.abs(shown[48, 32] - (30, 60, 190)).max() < 8


@pytest.mark.parametrize(("codec", "data"), [(PivotCodec.AVIF, AV1), (PivotCodec.WEBP, WEBP)])
def test_hostile_bytes_raise_protocol_errors_only(codec: PivotCodec, data: bytes) -> None:
    other = PivotCodec.WEBP if codec is PivotCodec.AVIF else PivotCodec.AVIF
    for bad, said in ((b"", codec), (b"\0", codec), (b"GIF89a", codec), (data[: len(data) // 8], codec), (data, other)):
        with pytest.raises(ProtocolError):
            decode_pivot(said, bad, 256, 256)
    for width, height in ((128, 256), (256, 128), (300, 300), (16, 16), (1024, 1024)):
        with pytest.raises(ProtocolError):
            decode_pivot(codec, data, width, height)


def test_a_bomb_is_refused_by_its_size() -> None:
    """A few hundred bytes that would unfold into 16 megapixels."""
    for codec, data in (
        (PivotCodec.AVIF, encode_av1(np.zeros((4096, 4096, 3), dtype=np.uint8), 63, preset=10)),
        (PivotCodec.WEBP, encode_webp(np.zeros((4096, 4096, 3), dtype=np.uint8), 1)),
    ):
        with pytest.raises(ProtocolError, match="cannot be decoded"):
            decode_pivot(codec, data, 256, 256)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([(PivotCodec.AVIF, AV1), (PivotCodec.WEBP, WEBP)]), st.data())
def test_damage_never_crashes(coded: tuple[PivotCodec, bytes], data: st.DataObject) -> None:
    codec, good = coded
    bad = bytearray(good[: data.draw(st.integers(1, len(good)))])
    for _ in range(data.draw(st.integers(1, 5))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    try:
        shown = decode_pivot(codec, bytes(bad), 256, 256)
    except ProtocolError:
        return
    assert shown.shape == (256, 256, 3)
