"""The changes to an ICE connection, on stand-ins for aioice's sockets."""

from __future__ import annotations

from typing import Any

import pytest

from avcall.common.errors import ConfigError
from avcall.common.link import WireBytes
from avcall.signaling.ice_sockets import LOOPBACK, WireMeter, check_address, prepare


class Transport:
    def __init__(self, address: str) -> None:
        self.address = address
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, *rest: Any) -> None:
        self.sent.append(data)

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return (self.address, 5000)

    def is_closing(self) -> bool:
        return False


class UdpProtocol:
    def __init__(self, address: str = "192.0.2.1") -> None:
        self.transport: Any = Transport(address)
        self.arrived: list[bytes] = []
        self.asked: list[int | None] = []

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.arrived.append(data)

    async def request(self, message: str, *, retransmissions: int | None = None) -> str:
        self.asked.append(retransmissions)
        return message


class TcpProtocol:
    def __init__(self) -> None:
        self.transport: Any = Transport("192.0.2.1")
        self.arrived: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.arrived.append(data)


class Relayed(UdpProtocol):
    """A socket whose transport is a TURN allocation over `inner`."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.transport = Transport("198.51.100.1")
        self.transport._TurnTransport__inner_protocol = inner


class Connection:
    def __init__(self) -> None:
        self._protocols: list[Any] = []
        self.gathered: list[list[str]] = []
        self.taken: list[bytes] = []

    def data_received(self, data: bytes, component: int) -> None:
        self.taken.append(data)

    async def get_component_candidates(self, component: int, addresses: list[str], timeout: int = 5) -> list[str]:
        self.gathered.append(addresses)
        return addresses


@pytest.mark.parametrize(("address", "header_bytes"), [("192.0.2.1", 28), ("2001:db8::1", 48)])
def test_datagrams_are_counted_with_their_headers(address: str, header_bytes: int) -> None:
    meter, protocol = WireMeter(), UdpProtocol(address)
    transport = protocol.transport
    meter.put_on(protocol)
    protocol.transport.sendto(bytes(100), ("peer", 1))
    protocol.transport.sendto(bytes(50))
    protocol.datagram_received(bytes(30), ("peer", 1))
    assert meter.bytes() == WireBytes(150 + 2 * header_bytes, 30 + header_bytes)
    assert [len(data) for data in transport.sent] == [100, 50]
    assert protocol.arrived == [bytes(30)]
    assert protocol.transport.is_closing() is False


def test_a_relay_is_counted_at_its_own_socket() -> None:
    meter, inner = WireMeter(), UdpProtocol()
    relayed = Relayed(inner)
    meter.put_on(relayed)
    relayed.transport.sendto(bytes(100), ("peer", 1))  # becomes 104 bytes at the inner socket
    inner.transport.sendto(bytes(104))
    inner.datagram_received(bytes(24), ("relay", 3478))
    assert meter.bytes() == WireBytes(104 + 28, 24 + 28)


def test_a_relay_over_tcp_is_counted_with_tcps_headers() -> None:
    meter, inner = WireMeter(), TcpProtocol()
    meter.put_on(Relayed(inner))
    inner.transport.write(bytes(104))
    inner.data_received(bytes(24))
    assert meter.bytes() == WireBytes(104 + 40, 24 + 40)
    assert inner.arrived == [bytes(24)]


@pytest.mark.parametrize(
    ("bind", "found", "used"),
    [
        ("", ["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "192.0.2.2"]),
        ("", [], [LOOPBACK]),
        (LOOPBACK, ["192.0.2.1"], [LOOPBACK]),
        ("192.0.2.2", ["192.0.2.1", "192.0.2.2"], ["192.0.2.2"]),
    ],
)
async def test_addresses(bind: str, found: list[str], used: list[str]) -> None:
    connection = Connection()
    prepare(connection, WireMeter(), bind)
    assert await connection.get_component_candidates(component=1, addresses=found) == used
    assert connection.gathered == [used]


async def test_each_socket_is_prepared_as_aioice_adds_it() -> None:
    connection, meter = Connection(), WireMeter()
    prepare(connection, meter)
    first, second = UdpProtocol(), UdpProtocol()
    connection._protocols += [first]
    connection._protocols.append(second)
    for protocol in (first, second):
        protocol.transport.sendto(bytes(72))
    assert connection._protocols == [first, second]
    assert meter.bytes().up == 200
    assert await first.request("consent", retransmissions=0) == "consent"
    await first.request("check")
    assert first.asked == [2, None]


def test_an_address_is_tried() -> None:
    check_address("")
    check_address(LOOPBACK)
    for bind in ("192.0.2.1", "nonsense", "2001:db8::1"):
        with pytest.raises(ConfigError, match=f"--bind {bind}: not an address of this machine"):
            check_address(bind)
