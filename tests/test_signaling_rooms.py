"""The signaling server's core, by hand and by clock."""

from __future__ import annotations

import json

from avcall.signaling.messages import IceServer, Joined, PeerJoined, PeerLeft, Refusal, Signal
from avcall.signaling.rooms import Delivery, Limits, Rooms

ALICE, BOB, EVE = "alice-token-0001", "bob-token-000001", "eve-token-000001"


def join(room: str = "R", peer: str = ALICE, version: int = 1) -> str:
    return json.dumps({"type": "join", "version": version, "room": room, "peer": peer})


def signal(**data: object) -> str:
    return json.dumps({"type": "signal", "data": data})


def entered(rooms: Rooms, room: str = "R", peer: str = ALICE, now_ms: float = 0.0) -> int:
    number = rooms.connect(now_ms)
    assert number is not None
    deliveries = rooms.receive(number, join(room, peer), now_ms)
    assert any(isinstance(delivery.message, Joined) for delivery in deliveries), deliveries
    return number


def test_two_meet_and_talk() -> None:
    rooms = Rooms(Limits())
    alice, bob = rooms.connect(0.0), rooms.connect(0.0)
    assert (alice, bob) == (1, 2)
    assert rooms.receive(1, join(), 1.0) == [Delivery(1, Joined(1, "R", offerer=False))]
    assert rooms.receive(2, join(peer=BOB), 2.0) == [
        Delivery(2, Joined(1, "R", offerer=True)),
        Delivery(1, PeerJoined()),
    ]
    assert rooms.receive(2, signal(kind="offer"), 3.0) == [Delivery(1, Signal({"kind": "offer"}))]
    assert rooms.receive(1, signal(kind="answer"), 4.0) == [Delivery(2, Signal({"kind": "answer"}))]
    assert (rooms.rooms, rooms.peers, rooms.dropped) == (1, 2, 0)
    assert rooms.counters == {"joins": 2, "relayed": 2}


def test_a_third_is_refused_and_the_two_do_not_notice() -> None:
    rooms = Rooms(Limits())
    entered(rooms, peer=ALICE), entered(rooms, peer=BOB)
    eve = rooms.connect(0.0)
    assert eve is not None
    refusal = Refusal("room_full", "room 'R' is full: two are in it already")
    assert rooms.receive(eve, join(peer=EVE), 0.0) == [Delivery(eve, refusal, close=True)]
    assert rooms.disconnect(eve) == []
    assert rooms.peers == 2


def test_who_leaves_makes_room() -> None:
    rooms = Rooms(Limits())
    alice, bob = entered(rooms, peer=ALICE), entered(rooms, peer=BOB)
    assert rooms.receive(bob, '{"type":"leave"}', 0.0) == [Delivery(alice, PeerLeft())]
    assert rooms.disconnect(bob) == []
    eve = rooms.connect(0.0)
    assert eve is not None
    assert rooms.receive(eve, join(peer=EVE), 0.0) == [
        Delivery(eve, Joined(1, "R", offerer=True)),
        Delivery(alice, PeerJoined()),
    ]
    assert rooms.disconnect(alice) == [Delivery(eve, PeerLeft())]
    assert rooms.disconnect(eve) == []
    assert (rooms.rooms, rooms.peers) == (0, 0)


def test_the_same_peer_takes_the_place_of_its_dead_connection() -> None:
    rooms = Rooms(Limits())
    alice, bob = entered(rooms, peer=ALICE), entered(rooms, peer=BOB)
    again = rooms.connect(0.0)
    assert again is not None
    assert rooms.receive(again, join(peer=BOB), 0.0) == [
        Delivery(bob, None, close=True),
        Delivery(again, Joined(1, "R", offerer=True)),
        Delivery(alice, PeerJoined()),
    ]
    assert rooms.disconnect(bob) == []
    assert rooms.receive(alice, signal(a=1), 0.0) == [Delivery(again, Signal({"a": 1}))]


def test_bad_names_and_other_versions_are_refused_with_the_reason() -> None:
    rooms = Rooms(Limits())
    for name in ("", "a b", "x" * 65, "ä", "../etc"):
        number = rooms.connect(0.0)
        assert number is not None
        (delivery,) = rooms.receive(number, join(room=name), 0.0)
        assert isinstance(delivery.message, Refusal)
        assert (delivery.message.code, delivery.close) == ("bad_room", True)
    number = rooms.connect(0.0)
    assert number is not None
    (delivery,) = rooms.receive(number, join(version=2), 0.0)
    assert delivery.message == Refusal("version", "this server speaks signaling version 1, the client 2")
    assert rooms.peers == 0


def test_nonsense_is_dropped_and_counted_and_too_much_of_it_ends_the_connection() -> None:
    rooms = Rooms(Limits(max_dropped=5, burst=1000))
    number = rooms.connect(0.0)
    assert number is not None
    for text in ("", "[]", "{}", "x" * 70_000):
        assert rooms.receive(number, text, 0.0) == []
    assert rooms.counters == {"dropped_malformed": 4}
    assert rooms.receive(number, '{"type":"joined"}', 0.0) == [
        Delivery(number, Refusal("malformed", "a signaling message of unknown type"), close=True)
    ]
    assert (rooms.dropped, rooms.peers) == (5, 0)
    assert rooms.receive(number, join(), 0.0) == []


def test_an_abuser_in_a_room_is_taken_out_of_it() -> None:
    rooms = Rooms(Limits(max_dropped=1))
    alice, bob = entered(rooms, peer=ALICE), entered(rooms, peer=BOB)
    deliveries = rooms.receive(bob, "?", 0.0)
    assert deliveries[-1] == Delivery(alice, PeerLeft())
    assert deliveries[0].close


def test_a_flood_is_dropped_and_the_bucket_refills() -> None:
    rooms = Rooms(Limits(rate_per_s=10.0, burst=3))
    alice, bob = entered(rooms, peer=ALICE), entered(rooms, peer=BOB)
    passed = [len(rooms.receive(bob, signal(n=n), 0.0)) for n in range(4)]
    assert passed == [1, 1, 0, 0]  # one token went for joining
    assert rooms.counters["dropped_too_fast"] == 2
    assert rooms.receive(bob, signal(n=9), 100.0) == [Delivery(alice, Signal({"n": 9}))]
    assert rooms.receive(bob, signal(n=10), 100.0) == []


def test_quiet_rooms_and_idle_connections_expire() -> None:
    rooms = Rooms(Limits(room_ttl_s=60.0, join_s=10.0))
    alice = entered(rooms, peer=ALICE)
    idle = rooms.connect(0.0)
    assert rooms.expire(9_999.0) == []
    assert rooms.expire(10_001.0) == [Delivery(idle or 0, Refusal("no_join", "no room was joined in time"), close=True)]
    assert rooms.expire(59_999.0) == []
    assert rooms.expire(60_001.0) == [Delivery(alice, Refusal("room_expired", "room 'R' has expired"), close=True)]
    assert (rooms.rooms, rooms.peers) == (0, 0)
    assert rooms.disconnect(alice) == []


def test_a_signal_keeps_a_room() -> None:
    rooms = Rooms(Limits(room_ttl_s=60.0))
    alice = entered(rooms, peer=ALICE)
    rooms.receive(alice, signal(n=1), 50_000.0)
    assert rooms.expire(100_000.0) == []


def test_a_full_server_says_so() -> None:
    rooms = Rooms(Limits(max_connections=2, max_rooms=1))
    entered(rooms, room="R")
    other = rooms.connect(0.0)
    assert other is not None
    assert rooms.connect(0.0) is None
    (delivery,) = rooms.receive(other, join(room="S", peer=BOB), 0.0)
    assert delivery.message == Refusal("too_many_rooms", "the server has its 1 rooms")


def test_ice_servers_are_announced_fresh_at_each_join() -> None:
    made = iter(range(9))
    rooms = Rooms(Limits(), lambda: (IceServer("stun:s:1", str(next(made))),))
    number = rooms.connect(0.0)
    assert number is not None
    (delivery,) = rooms.receive(number, join(), 0.0)
    assert delivery.message == Joined(1, "R", offerer=False, ice_servers=(IceServer("stun:s:1", "0"),))


def test_signals_before_joining_and_joining_twice_are_dropped() -> None:
    rooms = Rooms(Limits())
    number = rooms.connect(0.0)
    assert number is not None
    assert rooms.receive(number, signal(n=1), 0.0) == []
    rooms.receive(number, join(), 0.0)
    assert rooms.receive(number, join(room="S"), 0.0) == []
    assert rooms.counters["dropped_malformed"] == 2
