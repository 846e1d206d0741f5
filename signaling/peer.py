"""The peer connection: `avcall.common.link.Link` over WebRTC data channels. The only module that knows aiortc."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription

from avcall.common.errors import CallError
from avcall.common.link import Channel, LinkClosed, WireBytes
from avcall.common.stats import Stats
from avcall.signaling.dtls_tuning import prefer_short_records
from avcall.signaling.ice_sockets import WireMeter, check_address, prepare
from avcall.signaling.kernel_arrival import Arrived
from avcall.signaling.messages import FromServer, IceServer, PeerLeft, Signal
from avcall.signaling.sctp_tuning import tune

logger = logging.getLogger(__name__)

CONNECT_S = 20.0
MEDIA_QUEUE_BYTES = 16 * 1024
MEDIA_QUEUE_S = 0.3
"""Media waits here for the congestion window, no more and no longer; the oldest goes first, as late media is worthless.
(SCTP's own queue has no such limit: on a link of 32 kbit/s it came to hold five seconds of keypoints.)"""
_INBOUND_MEDIA = 256
_INBOUND_CONTROL = 256
_FLUSH_S = 2.0
_CLOSE_S = 3.0
_ICE_STEP_S = 0.03
"""Longer than aioice pauses between two steps of connecting."""
_NONSENSE = "the peer's session description makes no sense: is the other end another program?"
_BAD_DESCRIPTION = (ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError)
"""What aiortc's SDP parser raises on nonsense from the peer."""


class SignalPath(Protocol):
    """What `connect` needs of a `SignalingClient`."""

    async def send(self, data: dict[str, Any]) -> None: ...

    async def receive(self) -> FromServer: ...


class PeerLeftError(CallError):
    """The other one left the room before the connection stood; someone else may come."""


async def connect(
    signaling: SignalPath,
    *,
    offerer: bool,
    ice_servers: Sequence[IceServer] = (),
    bind: str = "",
    stats: Stats | None = None,
    timeout_s: float = CONNECT_S,
) -> PeerLink:
    """Makes the connection to the one peer: offer, answer, ICE, DTLS, two open channels.

    Raises:
        CallError: no path between the two within `timeout_s`, or nonsense from the peer.
        PeerLeftError: the peer left meanwhile.
        ConfigError: `bind` is not an address of this machine.
    """
    check_address(bind)
    link = PeerLink(ice_servers, bind, stats or Stats())
    try:
        async with asyncio.timeout(timeout_s):
            await link.negotiate(signaling, offerer)
            await link.opened()
    except TimeoutError as error:
        await link.close()
        raise CallError(
            f"no connection to the peer within {timeout_s:.0f} s: check that the firewalls let UDP through; "
            "between two networks give --stun or --turn"
        ) from error
    except BaseException:
        await link.close()
        raise
    return link


class PeerLink:
    """Two data channels of one RTCPeerConnection. Made by `connect`."""

    def __init__(self, ice_servers: Sequence[IceServer], bind: str, stats: Stats) -> None:
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        servers = [
            RTCIceServer(server.url, server.username or None, server.credential or None) for server in ice_servers
        ]
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._media = self._peer.createDataChannel("media", ordered=False, maxRetransmits=0, negotiated=True, id=0)
        self._control = self._peer.createDataChannel("control", negotiated=True, id=1)
        self._outbox: deque[tuple[float, bytes]] = deque()
        self._outbox_bytes = 0
        self._inbound: deque[tuple[Channel, bytes, float]] = deque()
        """What came, and when its last datagram came to this machine."""
        self._datagram_s = self._given_s = self._loop.time()
        self._waiting: dict[Channel, int] = {Channel.MEDIA: 0, Channel.CONTROL: 0}
        self._arrived = asyncio.Event()
        self._changed = asyncio.Event()
        self._closed = False
        self._meter = WireMeter()
        prepare(self._ice_connection(), self._meter, bind)
        self._watch_datagrams()
        tune(self._peer.sctp)
        prefer_short_records(self._dtls())
        for channel, kind in ((self._media, Channel.MEDIA), (self._control, Channel.CONTROL)):
            self._listen(channel, kind)
        self._media.on("bufferedamountlow", self._feed_media)
        self._peer.on("connectionstatechange", self._changed.set)

    # ---- setting up

    async def negotiate(self, signaling: SignalPath, offerer: bool) -> None:
        """Exchanges session descriptions through the signaling server."""
        if offerer:
            await self._describe(signaling)
            await self._accept(await _description(signaling, "answer"))
        else:
            await self._accept(await _description(signaling, "offer"))
            await self._describe(signaling)

    async def opened(self) -> None:
        """Waits until both channels are open."""
        while not (self._media.readyState == "open" and self._control.readyState == "open"):
            if self._peer.connectionState in ("failed", "closed"):
                raise CallError(
                    "no path to the peer: check that the firewalls let UDP through; "
                    "between two networks give --stun or --turn"
                )
            self._changed.clear()
            await self._changed.wait()

    async def _describe(self, signaling: SignalPath) -> None:
        await self._peer.setLocalDescription()
        described = self._peer.localDescription
        await signaling.send({"kind": described.type, "sdp": described.sdp})

    async def _accept(self, description: RTCSessionDescription) -> None:
        sections = [line[2:].split(" ")[0] for line in description.sdp.splitlines() if line.startswith("m=")]
        if sections != ["application"] or "\na=fingerprint:" not in description.sdp:  # no tracks, and no DTLS without
            raise CallError(_NONSENSE)
        try:
            await self._peer.setRemoteDescription(description)
        except _BAD_DESCRIPTION as error:
            raise CallError(_NONSENSE) from error

    def _listen(self, channel: RTCDataChannel, kind: Channel) -> None:
        channel.on("message", lambda data: self._take(kind, data))
        channel.on("open", self._changed.set)
        channel.on("close", self._on_close)

    def _dtls(self) -> Any:
        sctp = self._peer.sctp
        assert sctp is not None, "the data channels have made it"
        return sctp.transport

    def _ice_connection(self) -> Any:
        return self._dtls().transport.iceGatherer._connection

    def _watch_datagrams(self) -> None:
        """Notes when each datagram came before DTLS and SCTP, in whose task the messages in it are taken, get it."""
        ice = self._dtls().transport
        receive = ice._recv

        async def receive_noting() -> bytes:
            data: bytes = await receive()
            self._datagram_s = data.at_s if isinstance(data, Arrived) else self._loop.time()
            return data

        ice._recv = receive_noting

    # ---- the Link

    def send(self, channel: Channel, data: bytes) -> None:
        """See Link. Media that waits too long or in too long a queue counts as "media_dropped_congested"."""
        if self._closed:
            return
        if channel is Channel.CONTROL:
            if self._control.readyState == "open":
                self._control.send(data)
            return
        self._outbox.append((self._loop.time(), data))
        self._outbox_bytes += len(data)
        self._feed_media()

    def _feed_media(self) -> None:
        """Hands SCTP one message at a time, so that what waits does so here, where it can still be dropped."""
        oldest_s = self._loop.time() - MEDIA_QUEUE_S
        while self._outbox and (self._outbox[0][0] < oldest_s or self._outbox_bytes > MEDIA_QUEUE_BYTES):
            self._take_media()
            self._stats.count("media_dropped_congested")
        if self._outbox and self._media.readyState == "open" and self._media.bufferedAmount == 0:
            self._media.send(self._take_media())

    def _take_media(self) -> bytes:
        _, data = self._outbox.popleft()
        self._outbox_bytes -= len(data)
        return data

    async def receive(self) -> tuple[Channel, bytes]:
        """See Link. At most 256 media packets wait; then the oldest go, counted as "media_dropped_inbound"."""
        while not self._inbound:
            if self._closed:
                raise LinkClosed
            self._arrived.clear()
            await self._arrived.wait()
        channel, data, self._given_s = self._inbound.popleft()
        self._waiting[channel] -= 1
        return channel, data

    def arrived_ms(self) -> float:
        """See Link. As the kernel has it, where it tells (`kernel_arrival`)."""
        return self._given_s * 1000.0

    def wire_bytes(self) -> WireBytes:
        """See Link. All datagrams of the ICE sockets: STUN, DTLS, SCTP and its acks, with UDP and IP headers. The
        two or three datagrams that allocate a TURN relay come before its socket is known and are not in it."""
        return self._meter.bytes()

    async def close(self) -> None:
        """See Link."""
        if self._peer.connectionState == "connected" and not self._closed:
            await self._flush()
        was_open = self._media.readyState != "connecting"
        self._on_close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._peer.close()
                if not was_open:
                    # aioice, closed while it connects, may yet succeed and start to check consent: close that too.
                    await asyncio.sleep(_ICE_STEP_S)
                    await self._ice_connection().close()
        except TimeoutError:
            logger.debug("the peer connection took too long to close")

    async def _flush(self) -> None:
        sctp = self._peer.sctp
        assert sctp is not None
        for _ in range(int(_FLUSH_S / 0.02)):
            if self._control.readyState != "open":
                return
            if not (sctp._data_channel_queue or sctp._outbound_queue or sctp._sent_queue):
                return
            await asyncio.sleep(0.02)

    def _take(self, channel: Channel, data: str | bytes) -> None:
        if isinstance(data, str):
            self._stats.count("packets_malformed")
            return
        limit = _INBOUND_MEDIA if channel is Channel.MEDIA else _INBOUND_CONTROL
        if self._waiting[channel] >= limit:
            self._stats.count(f"{channel.value}_dropped_inbound")
            if channel is Channel.CONTROL:
                return
            del self._inbound[next(i for i, (kind, *_) in enumerate(self._inbound) if kind is Channel.MEDIA)]
            self._waiting[channel] -= 1
        self._inbound.append((channel, data, self._datagram_s))
        self._waiting[channel] += 1
        self._arrived.set()

    def _on_close(self) -> None:
        self._closed = True
        self._outbox.clear()
        self._arrived.set()
        self._changed.set()


async def _description(signaling: SignalPath, kind: str) -> RTCSessionDescription:
    while True:
        message = await signaling.receive()
        if isinstance(message, PeerLeft):
            raise PeerLeftError("the other one has left the room")
        if isinstance(message, Signal) and message.data.get("kind") == kind:
            sdp = message.data.get("sdp")
            if not isinstance(sdp, str):
                raise CallError(_NONSENSE)
            return RTCSessionDescription(sdp=sdp, type=kind)
