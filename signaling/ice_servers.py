"""Reads the flags --stun and --turn."""

from __future__ import annotations

import re

from avcall.common.errors import ConfigError
from avcall.signaling.messages import IceServer

_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORT = 3478


def stun_server(text: str) -> IceServer:
    """ "stun.example:3478" as an IceServer; the port may be left out.

    Raises:
        ConfigError: not of that form.
    """
    return IceServer(f"stun:{_address('--stun', text.removeprefix('stun:'), text)}")


def turn_server(text: str) -> IceServer:
    """ "USER:PASSWORD@relay.example:3478?transport=tcp" as an IceServer; all but the host may be left out.

    Raises:
        ConfigError: not of that form.
    """
    credentials, _, place = text.removeprefix("turn:").rpartition("@")
    address, _, query = place.partition("?")
    username, _, password = credentials.partition(":")
    if query not in ("", "transport=udp", "transport=tcp") or bool(username) != bool(password):
        raise ConfigError(f"--turn {place}: write USER:PASSWORD@HOST:PORT, optionally with ?transport=tcp")
    url = f"turn:{_address('--turn', address, place)}"
    return IceServer(f"{url}?{query}" if query else url, username, password)


def _address(name: str, address: str, shown: str) -> str:
    match = _ADDRESS.fullmatch(address)
    port = int(match["port"] or _DEFAULT_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise ConfigError(f"{name} {shown}: not HOST:PORT, for example {name} relay.example.org:3478")
    return f"{match['host']}:{port}"
