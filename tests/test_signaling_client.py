"""The client against real servers: the right one, the wrong ones, and one that goes away."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from aiohttp import web

from avcall.common.errors import RoomError, SignalingError
from avcall.signaling import client as client_module
from avcall.signaling.client import SignalingClient
from avcall.signaling.messages import PeerJoined, PeerLeft, Signal
from avcall.signaling.server import SignalConfig
from tests.signaling_server import running_server

pytestmark = pytest.mark.real_time


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_two_clients_talk_and_one_leaves() -> None:
    async with running_server() as url, SignalingClient(url, "R") as first:
        async with SignalingClient(url, "R") as second:
            assert (first.joined.offerer, second.joined.offerer) == (False, True)
            assert await first.receive() == PeerJoined()
            await second.send({"kind": "offer"})
            assert await first.receive() == Signal({"kind": "offer"})
            await first.send({"kind": "answer"})
            assert await second.receive() == Signal({"kind": "answer"})
        assert await first.receive() == PeerLeft()


async def test_a_third_is_refused_by_name() -> None:
    async with running_server() as url, SignalingClient(url, "R"), SignalingClient(url, "R"):
        with pytest.raises(RoomError, match="--room R is full: two are in it already; agree on another room"):
            async with SignalingClient(url, "R"):
                pass


@pytest.mark.parametrize("room", ["", "a b", "x" * 65])
def test_a_bad_room_name_is_refused_before_anything_is_sent(room: str) -> None:
    with pytest.raises(RoomError, match=r"--room .* is not a room name: use 1 to 64 letters"):
        SignalingClient("ws://127.0.0.1:1", room)


async def refused(url: str) -> str:
    with pytest.raises(SignalingError) as caught:
        async with SignalingClient(url, "R"):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_server_that_is_down() -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    assert "(Connection refused): start 'avcall signal' there or correct --signal" in await refused(url)


async def test_addresses_that_are_none() -> None:
    assert "must begin with ws:// or wss://" in await refused("http://127.0.0.1:1")
    assert "write ws://HOST:PORT" in await refused("ws://")
    assert "write ws://HOST:PORT" in await refused("ws://127.0.0.1:99999")
    assert "correct --signal" in await refused("ws://no-such-host.invalid:1")


async def test_tls_towards_a_server_without() -> None:
    async with running_server() as url:
        assert "use ws://" in await refused(url.replace("ws://", "wss://"))


async def test_a_web_server_that_is_no_signaling_server() -> None:
    async def websocket(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for _ in answer:
            await answer.send_str("welcome to the chat")
            await answer.send_str('{"type":"peer_joined"}')
        return answer

    application = web.Application()
    application.router.add_get("/chat", websocket)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        url = f"ws://127.0.0.1:{port}"
        assert "is not an avcall signaling server (HTTP 404): check --signal" in await refused(url)
        assert "is not an avcall signaling server: check --signal" in await refused(f"{url}/chat")
    finally:
        await runner.cleanup()


async def test_a_port_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_CONNECT_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "does not answer: check --signal and the firewall" in await refused(
            f"ws://127.0.0.1:{silent.getsockname()[1]}"
        )


async def test_a_server_lost_while_waiting() -> None:
    async with running_server() as url:
        client = SignalingClient(url, "R")
        await client.__aenter__()
    with pytest.raises(SignalingError, match=r"shutting down|closed the connection"):
        await client.receive()
    await client.__aexit__(None, None, None)


async def test_a_server_lost_in_a_call_is_one_warning_and_the_client_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_S", (0.05,))
    config = SignalConfig(host="127.0.0.1", port=free_port())
    async with running_server(config) as url:
        client = SignalingClient(url, "R")
        await client.__aenter__()
        staying = asyncio.create_task(client.stay())
    await asyncio.sleep(0.3)
    assert [record.levelno for record in caplog.records if record.name == client_module.__name__] == [logging.WARNING]
    assert "the call goes on without it" in caplog.text
    async with running_server(config), SignalingClient(url, "R") as other:
        assert other.joined.offerer or await other.receive() == PeerJoined()
        await asyncio.sleep(0.1)
        assert "is back" in caplog.text
        staying.cancel()
        await asyncio.wait({staying})
        await client.__aexit__(None, None, None)


async def test_a_room_that_expires_in_a_call_is_left_in_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("avcall.signaling.server._EXPIRE_EVERY_S", 0.02)
    async with (
        running_server(SignalConfig(host="127.0.0.1", port=0, room_ttl_s=0.05)) as url,
        SignalingClient(url, "R") as client,
    ):
        await asyncio.wait_for(client.stay(), 5)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
