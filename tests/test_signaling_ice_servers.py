"""--stun and --turn."""

from __future__ import annotations

import pytest

from avcall.common.errors import ConfigError
from avcall.signaling.ice_servers import stun_server, turn_server
from avcall.signaling.messages import IceServer


def test_stun() -> None:
    assert stun_server("stun.example.org:19302") == IceServer("stun:stun.example.org:19302")
    assert stun_server("10.0.0.1") == IceServer("stun:10.0.0.1:3478")
    assert stun_server("stun:10.0.0.1") == IceServer("stun:10.0.0.1:3478")


def test_turn() -> None:
    assert turn_server("u:p:w@relay.example.org") == IceServer("turn:relay.example.org:3478", "u", "p:w")
    assert turn_server("user:p@ss@10.0.0.1:99") == IceServer("turn:10.0.0.1:99", "user", "p@ss")
    assert turn_server("turn:u:p@h:1?transport=tcp") == IceServer("turn:h:1?transport=tcp", "u", "p")
    assert turn_server("relay:3478") == IceServer("turn:relay:3478")


@pytest.mark.parametrize("text", ["", "a b", "host:0", "host:70000", "host:port", "::1", "http://x"])
def test_bad_stun_names_the_flag(text: str) -> None:
    with pytest.raises(ConfigError, match="--stun"):
        stun_server(text)


@pytest.mark.parametrize("text", ["", "u:p@", "u@host", "u:p@host:0", "u:p@host?transport=sctp"])
def test_bad_turn_names_the_flag_and_keeps_the_password(text: str) -> None:
    with pytest.raises(ConfigError, match="--turn") as caught:
        turn_server(text)
    assert "u:p" not in str(caught.value)
