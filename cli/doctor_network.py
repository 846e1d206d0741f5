"""The network part of `avcall doctor`."""

from __future__ import annotations

import errno
import json
import secrets
import socket
import struct
import urllib.request

from avcall.cli.finding import Finding, found, missing, none
from avcall.common.errors import ConfigError
from avcall.signaling.ice_servers import stun_server

TIMEOUT_S = 3.0
_BINDING_REQUEST, _BINDING_RESPONSE, _COOKIE, _XOR_MAPPED_ADDRESS = 0x0001, 0x0101, 0x2112A442, 0x0020
_DEFAULT_PORT = 8765


def check_stun_flag(text: str) -> None:
    """Raises ConfigError where --stun is not HOST:PORT."""
    if text:
        stun_server(text)


def check_signal_flag(url: str) -> None:
    """Raises ConfigError where --signal is no WebSocket address."""
    if url and not url.startswith(("ws://", "wss://")):
        raise ConfigError(f"--signal {url}: give an address such as ws://HOST:{_DEFAULT_PORT}")


def ports() -> Finding:
    """A UDP socket for media, and the signaling server's usual port."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("0.0.0.0", 0))
    except OSError as error:
        return missing(
            f"no UDP socket can be opened ({error.strerror}): media cannot flow; check firewall and container"
        )
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("0.0.0.0", _DEFAULT_PORT))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return none(
                f"UDP is open; TCP port {_DEFAULT_PORT} cannot be opened ({error.strerror}): choose another --port"
            )
        return found(f"UDP is open; TCP port {_DEFAULT_PORT} is in use: a signaling server runs here, or choose --port")
    return found(f"UDP is open, TCP port {_DEFAULT_PORT} is free for 'avcall signal'")


def stun(text: str) -> Finding:
    """Our address as a STUN server sees it (RFC 8489, section 5)."""
    if not text:
        return none("not asked: name a server with --stun HOST:PORT, for calls between networks")
    host, _, port = stun_server(text).url.removeprefix("stun:").rpartition(":")
    transaction = secrets.token_bytes(12)
    request = struct.pack("!HHI", _BINDING_REQUEST, 0, _COOKIE) + transaction
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(TIMEOUT_S)
            probe.connect((host, int(port)))
            for _ in range(2):
                probe.send(request)
                try:
                    address = mapped_address(probe.recv(2048), transaction)
                except TimeoutError:
                    continue
                if address is not None:
                    return found(f"{text} sees this machine at {address}")
    except OSError as error:
        return none(f"{text} cannot be asked ({error.strerror or error}): calls inside one network work without it")
    return none(f"{text} does not answer: calls inside one network work without it; UDP may be blocked")


def mapped_address(data: bytes, transaction: bytes) -> str | None:
    """ "HOST:PORT" of a binding response to our request, None where it is something else. IPv4 only."""
    if len(data) < 20 or data[8:20] != transaction or struct.unpack_from("!H", data)[0] != _BINDING_RESPONSE:
        return None
    at = 20
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + length]
        if kind == _XOR_MAPPED_ADDRESS and len(value) == 8 and value[1] == 1:
            port = struct.unpack_from("!H", value, 2)[0] ^ (_COOKIE >> 16)
            address = struct.unpack_from("!I", value, 4)[0] ^ _COOKIE
            return f"{socket.inet_ntoa(struct.pack('!I', address))}:{port}"
        at += 4 + (length + 3) // 4 * 4
    return None


def signaling(url: str) -> Finding:
    """Whether a signaling server answers at `url`."""
    if not url:
        return none("not asked: name one with --signal URL, or run one with 'avcall signal'")
    health = "http" + url.removeprefix("ws").rstrip("/").removesuffix("/ws") + "/health"
    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a call uses no proxy either
        with direct.open(health, timeout=TIMEOUT_S) as answer:
            state = json.load(answer)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return missing(f"{url} does not answer ({reason}): start 'avcall signal' there, or check the address")
    if not isinstance(state, dict) or state.get("service") != "avcall-signaling":
        return missing(f"{url} answers, but is no avcall signaling server: check the address")
    return found(f"{url} answers: {state.get('rooms', 0)} rooms, {state.get('peers', 0)} peers")
