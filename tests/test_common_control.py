"""Control messages and the handshake's verdicts."""

from __future__ import annotations

import random
from dataclasses import replace

import msgpack
import pytest

from avcall.common import control, wire
from avcall.common.errors import ModelMismatchError, ProtocolError

HELLO = control.Hello(
    wire.VERSION, "0.1.0", "classical", "01234567", 10, 256, 25.0, sends=True, receives=False, voice=True
)
PEER = replace(HELLO, sends=False, receives=True)


@pytest.mark.parametrize(
    "message",
    [
        HELLO,
        control.PivotRequest(),
        control.Mute(True, False),
        control.Ping(1.5),
        control.Pong(1.5, 2.5),
        control.Bye("x"),
    ],
)
def test_round_trip(message: control.Message) -> None:
    assert control.parse(control.pack(message)) == message


def test_whole_numbers_pass_for_floats_and_unknown_fields_are_ignored() -> None:
    assert control.parse(msgpack.packb({"kind": "ping", "sent_ms": 3, "new": "field"})) == control.Ping(3.0)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {"kind": "nonsense"},
        {"kind": ["hello"]},
        {"kind": "ping"},
        {"kind": "ping", "sent_ms": "soon"},
        {"kind": "ping", "sent_ms": float("nan")},
        {"kind": "mute", "voice": 1, "video": True},
        {"kind": "bye", "reason": "x" * 201},
    ],
)
def test_malformed_messages_are_refused(raw: object) -> None:
    with pytest.raises(ProtocolError):
        control.parse(msgpack.packb(raw))


def test_oversized_messages_are_refused() -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        control.parse(bytes(control.MAX_BYTES + 1))


def test_damaged_messages_parse_or_are_refused() -> None:
    rng = random.Random(21)
    refused = 0
    for _ in range(5_000):
        damaged = bytearray(control.pack(HELLO))
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            message = control.parse(bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])]))
        except ProtocolError:
            refused += 1
            continue
        assert control.parse(control.pack(message)) == message
    assert 1_000 < refused < 5_000


def test_matching_ends_agree() -> None:
    control.check_hello(HELLO, PEER)
    control.check_hello(PEER, HELLO)
    control.check_hello(replace(HELLO, receives=True), replace(PEER, sends=True))


@pytest.mark.parametrize(
    ("theirs", "names"),
    [
        (replace(PEER, protocol=1), "protocol 1"),
        (replace(PEER, model="lite"), "--model"),
        (replace(PEER, weights="ffffffff"), "ffffffff"),
        (replace(PEER, keypoints=20), "model"),
        (replace(PEER, sends=True, receives=False), "both ends only send"),
    ],
)
def test_mismatches_are_named(theirs: control.Hello, names: str) -> None:
    with pytest.raises(ModelMismatchError, match=names):
        control.check_hello(HELLO, theirs)
