"""Two hosts with addresses of their own and a router between: namespaces and veth, no loopback anywhere."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.two_hosts_end import PACKETS

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("two_hosts", ROOT / "scripts" / "two_hosts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["two_hosts"] = module
    spec.loader.exec_module(module)
    if reason := module.why_not():
        pytest.skip(f"two hosts cannot be made here: {reason}")
    yield module
    del sys.modules["two_hosts"]


END = [sys.executable, str(ROOT / "tests" / "two_hosts_end.py")]


def test_a_call_crosses_the_router_and_the_meter_agrees_with_the_interface(
    two_hosts: ModuleType, tmp_path: Path
) -> None:
    with two_hosts.Network() as network, two_hosts.signaling(network, tmp_path) as url:
        receiver = network.start("callee", [*END, "receive", url], tmp_path / "receive.log")
        sender = network.start("caller", [*END, "send", url], tmp_path / "send.log")
        assert sender.wait(40) == 0, (tmp_path / "send.log").read_text()
        assert receiver.wait(10) == 0, (tmp_path / "receive.log").read_text()
        counted = network.counted("caller")
    sent = json.loads((tmp_path / "send.log").read_text())
    received = json.loads((tmp_path / "receive.log").read_text())
    assert (received["arrived"], received["reason"]) == (PACKETS, "sent")
    # The interface carried the signaling too (TCP, some kilobytes) and a few ARP and IPv6 neighbour packets.
    assert 0 <= counted.up - sent["up"] <= 8_000
    assert 0 <= counted.down - sent["down"] <= 8_000
    assert sent["up"] > PACKETS * (90 + 93)


def test_hosts_that_cannot_reach_one_another_call_through_the_relay(two_hosts: ModuleType, tmp_path: Path) -> None:
    if shutil.which("turnserver") is None:
        pytest.skip("there is no turnserver here: install coturn to run this test")
    with two_hosts.Network() as network:
        relay = network.address("server")
        network.keep_apart()
        network.start(
            "server",
            ["turnserver", "-n", "--use-auth-secret", "--static-auth-secret=north", "--realm=avcall", "--no-cli",
             f"--listening-ip={relay}", f"--relay-ip={relay}", "--log-file=stdout", "--fingerprint",
             f"--pidfile={tmp_path / 'turn.pid'}"],
            tmp_path / "turn.log",
        )  # fmt: skip
        with two_hosts.signaling(network, tmp_path, "--turn", f"{relay}:3478", "--turn-secret", "north") as url:
            receiver = network.start("callee", [*END, "receive", url], tmp_path / "receive.log")
            sender = network.start("caller", [*END, "send", url], tmp_path / "send.log")
            assert sender.wait(60) == 0, (tmp_path / "send.log").read_text()
            assert receiver.wait(10) == 0, (tmp_path / "receive.log").read_text()
            counted = network.counted("caller")
    sent = json.loads((tmp_path / "send.log").read_text())
    assert json.loads((tmp_path / "receive.log").read_text())["arrived"] == PACKETS
    assert 0 <= counted.up - sent["up"] <= 10_000
    assert sent["up"] > PACKETS * (90 + 93 + 4)  # each in TURN's channel framing


def test_everything_is_removed_again(two_hosts: ModuleType) -> None:
    with two_hosts.Network() as network:
        name = network.namespace("router")
        assert (Path("/var/run/netns") / name).exists()
    assert not list(Path("/var/run/netns").glob(f"{name.removesuffix('-router')}*"))


def test_a_program_that_hangs_is_ended_with_the_network(two_hosts: ModuleType, tmp_path: Path) -> None:
    with two_hosts.Network() as network:
        hanging = network.start("caller", ["sleep", "600"], tmp_path / "sleep.log")
    assert hanging.poll() is not None


@pytest.mark.clips
@pytest.mark.timeout(180)
def test_a_face_crosses_the_router(two_hosts: ModuleType, tmp_path: Path, clips_dir: Path) -> None:
    clip = min((clips_dir / "test").glob("*.mp4"))
    assert two_hosts.call(clip, 6.0, tmp_path) == 0, (tmp_path / "receive.log").read_text()
