"""When a datagram came is known although the program was busy then."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest

from avcall.signaling.ice_sockets import WireMeter
from avcall.signaling.kernel_arrival import Arrived, waited_s

BUSY_S = 0.15
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a datagram came")


class Socketless:
    def get_extra_info(self, name: str) -> Any:
        return None


def test_a_transport_without_a_socket_has_not_waited() -> None:
    assert waited_s(Socketless()) == 0.0
    assert WireMeter().waited_s == 0.0


def test_an_arrived_datagram_is_its_bytes_and_its_time() -> None:
    arrived = Arrived.now(b"abc", 0.5)
    assert arrived == b"abc"
    assert arrived.at_s == pytest.approx(time.monotonic() - 0.5, abs=0.1)


@linux
def test_a_datagram_that_waited_in_the_socket_says_so() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        waits: list[float] = []
        arrived = asyncio.Event()

        class Taker(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, address: Any) -> None:
                waits.append(waited_s(transport))
                arrived.set()

        transport, _ = await loop.create_datagram_endpoint(Taker, local_addr=("127.0.0.1", 0))
        sender, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=transport.get_extra_info("sockname")
        )
        for number in range(3):
            sender.sendto(bytes(8))
            if number:  # the first only has the kernel begin to keep the time
                time.sleep(BUSY_S)  # noqa: ASYNC251 - the loop is kept from reading
            await arrived.wait()
            arrived.clear()
        sender.close()
        transport.close()
        return waits

    waits = asyncio.run(main())
    assert waits[0] < BUSY_S
    assert all(wait >= BUSY_S - 0.01 for wait in waits[1:])
