"""The JSON of the signaling messages: literal, and against nonsense."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avcall.common.errors import ProtocolError
from avcall.signaling import messages
from avcall.signaling.messages import IceServer, Join, Joined, Leave, PeerJoined, PeerLeft, Refusal, Signal

FROM_CLIENT = [
    (
        Join(1, "clinic-3", "abcdefghijklmnop"),
        '{"type":"join","version":1,"room":"clinic-3","peer":"abcdefghijklmnop"}',
    ),
    (Leave(), '{"type":"leave"}'),
    (Signal({"kind": "offer", "sdp": "v=0"}), '{"type":"signal","data":{"kind":"offer","sdp":"v=0"}}'),
]
FROM_SERVER = [
    (
        Joined(1, "R", True, (IceServer("turn:t:3478", "u", "p"),)),
        '{"type":"joined","version":1,"room":"R","offerer":true,'
        '"ice_servers":[{"url":"turn:t:3478","username":"u","credential":"p"}]}',
    ),
    (PeerJoined(), '{"type":"peer_joined"}'),
    (PeerLeft(), '{"type":"peer_left"}'),
    (Signal({}), '{"type":"signal","data":{}}'),
    (Refusal("room_full", "no"), '{"type":"error","code":"room_full","message":"no"}'),
]


@pytest.mark.parametrize(("message", "text"), FROM_CLIENT)
def test_from_client(message: messages.FromClient, text: str) -> None:
    assert messages.dump(message) == text
    assert messages.parse_from_client(text) == message


@pytest.mark.parametrize(("message", "text"), FROM_SERVER)
def test_from_server(message: messages.FromServer, text: str) -> None:
    assert messages.dump(message) == text
    assert messages.parse_from_server(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[1]",
        '"join"',
        "{",
        '{"type":1}',
        '{"type":["join"]}',
        '{"type":"join","version":"1","room":"R","peer":"abcdefghijklmnop"}',
        '{"type":"join","version":true,"room":"R","peer":"abcdefghijklmnop"}',
        '{"type":"join","version":1,"room":5,"peer":"abcdefghijklmnop"}',
        '{"type":"join","version":1,"room":"R","peer":"short"}',
        '{"type":"signal","data":[]}',
        '{"type":"signal"}',
        "[" * 60_000,
        "ä" * 40_000,
    ],
)
def test_nonsense_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        messages.parse_from_client(text)


def test_size_is_counted_in_bytes() -> None:
    padding = "x" * (messages.MAX_BYTES - len('{"type":"signal","data":{"p":""}}'))
    text = f'{{"type":"signal","data":{{"p":"{padding}"}}}}'
    assert messages.parse_from_client(text) == Signal({"p": padding})
    with pytest.raises(ProtocolError, match="more than 65536 bytes"):
        messages.parse_from_client(text + " ")


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda kids: st.lists(kids) | st.dictionaries(st.text(), kids))
)
def test_any_json_is_parsed_or_refused(value: object) -> None:
    for parse in (messages.parse_from_client, messages.parse_from_server):
        with pytest.raises(ProtocolError):
            parse(json.dumps(value))


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        messages.parse_from_server(text)


@given(st.sampled_from([case for case, _ in FROM_SERVER]), st.text(max_size=5), st.integers() | st.text(max_size=5))
def test_a_field_replaced_is_parsed_or_refused(message: messages.FromServer, name: str, value: object) -> None:
    raw = json.loads(messages.dump(message))
    for key in [*raw, name]:
        with contextlib.suppress(ProtocolError):
            parsed = messages.parse_from_server(json.dumps({**raw, key: value}))
            assert messages.parse_from_server(messages.dump(parsed)) == parsed


@pytest.mark.parametrize(
    ("name", "good"), [("R", True), ("a.b_c-9", True), ("x" * 64, True), ("", False), ("a/b", False), ("R\n", False)]
)
def test_room_names(name: str, good: bool) -> None:
    assert messages.is_room_name(name) is good
