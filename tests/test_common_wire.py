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
from avcall.common.keypoints import COUNT
from avcall.common.report_format import Earlier

DOCS = Path(__file__).parents[1] / "docs" / "wire.md"
POINTS = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16

VECTORS: dict[str, wire.Packet] = {
    "keypoints": wire.KeypointPacket(258, 1_000_000, 7, POINTS, face_lost=True),
    "pivot-slice": wire.PivotSlice(7, 0, 1, 5, b"hello"),
    "voice": wire.VoicePacket(259, 1_000_020, b"\x0b\xe4", talk_start=True),
    "pivot-ack": wire.PivotAck(7, frozenset({0, 2, 33})),
    "report": wire.Report(0x1234, 0x5678, 5, 258, 772, (Earlier(120, 30), Earlier(80, -2))),
    "bundle": wire.Bundle(
        65535,
        (1_000_000, 1_000_040, 1_000_081),
        7,
        bytes.fromhex("6a 45 4d 4a 82 18 d5 1e d9 ca b1"),
        (
            wire.VoicePacket(259, 1_000_020, b"\x0b\xe4", talk_start=True),
            wire.VoicePacket(260, 1_000_080, b"\x0b\xe5\x01"),
        ),
        face_lost=True,
        copy=wire.CoarseCopy(80, b"\x2a"),
        attached=(wire.pack(wire.PivotAck(7, frozenset({0, 2, 33}))),),
    ),
    "bundle-plain": wire.Bundle(300, (1_000_000, 1_000_040, 1_000_080), 7, b""),
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
    offset_ms, gap_ms = draw(st.integers(-32_000, 32_000)), draw(st.integers(1, 255))
    opus = st.one_of(st.binary(min_size=1, max_size=60), st.integers(250, 260).map(bytes))
    pieces = draw(st.lists(opus, max_size=2))
    voice = tuple(
        wire.VoicePacket((first + i) % 2**16, (start_ms + offset_ms + i * gap_ms) % 2**32, piece)
        for i, piece in enumerate(pieces)
    )
    if voice:
        voice = (replace(voice[0], talk_start=draw(st.booleans())), *voice[1:])
    times = tuple((start_ms + past_ms) % 2**32 for past_ms in accumulate(gaps, initial=0))
    copies = st.builds(wire.CoarseCopy, st.integers(1, 255), st.binary(max_size=30))
    acks = st.builds(wire.PivotAck, u16, st.frozensets(st.integers(0, 40))).map(wire.pack)
    slices = st.binary(min_size=1, max_size=400).map(lambda part: wire.pack(wire.PivotSlice(7, 0, 1, len(part), part)))
    attached = draw(st.lists(acks, max_size=bundle_format.MAX_ATTACHED - 1)) + draw(st.lists(slices, max_size=1))
    return wire.Bundle(
        draw(u16),
        times,
        draw(u16),
        draw(st.binary(max_size=200)),
        voice,
        draw(st.booleans()),
        draw(st.none() | copies),
        tuple(attached),
    )


packets = st.one_of(
    bundles(),
    st.builds(wire.KeypointPacket, u16, u32, u16, points, st.booleans()),
    st.builds(wire.VoicePacket, u16, u32, st.binary(min_size=1, max_size=400), st.booleans()),
    st.builds(wire.PivotAck, u16, st.frozensets(st.integers(0, 254))),
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


def hostile(count: int, seeds: list[bytes]) -> Iterator[bytes]:
    """Random bytes, and packets with bytes overwritten and cut: the same ones every run."""
    rng = random.Random(20)
    for _ in range(count):
        if rng.random() < 0.3:
            yield bytes([rng.choice([*range(10), *range(0x80, 0xA1)])]) + rng.randbytes(rng.randrange(120))
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


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x63" * 20,
        wire.pack(VECTORS["keypoints"])[:-1],
        wire.pack(VECTORS["keypoints"]) + b"\0",
        wire.pack(VECTORS["keypoints"])[:10] + b"\xff" * 80,  # NaN
        wire.pack(wire.PivotSlice(1, 0, 1, 6, b"hello")),  # short of data
        wire.pack(VECTORS["voice"])[:8],  # no Opus
        b"\x04\x00\x07\x00",  # ack without a bitmap
        wire.pack(VECTORS["bundle"])[:9],
        wire.pack(VECTORS["bundle"])[:11],  # a time short
        wire.pack(VECTORS["bundle"])[:15],  # half of the voice's head
        wire.pack(VECTORS["bundle"])[:23],  # a byte of voice short
        b"\x80\x00" + bytes(8),  # no frame
        b"\x80\x0b" + bytes(8) + b"\x28",  # eleven frames
        b"\x80\x02" + bytes(8) + b"\x00",  # two frames at one time
        b"\x84\x03" + bytes(8) + b"\x28\x00",  # two of three frames at one time
        b"\x80\x91" + bytes(8) + bytes(4) + b"\x14" + b"\x01\x07" * 9,  # nine voice packets
        b"\x80\x11" + bytes(8) + bytes(4) + b"\x00",  # voice of no bytes
        b"\x80\x11" + bytes(8) + b"\x00\x00\xff\x7f\x01\x07",  # voice from 32.767 s later
        b"\x80\x21" + bytes(8) + bytes(4) + b"\x00\x01\x07\x01\x07",  # two voice packets at one time
        b"\x82\x01" + bytes(8),  # speech that begins without voice
        b"\xa0\x01" + bytes(8),  # unknown flags
        b"\x88\x01" + bytes(8) + b"\x00\x00",  # a copy of the frame itself
        b"\x88\x01" + bytes(8) + b"\x28\x02\x01",  # a copy that is a byte short
        b"\x90\x01" + bytes(8) + b"\x00",  # nothing attached
        b"\x90\x01" + bytes(8) + b"\x05" + b"\x08\x04\x00\x07\x00\x05\x00\x00\x00" * 5,  # five attached
        b"\x90\x01" + bytes(8) + b"\x01\x00",  # an empty packet attached
        b"\x90\x01" + bytes(8) + b"\x01\x03\x04\x00\x07",  # a truncated acknowledgement attached
        b"\x90\x01" + bytes(8) + b"\x01\x0a" + b"\x80\x01" + bytes(8),  # a bundle in a bundle
        bytes(wire.MTU_BYTES + 1),
    ],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.parse(data)


def test_what_the_voice_takes_of_a_bundle() -> None:
    whole = VECTORS["bundle"]
    assert isinstance(whole, wire.Bundle)
    mute = replace(whole, voice=())  # the flag of a start goes with it, in the same byte
    assert mute.voice_bytes == 0
    assert len(wire.pack(whole)) - len(wire.pack(mute)) == whole.voice_bytes == 12


def test_what_rides_along_is_parsed_and_counted() -> None:
    whole = VECTORS["bundle"]
    assert isinstance(whole, wire.Bundle)
    assert wire.attached(whole) == [VECTORS["pivot-ack"]]
    assert len(wire.pack(whole)) - len(wire.pack(replace(whole, attached=()))) == whole.attached_bytes
    assert wire.attached(replace(whole, attached=())) == []


def test_even_frames_cost_one_byte_of_time_and_uneven_ones_one_each() -> None:
    even = wire.Bundle(0, (0, 40, 80, 120, 160), 1, b"")
    assert len(wire.pack(even)) == 11
    assert len(wire.pack(replace(even, capture_ms=(0, 40, 81, 120, 160)))) == 14
    assert len(wire.pack(replace(even, capture_ms=(0,)))) == 10


def test_serial_numbers_wrap() -> None:
    assert wire.newer(0, 65535)
    assert not wire.newer(65535, 0)
    assert not wire.newer(5, 5)
    assert wire.unwrap(3, near=2**32 + 1) == 2**32 + 3
    assert wire.unwrap(2**32 - 1, near=2**32 + 1) == 2**32 - 1
