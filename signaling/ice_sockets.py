"""What avcall changes in one ICE connection of aioice 0.13: its addresses, a meter on its sockets, more patience, and
that it knows when a datagram came.

Everything is done to the one `aioice.Connection` handed in, never to the library, and before it gathers candidates.
aioice always gathers on every address of the machine but 127.0.0.1, and counts nothing. Its checks of consent (RFC
7675), one in five seconds, wait half a second for an answer and are not repeated; six in a row that fail end the
connection. So it dies after 30 s where the round trip is longer than that, and sooner or later where much is lost.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from avcall.common.errors import ConfigError
from avcall.common.link import WireBytes
from avcall.signaling.kernel_arrival import Arrived, waited_s

_UDP_IPV4_BYTES = 28
_UDP_IPV6_BYTES = 48
_TCP_MORE_BYTES = 12
"""A TCP header has 20 bytes, a UDP header 8; relays over TCP are counted so, one segment for each write."""

_CONSENT_REPEATS = 2
"""After 0.5 and 1.5 s; the answer to any of the three counts, until 3.5 s."""

LOOPBACK = "127.0.0.1"


class WireMeter:
    """Bytes of all datagrams through the sockets it was put on, with their UDP and IP headers."""

    def __init__(self) -> None:
        self._up = 0
        self._down = 0
        self.waited_s = 0.0
        """How long the datagram that was read last had waited for it."""

    def bytes(self) -> WireBytes:
        return WireBytes(self._up, self._down)

    def put_on(self, protocol: Any) -> None:
        """Counts what this `aioice` protocol sends and receives, keep-alives and relay framing included."""
        inner = getattr(protocol.transport, "_TurnTransport__inner_protocol", None)
        if inner is not None:  # relayed: count at the relay's own socket, where the framing is on
            protocol = inner
        over_tcp = not hasattr(protocol, "datagram_received")
        header = _headers(protocol.transport) + (_TCP_MORE_BYTES if over_tcp else 0)
        arriving = "data_received" if over_tcp else "datagram_received"
        hand_on, transport = getattr(protocol, arriving), protocol.transport

        def arrive(data: bytes, *rest: Any) -> None:
            self._down += len(data) + header
            self.waited_s = waited_s(transport)
            hand_on(data, *rest)

        setattr(protocol, arriving, arrive)
        protocol.transport = _MeteredTransport(protocol.transport, self, header)

    def sent(self, size_bytes: int) -> None:
        self._up += size_bytes


class _MeteredTransport:
    """A transport of asyncio that counts what it is asked to send."""

    def __init__(self, transport: Any, meter: WireMeter, header_bytes: int) -> None:
        self._transport = transport
        self._meter = meter
        self._header_bytes = header_bytes

    def sendto(self, data: bytes, *rest: Any) -> None:
        self._meter.sent(len(data) + self._header_bytes)
        self._transport.sendto(data, *rest)

    def write(self, data: bytes) -> None:
        self._meter.sent(len(data) + self._header_bytes)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _PreparedProtocols(list[Any]):
    """aioice's list of sockets: each is prepared as it is put in, before it asks a STUN server or checks a path."""

    def __init__(self, meter: WireMeter) -> None:
        super().__init__()
        self._meter = meter

    def append(self, protocol: Any) -> None:
        _make_patient(protocol)
        self._meter.put_on(protocol)
        super().append(protocol)

    def __iadd__(self, protocols: Iterable[Any]) -> _PreparedProtocols:  # type: ignore[override, misc]
        for protocol in protocols:
            self.append(protocol)
        return self


def check_address(bind: str) -> None:
    """Tries whether sockets can be opened on `bind`; the empty string is always good.

    Raises:
        ConfigError: it is not an address of this machine.
    """
    if not bind:
        return
    try:
        with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((bind, 0))
    except OSError as error:
        raise ConfigError(f"--bind {bind}: not an address of this machine; see 'ip address'") from error


def prepare(connection: Any, meter: WireMeter, bind: str = "") -> None:
    """Meters an `aioice.Connection`, has its datagrams be `Arrived`, and restricts it to the address `bind`, if given.

    Without `bind` it uses all addresses but loopback, or loopback where the machine has no other.
    """
    connection._protocols = _PreparedProtocols(meter)
    gather = connection.get_component_candidates

    async def gather_on(component: int, addresses: list[str], timeout: int = 5) -> Any:
        wanted = [bind] if bind else addresses or [LOOPBACK]
        return await gather(component=component, addresses=wanted, timeout=timeout)

    connection.get_component_candidates = gather_on
    take = connection.data_received

    def take_arrived(data: bytes, component: int) -> None:
        take(Arrived.now(data, meter.waited_s), component)

    connection.data_received = take_arrived


def _make_patient(protocol: Any) -> None:
    ask = protocol.request

    async def ask_again(*args: Any, retransmissions: int | None = None, **kwargs: Any) -> Any:
        repeats = _CONSENT_REPEATS if retransmissions == 0 else retransmissions
        return await ask(*args, retransmissions=repeats, **kwargs)

    protocol.request = ask_again


def _headers(transport: Any) -> int:
    name = transport.get_extra_info("sockname")
    return _UDP_IPV6_BYTES if name and ":" in str(name[0]) else _UDP_IPV4_BYTES
