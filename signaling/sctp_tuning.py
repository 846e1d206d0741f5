"""What avcall changes in one SCTP association of aiortc 1.16, on the one `RTCSctpTransport` handed in.

Late sends. aiortc sends from tasks of its own; if the peer has just hung up they die of ConnectionError and print a
traceback. What is sent then is lost anyway, so it is dropped in silence.

FORWARD TSN. Media is never retransmitted: after a loss the sender tells the receiver to skip it (RFC 3758 section 3.5).
aiortc repeats that at every SACK until it is acknowledged, and each repetition is answered by a SACK: where the round
trip is long and losses go on, the two feed one another. Behind a router at 64 kbit/s (0.6 s of queue) a call that needs
37 kbit/s up and 19 down went to 86 and 62 that way. Something new to skip is still said at once, as the receiver's acks
stand still until then; the same is repeated once a round trip.

Retransmission timeout. aiortc takes a message's round trip when the cumulative ack passes it, though a gap ack may have
come seconds before: under loss the timeout grows to tens of seconds, and a lost control message waits for it. Bounded.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_LONGEST_RTO_S = 3.0


def tune(sctp: Any) -> None:
    """Applies all three, before the association is started."""
    _forgive_late_sends(sctp.transport)
    _pace_forward_tsn(sctp)
    _bound_timeout(sctp)


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
    update = sctp._update_rto

    def update_within_bounds(round_trip_s: float) -> None:
        update(round_trip_s)
        sctp._rto = min(sctp._rto, _LONGEST_RTO_S)

    sctp._update_rto = update_within_bounds
