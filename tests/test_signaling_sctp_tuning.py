"""The four changes to an association, on an association that goes nowhere."""

from __future__ import annotations

import asyncio
import logging

import pytest

from avcall.bench import virtual_time
from avcall.bench.virtual_time import VirtualTimeLoop
from avcall.signaling.sctp_tuning import tune


class Timer:
    """What loop.call_later would return."""


class Dtls:
    def __init__(self) -> None:
        self.closed = False
        self.sent: list[bytes] = []

    async def _send_data(self, data: bytes) -> None:
        if self.closed:
            raise ConnectionError("not connected")
        self.sent.append(data)


class ForwardTsn:
    def __init__(self, cumulative_tsn: int) -> None:
        self.cumulative_tsn = cumulative_tsn


class ForwardTsnBytes(ForwardTsn):
    def __bytes__(self) -> bytes:
        return b"skip"


class Data:
    """A DATA chunk, here and on its way."""

    def __init__(self, size_bytes: int = 90, acked: bool = False) -> None:
        self.user_data = bytes(size_bytes)
        self._acked = acked

    def __bytes__(self) -> bytes:
        return b"data" + self.user_data


class Sack:
    def __bytes__(self) -> bytes:
        return b"sack"


class Sctp:
    """The parts of aiortc's RTCSctpTransport that are touched. `to_skip` is what has been lost."""

    def __init__(self) -> None:
        self.transport = Dtls()
        self.to_skip: int | None = None
        self._forward_tsn_chunk: ForwardTsn | None = None
        self._srtt: float | None = 0.24
        self._rto = 1.0
        self._t3_handle: Timer | None = None
        self.state = "connected"
        self.packets: list[tuple[float, bytes]] = []
        self.acks: list[float] = []
        """When an ack left, alone or with data."""
        self._sent_queue: list[Data] = []
        self._sack_needed = False
        self._sack_misordered: set[int] = set()
        self._sack_duplicates: list[int] = []

    async def _receive_data_chunk(self, chunk: Data) -> None:
        self._sack_needed = True

    async def _receive_forward_tsn_chunk(self, chunk: ForwardTsn) -> None:
        self._sack_needed = True

    async def _receive_sack_chunk(self, chunk: float) -> None:
        self._update_rto(chunk)

    async def _send_sack(self) -> None:
        self._sack_needed = False
        await self._send_chunk(Sack())

    async def _send_chunk(self, chunk: object) -> None:
        packet = bytes(chunk)  # type: ignore[call-overload]
        self.packets.append((asyncio.get_running_loop().time(), packet))
        if packet.startswith(b"sack"):
            self.acks.append(self.packets[-1][0])

    def _update_advanced_peer_ack_point(self) -> None:
        if self.to_skip is not None:
            self._forward_tsn_chunk = ForwardTsn(self.to_skip)

    def _update_rto(self, round_trip_s: float) -> None:
        self._rto = 4 * round_trip_s

    def _t3_start(self) -> None:
        assert self._t3_handle is None
        self._t3_handle = Timer()


def said_after_a_sack(sctp: Sctp) -> int | None:
    """What is sent when a SACK arrives, as aiortc does it."""
    sctp._update_advanced_peer_ack_point()
    chunk, sctp._forward_tsn_chunk = sctp._forward_tsn_chunk, None
    return chunk.cumulative_tsn if chunk else None


def test_something_new_to_skip_is_said_at_once_and_repeated_once_a_round_trip() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        assert said_after_a_sack(sctp) is None
        sctp.to_skip = 7
        said: list[tuple[float, int]] = []
        start_s = loop.time()
        for step in range(30):  # a SACK every 50 ms
            if step == 4:
                sctp.to_skip = 9
            tsn = said_after_a_sack(sctp)
            if tsn is not None:
                said.append((round(loop.time() - start_s, 2), tsn))
            await asyncio.sleep(0.05)
        assert said == [(0.0, 7), (0.2, 9), (0.45, 9), (0.7, 9), (0.95, 9), (1.2, 9), (1.45, 9)]

    virtual_time.run(main)


def test_what_is_held_back_is_said_when_the_timer_ends_even_if_no_sack_comes() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        sctp.to_skip = 7
        assert said_after_a_sack(sctp) == 7
        assert sctp._t3_handle is None
        assert said_after_a_sack(sctp) is None
        assert sctp._t3_handle is not None
        assert said_after_a_sack(sctp) is None  # and the running timer is left alone

    virtual_time.run(main)


async def arrive(sctp: Sctp, size_bytes: int = 90) -> None:
    """What happens when a DATA packet arrives, as aiortc does it."""
    await sctp._receive_data_chunk(Data(size_bytes))
    if sctp._sack_needed:
        await sctp._send_sack()
    assert not sctp._sack_needed


def test_small_packets_are_acked_together_after_200_ms() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        start_s = loop.time()
        for _ in range(25):  # a second of keypoints
            await arrive(sctp)
            await asyncio.sleep(0.04)
        await asyncio.sleep(1.0)
        assert [round(at_s - start_s, 2) for at_s in sctp.acks] == [0.2, 0.4, 0.6, 0.8, 1.0]
        sctp.state = "closed"
        await arrive(sctp)
        await asyncio.sleep(1.0)
        assert len(sctp.acks) == 5

    virtual_time.run(main)


@pytest.mark.parametrize(("every_ms", "acks_a_second"), [(40, (5, 7)), (120, (4, 5)), (200, (4, 5))])
def test_in_both_directions_acks_ride_with_data_and_none_waits_for_longer_than_200_ms(
    every_ms: int, acks_a_second: tuple[int, int]
) -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        start_s = loop.time()
        arrived: list[float] = []

        async def receive() -> None:
            while True:
                arrived.append(loop.time())
                await arrive(sctp)
                await asyncio.sleep(every_ms / 1000)

        receiving = asyncio.create_task(receive())
        await asyncio.sleep(0.03)
        while loop.time() < start_s + 10.0:
            await sctp._send_chunk(Data(90))
            await asyncio.sleep(every_ms / 1000)
        receiving.cancel()
        steady = [packet for at_s, packet in sctp.packets if at_s > start_s + 1.0]
        assert b"sack" not in steady
        together = [packet for packet in steady if packet.startswith(b"sack")]
        assert all(packet == b"sackdata" + bytes(90) for packet in together)
        assert acks_a_second[0] * 9 <= len(together) <= acks_a_second[1] * 9
        for at_s in arrived[:-5]:
            assert min(acked_s - at_s for acked_s in sctp.acks if acked_s >= at_s) <= 0.2001

    virtual_time.run(main)


def test_nothing_waiting_means_no_ack_and_a_long_packet_has_no_room_for_one() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        await sctp._send_chunk(Data(90))
        await arrive(sctp)
        await asyncio.sleep(0.1)
        await sctp._send_chunk(Data(1100))
        assert sctp.acks == []
        await asyncio.sleep(0.05)
        await sctp._send_chunk(ForwardTsnBytes(9))
        assert sctp.acks == []
        await asyncio.sleep(0.04)
        await sctp._send_chunk(Data(90))
        assert len(sctp.acks) == 1
        await asyncio.sleep(1.0)
        assert len(sctp.acks) == 1

    virtual_time.run(main)


def test_a_packet_full_of_bytes_is_acked_at_once() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        await arrive(sctp, 1100)
        assert len(sctp.acks) == 1
        for _ in range(11):
            await arrive(sctp, 90)
        assert len(sctp.acks) == 1
        await arrive(sctp, 90)
        assert len(sctp.acks) == 2
        await asyncio.sleep(1.0)
        assert len(sctp.acks) == 2

    virtual_time.run(main)


def test_every_second_packet_is_acked_while_something_is_missing_and_what_is_skipped_at_once() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        sctp._sack_misordered = {9}
        for _ in range(6):
            await arrive(sctp)
        assert len(sctp.acks) == 3
        sctp._sack_misordered, sctp._sack_duplicates = set(), [5]
        await arrive(sctp)
        await arrive(sctp)
        assert len(sctp.acks) == 4
        sctp._sack_duplicates = []
        await sctp._receive_forward_tsn_chunk(ForwardTsn(9))
        await sctp._send_sack()
        assert len(sctp.acks) == 5

    virtual_time.run(main)


def test_a_round_trip_of_what_was_acked_before_is_left_out() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        sctp._sent_queue = [Data(acked=True)]
        await sctp._receive_sack_chunk(0.7)
        assert sctp._rto == 1.0
        sctp._sent_queue = [Data(acked=False)]
        await sctp._receive_sack_chunk(0.7)
        assert sctp._rto == pytest.approx(2.8)

    virtual_time.run(main)


@pytest.mark.parametrize(("round_trip_s", "rto_s"), [(0.3, 1.2), (0.6, 2.4), (5.0, 3.0)])
def test_the_timeout_is_bounded(round_trip_s: float, rto_s: float) -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        sctp._update_rto(round_trip_s)
        assert sctp._rto == pytest.approx(rto_s)

    virtual_time.run(main)


def test_what_comes_too_late_is_dropped_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        sctp = Sctp()
        tune(sctp)
        await sctp.transport._send_data(b"in time")
        sctp.transport.closed = True
        await sctp.transport._send_data(b"too late")
        assert sctp.transport.sent == [b"in time"]

    virtual_time.run(main)
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
