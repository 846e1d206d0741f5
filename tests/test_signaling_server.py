"""The server through real sockets: meeting, refusing, counting, announcing, stopping."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import aiohttp
import pytest

from avcall.common.errors import ConfigError, SignalingError
from avcall.signaling.rooms import Limits
from avcall.signaling.server import SignalConfig, SignalingServer, announced_servers, serve, turn_credentials
from tests.signaling_server import running_server

pytestmark = pytest.mark.real_time


async def receive(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((await socket.receive(timeout=5)).data)
    return raw


async def join(http: aiohttp.ClientSession, url: str, number: int, room: str = "R") -> aiohttp.ClientWebSocketResponse:
    socket = await http.ws_connect(url)
    await socket.send_json({"type": "join", "version": 1, "room": room, "peer": f"token-of-peer-{number:04}"})
    return socket


async def health(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(url.replace("ws://", "http://") + "/health") as response:
        assert response.status == 200
        figures: dict[str, Any] = await response.json()
        return figures


async def test_two_meet_a_third_is_refused_and_health_counts() -> None:
    async with running_server() as url, aiohttp.ClientSession() as http:
        first = await join(http, url, 1)
        assert await receive(first) == {
            "type": "joined", "version": 1, "room": "R", "offerer": False, "ice_servers": [],
        }  # fmt: skip
        second = await join(http, f"{url}/ws", 2)
        assert (await receive(second))["offerer"] is True
        assert await receive(first) == {"type": "peer_joined"}
        third = await join(http, url, 3)
        assert (await receive(third))["code"] == "room_full"
        assert (await third.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        await second.send_json({"type": "signal", "data": {"kind": "offer", "sdp": "x" * 20_000}})
        assert len((await receive(first))["data"]["sdp"]) == 20_000
        figures = await health(http, url)
        assert {name: figures[name] for name in ("status", "service", "rooms", "peers", "dropped")} == {
            "status": "ok", "service": "avcall-signaling", "rooms": 1, "peers": 2, "dropped": 0,
        }  # fmt: skip
        await second.close()
        assert await receive(first) == {"type": "peer_left"}


async def test_malformed_and_oversized_messages_are_dropped_and_counted() -> None:
    async with running_server() as url, aiohttp.ClientSession() as http:
        first = await join(http, url, 1)
        await receive(first)
        for text in ("not json", "[]", '{"type":"signal","data":1}', "x" * 70_000):
            await first.send_str(text)
        await first.send_bytes(b"\0\1\2")
        second = await join(http, url, 2)
        await receive(second)
        assert await receive(first) == {"type": "peer_joined"}
        figures = await health(http, url)
        assert (figures["dropped"], figures["counters"]["dropped_malformed"], figures["peers"]) == (5, 5, 2)


async def test_a_giant_message_ends_only_its_own_connection() -> None:
    async with running_server() as url, aiohttp.ClientSession() as http:
        first = await join(http, url, 1)
        await receive(first)
        giant = await join(http, url, 2, room="S")
        await receive(giant)
        await giant.send_str("x" * 300_000)
        assert (await giant.receive(timeout=5)).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert (await health(http, url))["peers"] == 1


async def test_a_flood_is_dropped_then_refused() -> None:
    async with running_server() as url, aiohttp.ClientSession() as http:
        first = await join(http, url, 1)
        await receive(first)
        for number in range(400):
            if first.closed:
                break
            await first.send_json({"type": "signal", "data": {"n": number}})
        assert (await receive(first))["code"] == "too_fast"
        assert (await health(http, url))["counters"]["dropped_too_fast"] >= 100


async def test_rooms_expire_through_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcall.signaling.server._EXPIRE_EVERY_S", 0.02)
    config = SignalConfig(host="127.0.0.1", port=0, room_ttl_s=0.05)
    async with running_server(config) as url, aiohttp.ClientSession() as http:
        first = await join(http, url, 1)
        await receive(first)
        assert (await receive(first))["code"] == "room_expired"
        assert (await health(http, url))["rooms"] == 0


async def test_a_peer_that_does_not_read_is_dropped() -> None:
    server = SignalingServer(Limits())
    number = server.rooms.connect(0.0)
    assert number is not None
    outbox = server._outboxes[number] = asyncio.Queue(2)
    deliveries = server.rooms.receive(number, '{"type":"join","version":1,"room":"R","peer":"token-of-peer-0001"}', 0.0)
    for _ in range(3):
        server._deliver(deliveries)
    assert outbox.qsize() == 1
    assert outbox.get_nowait().close


async def test_shutting_down_is_told() -> None:
    async with aiohttp.ClientSession() as http:
        async with running_server() as url:
            first = await join(http, url, 1)
            await receive(first)
        assert (await receive(first))["code"] == "shutting_down"
        assert (await first.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_a_browser_is_told_what_this_is() -> None:
    async with (
        running_server() as url,
        aiohttp.ClientSession() as http,
        http.get(url.replace("ws://", "http://")) as response,
    ):
        assert response.status == 426
        assert "avcall signaling server" in await response.text()


async def test_port_in_use_names_the_flag_and_the_cure() -> None:
    async with running_server() as url:
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(SignalingError, match=f"--port {port} is in use: .* choose another --port"):
            await serve(SignalConfig(host="127.0.0.1", port=port))


@pytest.mark.parametrize(("host", "port", "flag"), [("192.0.2.1", 0, "--host"), ("127.0.0.1", 70_000, "--port")])
async def test_addresses_that_cannot_be(host: str, port: int, flag: str) -> None:
    with pytest.raises(SignalingError, match=flag):
        await serve(SignalConfig(host=host, port=port))


def test_turn_credentials_are_those_of_coturn() -> None:
    username, password = turn_credentials("north", 1_400_000_000.0)
    assert username == "1400021600:avcall"
    wanted = base64.b64encode(hmac.new(b"north", b"1400021600:avcall", hashlib.sha1).digest()).decode()
    assert password == wanted == turn_credentials("north", 1_400_000_000.9)[1]


def test_announced_servers() -> None:
    made = announced_servers(
        SignalConfig(stun=("s.example:1",), turn=("r.example:2", "u:p@q.example:3"), turn_secret="north")
    )()
    assert [server.url for server in made] == ["stun:s.example:1", "turn:r.example:2", "turn:q.example:3"]
    assert made[1].username.endswith(":avcall")
    assert (made[2].username, made[2].credential) == ("u", "p")


def test_the_secret_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--turn r\.example:2: no credentials"):
        announced_servers(SignalConfig(turn=("r.example:2",)))
    monkeypatch.setenv("AVCALL_TURN_SECRET", "north")
    assert announced_servers(SignalConfig(turn=("r.example:2",)))()[0].credential


async def test_ice_servers_reach_the_client() -> None:
    config = SignalConfig(host="127.0.0.1", port=0, stun=("s.example:1",))
    async with running_server(config) as url, aiohttp.ClientSession() as http:
        first = await join(http, url, 1)
        assert (await receive(first))["ice_servers"] == [{"url": "stun:s.example:1", "username": "", "credential": ""}]
