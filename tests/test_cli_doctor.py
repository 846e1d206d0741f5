"""The doctor's findings, and what it makes of a network that answers in all ways."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from avcall.cli import doctor, doctor_network, main
from avcall.cli.doctor_network import mapped_address
from avcall.cli.finding import Finding, missing
from avcall.common.errors import AvcallError

NAMES = [
    "camera",
    "microphone",
    "speaker",
    "display",
    "face mesh",
    "models",
    "frame budget",
    "picture coder",
    "voice coder",
    "recording",
]
NAMES += ["gpu", "ports", "stun", "signaling"]


def test_one_line_for_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14].strip() for line in lines] == NAMES
    assert all(line[15:23].strip() in ("ok", "none", "missing") for line in lines)
    assert code == (4 if any(" missing " in line for line in lines) else 0)


def test_what_breaks_in_an_examination_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise ValueError("out of\norder")

    def refused() -> Finding:
        raise AvcallError("weights are damaged: install avcall again")

    monkeypatch.setattr(doctor, "camera", broken)
    monkeypatch.setattr(doctor, "models", refused)
    findings = {finding.name: finding for finding in doctor.examine("", "")}
    assert findings["camera"].exit_code == findings["models"].exit_code == 4
    assert "\n" not in str(findings["camera"])
    assert "install avcall again" in str(findings["models"])


def test_without_portaudio_a_call_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr("builtins.__import__", refusing("sounddevice"))
    finding = doctor.sound_device("microphone", "input", "--no-audio")
    assert (finding.state, finding.exit_code) == ("none", 0)
    assert "apt install libportaudio2" in finding.text


def refusing(module: str) -> object:
    real = __import__

    def importer(name: str, *rest: object, **more: object) -> object:
        if name == module:
            raise OSError("PortAudio library not found")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    return importer


def test_a_missing_thing_makes_the_exit_code() -> None:
    assert missing("x").exit_code == 4
    assert str(missing("do  this\nnow").named("ports")) == "ports          missing  do this now"


def response(transaction: bytes, kind: int = 0x0020) -> bytes:
    address = struct.unpack("!I", socket.inet_aton("192.0.2.7"))[0] ^ 0x2112A442
    software = struct.pack("!HH", 0x8022, 5) + b"coded\0\0\0"
    mapped = struct.pack("!HHBBHI", kind, 8, 0, 1, 4242 ^ 0x2112, address)
    return struct.pack("!HHI", 0x0101, len(software + mapped), 0x2112A442) + transaction + software + mapped


def test_an_address_is_read_from_a_stun_response() -> None:
    assert mapped_address(response(b"t" * 12), b"t" * 12) == "192.0.2.7:4242"


@pytest.mark.parametrize(
    "data", [b"", b"x" * 19, response(b"other-123456"), response(b"t" * 12, kind=0x7777), response(b"t" * 12)[:-3]]
)
def test_what_is_no_stun_response_is_none(data: bytes) -> None:
    assert mapped_address(data, b"t" * 12) is None


def test_a_stun_server_is_asked() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5.0)

        def answer() -> None:
            data, peer = server.recvfrom(2048)
            server.sendto(response(data[8:20]), peer)

        thread = threading.Thread(target=answer)
        thread.start()
        finding = doctor_network.stun(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert finding.state == "ok"
    assert "192.0.2.7:4242" in finding.text


def test_a_silent_stun_server_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_network, "TIMEOUT_S", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        finding = doctor_network.stun(f"127.0.0.1:{server.getsockname()[1]}")
    assert (finding.state, finding.exit_code) == ("none", 0)
    assert "does not answer" in finding.text


@pytest.fixture
def health() -> Iterator[tuple[HTTPServer, dict[str, object]]]:
    said: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server, said
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_signaling_server_is_found_and_another_is_not_taken_for_one(
    health: tuple[HTTPServer, dict[str, object]],
) -> None:
    server, said = health
    url = f"ws://127.0.0.1:{server.server_port}/ws"
    assert doctor_network.signaling(url).state == "missing"
    said.update(service="avcall-signaling", rooms=3, peers=4)
    finding = doctor_network.signaling(url)
    assert finding.state == "ok"
    assert "3 rooms, 4 peers" in finding.text


def test_a_signaling_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "avcall signal" in doctor_network.signaling(f"ws://127.0.0.1:{port}").text
