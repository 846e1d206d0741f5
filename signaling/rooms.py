"""Rooms of two: the signaling server's core, without sockets and without a clock.

The server hands in what happens (`connect`, `receive`, `disconnect`, `expire`) and sends out the `Delivery` list that
each of them returns. Times are monotonic milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from avcall.common.errors import ProtocolError
from avcall.signaling.messages import (
    ROOM_RULE,
    VERSION,
    FromServer,
    IceServer,
    Join,
    Joined,
    Leave,
    PeerJoined,
    PeerLeft,
    Refusal,
    Signal,
    is_room_name,
    parse_from_client,
)

_PRINTED_CHARS = 64


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for connection `to`, which is closed after it where `close` is set."""

    to: int
    message: FromServer | None
    close: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server bears."""

    max_connections: int = 1000
    max_rooms: int = 500
    room_ttl_s: float = 3600.0
    """A room in which nobody has said anything for this long is closed; a call made in it goes on."""
    join_s: float = 10.0
    """A connection that has not joined a room by then is closed."""
    rate_per_s: float = 20.0
    burst: int = 60
    max_dropped: int = 100
    """Malformed or too frequent messages before a connection is closed."""


@dataclass(slots=True)
class _Connection:
    since_ms: float
    tokens: float
    filled_ms: float
    peer: str = ""
    room: str = ""
    dropped: int = 0


@dataclass(slots=True)
class _Room:
    active_ms: float
    members: list[int] = field(default_factory=list)


class Rooms:
    """Who is connected, who is in which room, and what they may do. `ice_servers` is asked at each join, as relay
    credentials are made for a time."""

    def __init__(self, limits: Limits, ice_servers: Callable[[], tuple[IceServer, ...]] = tuple) -> None:
        self._limits = limits
        self._ice_servers = ice_servers
        self._connections: dict[int, _Connection] = {}
        self._rooms: dict[str, _Room] = {}
        self._next_id = 1
        self.counters: Counter[str] = Counter()

    @property
    def rooms(self) -> int:
        return len(self._rooms)

    @property
    def peers(self) -> int:
        """Connections, whether in a room or not."""
        return len(self._connections)

    def connect(self, now_ms: float) -> int | None:
        """Id of a new connection, None if the server is full."""
        if len(self._connections) >= self._limits.max_connections:
            self.counters["refused_busy"] += 1
            return None
        number = self._next_id
        self._next_id += 1
        self._connections[number] = _Connection(now_ms, float(self._limits.burst), now_ms)
        return number

    def receive(self, sender: int, text: str, now_ms: float) -> list[Delivery]:
        """One text message from a connection; nonsense and floods are dropped and counted."""
        connection = self._connections.get(sender)
        if connection is None:
            return []
        if not self._take_token(connection, now_ms):
            return self.drop(sender, "too_fast", "messages come too fast")
        try:
            message = parse_from_client(text)
        except ProtocolError as error:
            return self.drop(sender, "malformed", str(error))
        match message:
            case Join():
                return self._join(sender, connection, message, now_ms)
            case Leave():
                return self._leave(sender)
            case Signal():
                return self._relay(sender, connection, message, now_ms)

    def drop(self, sender: int, code: str, why: str) -> list[Delivery]:
        """Counts a message that is not obeyed; who sends too many of them is shown the door."""
        self.counters[f"dropped_{code}"] += 1
        connection = self._connections.get(sender)
        if connection is None:
            return []
        connection.dropped += 1
        if connection.dropped < self._limits.max_dropped:
            return []
        self.counters["refused_abuse"] += 1
        return [Delivery(sender, Refusal(code, why), close=True), *self.disconnect(sender)]

    def disconnect(self, gone: int) -> list[Delivery]:
        """A connection has ended."""
        deliveries = self._leave(gone)
        self._connections.pop(gone, None)
        return deliveries

    def expire(self, now_ms: float) -> list[Delivery]:
        """Closes rooms without a word and connections without a room. To be called every few seconds."""
        deliveries: list[Delivery] = []
        for name, room in list(self._rooms.items()):
            if now_ms - room.active_ms > self._limits.room_ttl_s * 1000:
                self.counters["rooms_expired"] += 1
                refusal = Refusal("room_expired", f"room {name!r} has expired")
                for member in room.members:
                    deliveries.append(Delivery(member, refusal, close=True))
                    self._connections.pop(member, None)
                del self._rooms[name]
        for number, connection in list(self._connections.items()):
            if not connection.room and now_ms - connection.since_ms > self._limits.join_s * 1000:
                deliveries.append(Delivery(number, Refusal("no_join", "no room was joined in time"), close=True))
                del self._connections[number]
        return deliveries

    @property
    def dropped(self) -> int:
        """Messages that were not obeyed, for whatever reason."""
        return sum(count for name, count in self.counters.items() if name.startswith("dropped_"))

    def _take_token(self, connection: _Connection, now_ms: float) -> bool:
        refill = max(0.0, now_ms - connection.filled_ms) / 1000 * self._limits.rate_per_s
        connection.tokens = min(float(self._limits.burst), connection.tokens + refill)
        connection.filled_ms = now_ms
        if connection.tokens < 1.0:
            return False
        connection.tokens -= 1.0
        return True

    def _join(self, sender: int, connection: _Connection, join: Join, now_ms: float) -> list[Delivery]:
        if join.version != VERSION:
            why = f"this server speaks signaling version {VERSION}, the client {join.version}"
            return self._refuse(sender, "version", why)
        if not is_room_name(join.room):
            return self._refuse(sender, "bad_room", f"room {join.room[:_PRINTED_CHARS]!r} is not {ROOM_RULE}")
        if connection.room:
            return self.drop(sender, "malformed", "joined twice")
        room = self._rooms.get(join.room)
        deliveries: list[Delivery] = []
        if room is None:
            if len(self._rooms) >= self._limits.max_rooms:
                return self._refuse(sender, "too_many_rooms", f"the server has its {self._limits.max_rooms} rooms")
            room = self._rooms[join.room] = _Room(now_ms)
        else:
            for member in list(room.members):
                if self._connections[member].peer == join.peer:  # the same one is back before its old socket died
                    room.members.remove(member)
                    del self._connections[member]
                    deliveries.append(Delivery(member, None, close=True))
        if len(room.members) >= 2:
            return self._refuse(sender, "room_full", f"room {join.room!r} is full: two are in it already")
        room.active_ms = now_ms
        connection.peer, connection.room = join.peer, join.room
        deliveries.append(Delivery(sender, Joined(VERSION, join.room, bool(room.members), self._ice_servers())))
        deliveries += [Delivery(member, PeerJoined()) for member in room.members]
        room.members.append(sender)
        self.counters["joins"] += 1
        return deliveries

    def _refuse(self, sender: int, code: str, why: str) -> list[Delivery]:
        self.counters[f"refused_{code}"] += 1
        self._connections.pop(sender, None)
        return [Delivery(sender, Refusal(code, why), close=True)]

    def _leave(self, gone: int) -> list[Delivery]:
        connection = self._connections.get(gone)
        if connection is None or not connection.room:
            return []
        room = self._rooms[connection.room]
        room.members.remove(gone)
        if not room.members:
            del self._rooms[connection.room]
        connection.room = ""
        return [Delivery(member, PeerLeft()) for member in room.members]

    def _relay(self, sender: int, connection: _Connection, signal: Signal, now_ms: float) -> list[Delivery]:
        room = self._rooms.get(connection.room)
        if room is None:
            return self.drop(sender, "malformed", "a signal outside of any room")
        room.active_ms = now_ms
        self.counters["relayed"] += 1
        return [Delivery(member, signal) for member in room.members if member != sender]
