"""What avcall changes in one SCTP association of aiortc 1.16, on the one `RTCSctpTransport` handed in.

Late sends. aiortc sends from tasks of its own; if the peer has just hung up they die of ConnectionError and print a
traceback. What is sent then is lost anyway, so it is dropped in silence.

FORWARD TSN. Media is never retransmitted: after a loss the sender tells the receiver to skip it (RFC 3758 section 3.5).
aiortc repeats that at every SACK until it is acknowledged, and each repetition is answered by a SACK: where the round
trip is long and losses go on, the two feed one another. Behind a router at 64 kbit/s (0.6 s of queue) a call that needs
37 kbit/s up and 19 down went to 86 and 62 that way. Something new to skip is still said at once, as the receiver's acks
stand still until then; the same is repeated after a round trip, or 0.3 s.

Retransmission timeout. aiortc takes a message's round trip when the cumulative ack passes it, though a gap ack may have
come seconds before: under loss the timeout grows to tens of seconds, and a lost control message waits for it. Such
samples are left out, and the timeout is bounded.

Acks. aiortc answers every DATA packet with a SACK: 93 bytes on the wire for each 90 of keypoints. Here one is sent for
every full packet's worth of bytes or after 200 ms (the limit of RFC 9260 section 6.2, which counts packets instead:
two), for every second packet while something is missing, and at once where something is to be skipped. aiortc also puts
each chunk into a packet of its own. Here a SACK that waits rides in the packet of a DATA chunk, before it as RFC 9260
section 6.10 wants it, for 16 bytes instead of 85: in the last such packet that can be expected before its 200 ms are
over. In a call of two directions no SACK travels alone but after losses and large pictures.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 0.3
_LONGEST_RTO_S = 3.0
_ACK_BYTES = 1000
_ACK_S = 0.2
_RHYTHM_SLACK_S = 0.02
_ROOM_BYTES = 1000
"""A DATA chunk longer than this has no room for a SACK beside it."""


def tune(sctp: Any) -> None:
    """Applies all four, before the association is started."""
    _forgive_late_sends(sctp.transport)
    _pace_forward_tsn(sctp)
    _bound_timeout(sctp)
    _thin_acks(sctp)


def _forgive_late_sends(dtls: Any) -> None:
    send = dtls._send_data

    async def send_if_open(data: bytes) -> None:
        try:
            await send(data)
        except ConnectionError:
            logger.debug("%d bytes came too late for a closed connection", len(data))

    dtls._send_data = send_if_open


def _pace_forward_tsn(sctp: Any) -> None:
    advance = sctp._update_advanced_peer_ack_point
    loop = asyncio.get_running_loop()
    said_tsn: int | None = None
    repeat_s = 0.0

    def advance_without_repeating() -> None:
        nonlocal said_tsn, repeat_s
        advance()
        chunk = sctp._forward_tsn_chunk
        if chunk is None:
            return
        now_s = loop.time()
        if chunk.cumulative_tsn == said_tsn and now_s < repeat_s:
            sctp._forward_tsn_chunk = None
            if not sctp._t3_handle:  # it must be said again at some time, even if no more SACKs come
                sctp._t3_start()
            return
        said_tsn = chunk.cumulative_tsn
        repeat_s = now_s + min(max(_SHORTEST_PAUSE_S, sctp._srtt or 0.0), _LONGEST_PAUSE_S)

    sctp._update_advanced_peer_ack_point = advance_without_repeating


def _bound_timeout(sctp: Any) -> None:
    take_sack, update = sctp._receive_sack_chunk, sctp._update_rto
    acked_before = False

    async def look_whether_acked_before(chunk: Any) -> None:
        nonlocal acked_before
        acked_before = bool(sctp._sent_queue) and sctp._sent_queue[0]._acked
        await take_sack(chunk)

    def update_within_bounds(round_trip_s: float) -> None:
        if not acked_before:
            update(round_trip_s)
            sctp._rto = min(sctp._rto, _LONGEST_RTO_S)

    sctp._receive_sack_chunk = look_whether_acked_before
    sctp._update_rto = update_within_bounds


def _thin_acks(sctp: Any) -> None:
    loop = asyncio.get_running_loop()
    take_data, take_skip = sctp._receive_data_chunk, sctp._receive_forward_tsn_chunk
    ack, send_chunk = sctp._send_sack, sctp._send_chunk
    waiting_bytes = 0
    waiting: asyncio.TimerHandle | None = None
    held: list[Any] | None = None
    """Takes a SACK instead of the wire."""
    sent_s = float("-inf")
    rhythm_s = _ACK_S
    """Between two DATA chunks of this end, lately."""

    async def count_data(chunk: Any) -> None:
        nonlocal waiting_bytes
        waiting_bytes += len(chunk.user_data)
        await take_data(chunk)

    async def skip_is_urgent(chunk: Any) -> None:
        nonlocal waiting_bytes
        waiting_bytes += _ACK_BYTES
        await take_skip(chunk)

    async def ack_in_time() -> None:
        nonlocal waiting, waiting_bytes
        if sctp._sack_misordered or sctp._sack_duplicates:
            waiting_bytes += _ACK_BYTES // 2
        if waiting_bytes >= _ACK_BYTES:
            wait_no_more()
            await ack()
            return
        sctp._sack_needed = False
        if waiting is None:
            waiting = loop.call_later(_ACK_S, time_is_up)

    def wait_no_more() -> None:
        nonlocal waiting, waiting_bytes
        waiting_bytes = 0
        if waiting is not None:
            waiting.cancel()
            waiting = None

    def time_is_up() -> None:
        wait_no_more()
        if sctp.state == "connected":
            asyncio.ensure_future(ack())  # noqa: RUF006 - as aiortc sends all else; it ends at once

    async def send_together(chunk: Any) -> None:
        nonlocal held, sent_s, rhythm_s
        if held is not None:
            held.append(chunk)
            return
        if not hasattr(chunk, "user_data"):
            await send_chunk(chunk)
            return
        now_s = loop.time()
        rhythm_s = min(now_s - sent_s, _ACK_S)
        sent_s = now_s
        if waiting is None or waiting.when() > now_s + rhythm_s + _RHYTHM_SLACK_S or len(chunk.user_data) > _ROOM_BYTES:
            await send_chunk(chunk)
            return
        wait_no_more()
        held = []
        try:
            await ack()
            chunks = held
        finally:
            held = None
        await send_chunk(_Packet([*chunks, chunk]))

    sctp._receive_data_chunk = count_data
    sctp._receive_forward_tsn_chunk = skip_is_urgent
    sctp._send_sack = ack_in_time
    sctp._send_chunk = send_together


class _Packet:
    """Several chunks where aiortc puts one: each but the last is padded to whole words by itself."""

    def __init__(self, chunks: list[Any]) -> None:
        self._chunks = chunks

    def __bytes__(self) -> bytes:
        return b"".join(map(bytes, self._chunks))

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._chunks))
