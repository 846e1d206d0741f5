"""The media packets: the vectors of docs/wire.md, round trips, and hostile bytes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avcall.common import bundle_format, wire
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT, Keypoints

DOCS = Path(__file__).parents[1] / "docs" / "wire.md"
POINTS = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16

VECTORS: dict[str, wire.Packet] = {
    "keypoints": wire.KeypointPacket(258, 1_000_000, 7, POINTS, face_lost=True),
    "pivot-slice": wire.PivotSlice(7, 0, 1, 5, b"hello"),
    "voice": wire.VoicePacket(259, 1_000_020, b"\x0b\xe4", talk_start=True),
    "pivot-ack": wire.PivotAck(7, frozenset({0, 2, 33})),
    "bundle": wire.Bundle(
        65535,
        (1_000_000, 1_000_040, 1_000_081),
        7,
        bytes.fromhex("6a 45 4d 4a 82 18 d5 1e d9 ca a7"),
        (
            wire.VoicePacket(259, 1_000_020, b"\x0b\xe4", talk_start=True),
            wire.VoicePacket(260, 999_980, b"\x0b\xe5\x01"),
        ),
        face_lost=True,
    ),
}

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
points = st.lists(st.floats(-4, 4, width=32), min_size=20, max_size=20).map(
    lambda values: np.array(values, dtype=np.float32).reshape(COUNT, 2)
)


@st.composite
def bundles(draw: st.DrawFn) -> wire.Bundle:
    start_ms, first = draw(u32), draw(u16)
    gaps = draw(st.lists(st.integers(1, bundle_format.MAX_FRAME_GAP_MS), max_size=bundle_format.MAX_BUNDLE_FRAMES - 1))
    offsets = draw(st.lists(st.integers(-32_000, 32_000), max_size=bundle_format.MAX_BUNDLE_VOICE))
    opus = st.binary(min_size=1, max_size=60)
    voice = [
        wire.VoicePacket((first + i) % 2**16, (start_ms + offset) % 2**32, draw(opus), draw(st.booleans()))
        for i, offset in enumerate(offsets)
    ]
    times = tuple((start_ms + past_ms) % 2**32 for past_ms in accumulate(gaps, initial=0))
    return wire.Bundle(draw(u16), times, draw(u16), draw(st.binary(max_size=200)), tuple(voice), draw(st.booleans()))


packets = st.one_of(
    bundles(),
    st.builds(wire.KeypointPacket, u16, u32, u16, points, st.booleans()),
    st.builds(wire.VoicePacket, u16, u32, st.binary(min_size=1, max_size=400), st.booleans()),
    st.builds(wire.PivotAck, u16, st.frozensets(st.integers(0, wire.MAX_SLICES - 1))),
)


def same(a: object, b: object) -> bool:
    """Dataclass equality that also compares arrays."""
    if isinstance(a, wire.KeypointPacket) and isinstance(b, wire.KeypointPacket):
        heads = [(p.sequence, p.capture_ms, p.pivot_id, p.face_lost) for p in (a, b)]
        return heads[0] == heads[1] and np.array_equal(a.keypoints, b.keypoints)
    return a == b


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_of_the_documentation(name: str) -> None:
    match = re.search(rf"<!-- vector {name} -->\s*```\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert match, f"docs/wire.md has no vector {name}"
    documented = bytes.fromhex(match[1])
    assert wire.pack(VECTORS[name]) == documented
    assert same(wire.parse(documented), VECTORS[name])


def test_the_keypoint_field_is_exactly_eighty_bytes_of_little_endian_floats() -> None:
    packed = wire.pack(VECTORS["keypoints"])
    assert len(packed) == 10 + 80
    assert packed[10:] == POINTS.astype("<f4").tobytes()


@given(packets)
def test_round_trip(packet: wire.Packet) -> None:
    assert same(wire.parse(wire.pack(packet)), packet)


@given(st.integers(1, 20_000), u32, points, st.sampled_from(wire.PivotCodec))
def test_a_pivot_survives_slicing(size: int, capture_ms: int, keypoints: Keypoints, codec: wire.PivotCodec) -> None:
    picture = np.random.default_rng(size).bytes(size)
    slices = wire.slice_pivot(9, wire.PivotBody(codec, 256, 256, capture_ms, keypoints, picture))
    assert all(len(wire.pack(part)) <= wire.MTU_BYTES for part in slices)
    body = b"".join(p.data for p in (wire.parse(wire.pack(s)) for s in slices) if isinstance(p, wire.PivotSlice))
    parsed = wire.parse_pivot(body)
    assert (parsed.picture, parsed.codec, parsed.capture_ms) == (picture, codec, capture_ms)
    assert np.array_equal(parsed.keypoints, keypoints)


def test_missing_lists_what_the_ack_lacks() -> None:
    slices = wire.slice_pivot(3, wire.PivotBody(wire.PivotCodec.AVIF, 256, 256, 0, POINTS, bytes(3000)))
    assert [p.index for p in wire.missing(slices, wire.PivotAck(3, frozenset({1})))] == [0, 2]


def hostile(count: int, seeds: list[bytes]) -> Iterator[bytes]:
    """Random bytes, and packets with bytes overwritten and cut: the same ones every run."""
    rng = random.Random(20)
    for _ in range(count):
        if rng.random() < 0.3:
            yield bytes([rng.randrange(7)]) + rng.randbytes(rng.randrange(120))
            continue
        damaged = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        yield bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged) + 1)])])


def test_hostile_packets_parse_or_are_refused() -> None:
    refused = 0
    for data in hostile(20_000, [wire.pack(packet) for packet in VECTORS.values()]):
        try:
            parsed = wire.parse(data)
        except ProtocolError:
            refused += 1
            continue
        assert len(wire.pack(parsed)) <= wire.MTU_BYTES
        if isinstance(parsed, wire.KeypointPacket):
            assert np.all(np.abs(parsed.keypoints) <= wire.KEYPOINT_LIMIT)
    assert 2_000 < refused < 20_000


def test_hostile_pivot_bodies_parse_or_are_refused() -> None:
    good = b"".join(
        part.data for part in wire.slice_pivot(1, wire.PivotBody(wire.PivotCodec.AVIF, 64, 64, 0, POINTS, b"x"))
    )
    refused = 0
    for data in hostile(5_000, [good]):
        try:
            body = wire.parse_pivot(data)
        except ProtocolError:
            refused += 1
            continue
        assert max(body.width, body.height) <= wire.MAX_PIVOT_SIDE
    assert 500 < refused < 5_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x63" * 20,
        wire.pack(VECTORS["keypoints"])[:-1],
        wire.pack(VECTORS["keypoints"]) + b"\0",
        wire.pack(VECTORS["keypoints"])[:10] + b"\xff" * 80,  # NaN
        wire.pack(wire.PivotSlice(1, 1, 1, 5, b"hello")),  # index past the count
        wire.pack(wire.PivotSlice(1, 0, 2, 5, b"hello")),  # count that the length contradicts
        wire.pack(wire.PivotSlice(1, 0, 1, 6, b"hello")),  # short of data
        wire.pack(VECTORS["voice"])[:8],  # no Opus
        b"\x04\x00\x07\x00",  # ack without a bitmap
        wire.pack(VECTORS["bundle"])[:10],
        wire.pack(VECTORS["bundle"])[:12],  # a time short
        wire.pack(VECTORS["bundle"])[:20],  # a voice packet's length short
        wire.pack(VECTORS["bundle"])[:27],  # a byte of voice short
        b"\x05\x00\x00\x00" + bytes(6) + b"\x00",  # no frame
        b"\x05\x00\x00\x00" + bytes(6) + b"\x0b" + b"\x28" * 10,  # eleven frames
        b"\x05\x00\x00\x00" + bytes(6) + b"\x02\x00",  # two frames at one time
        b"\x05\x00\x00\x00" + bytes(6) + b"\x11\x00\x00\x00\x00\x00\x00",  # voice of no bytes
        b"\x05\x00\x00\x00" + bytes(6) + b"\x11\x00\x00\x01\x00\xff\x7f\x01",  # voice from 32.767 s later
        b"\x05\x02\x00\x00" + bytes(6) + b"\x01",  # unknown flags
        bytes(wire.MTU_BYTES + 1),
    ],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.parse(data)


def test_what_the_voice_takes_of_a_bundle() -> None:
    whole = VECTORS["bundle"]
    assert isinstance(whole, wire.Bundle)
    mute = replace(whole, voice=())
    assert mute.voice_bytes == 0
    assert len(wire.pack(whole)) - len(wire.pack(mute)) == whole.voice_bytes == 15


def test_serial_numbers_wrap() -> None:
    assert wire.newer(0, 65535)
    assert not wire.newer(65535, 0)
    assert not wire.newer(5, 5)
    assert wire.unwrap(3, near=2**32 + 1) == 2**32 + 3
    assert wire.unwrap(2**32 - 1, near=2**32 + 1) == 2**32 - 1
