"""A call between two hosts: network namespaces with their own addresses, a router between them, and a real call.

    caller 10.77.1.2 --- 10.77.1.1 router 10.77.3.1 --- 10.77.3.2 server
                                   router 10.77.2.1 --- 10.77.2.2 callee

Run as root from a checkout: `sudo .venv/bin/python scripts/two_hosts.py --video FILE --seconds 10`. It starts
`avcall signal` on the server, `avcall receive --no-window --record` on the callee and `avcall send --video` on the
caller, prints what crossed the caller's network interface beside what avcall counted at its socket, and exits 0 only
if a face arrived. Everything is removed again, whatever happens. Linux with iproute2 only.
"""

# ruff: noqa: T201 - it talks to the one who runs it

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ETHERNET_BYTES = 14
"""Header of each packet that the interface counts and a socket's datagram has not."""
PORT = 8765
HOSTS = ("caller", "callee", "server")


def why_not() -> str:
    """Why this machine cannot do it; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are a feature of Linux"
    if shutil.which("ip") is None:
        return "there is no 'ip' command: install iproute2"
    if os.geteuid() != 0:
        return "only root may make network namespaces: run it with sudo"
    probe = f"avcall-{os.getpid()}-probe"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        return "this kernel or container does not allow network namespaces"
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return ""


@dataclass(frozen=True)
class Counted:
    """Bytes with IP headers but without Ethernet's, as a socket's meter counts them."""

    up: int
    down: int


class Network:
    """The three hosts and their router, while the context lasts."""

    def __init__(self, rate_kbps: int = 0) -> None:
        self._rate_kbps = rate_kbps
        self._tag = f"avcall-{os.getpid()}"
        self._programs: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Network:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            stop(program, signal.SIGKILL)
        for name in (*HOSTS, "router"):
            subprocess.run(["ip", "netns", "del", self.namespace(name)], capture_output=True, check=False)

    def namespace(self, name: str) -> str:
        return f"{self._tag}-{name}"

    @staticmethod
    def address(host: str) -> str:
        return f"10.77.{HOSTS.index(host) + 1}.2"

    def start(self, host: str, command: Sequence[str | Path], log: Path) -> subprocess.Popen[str]:
        """Starts a program on a host; its output goes to the file `log`."""
        with log.open("w") as output:
            program = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(host), *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        self._programs.append(program)
        return program

    def counted(self, host: str) -> Counted:
        """What has crossed the host's interface so far, all programs and protocols."""
        folder = "/sys/class/net/eth0/statistics"
        names = ("tx_bytes", "tx_packets", "rx_bytes", "rx_packets")
        words = self._in(host, "cat", *(f"{folder}/{name}" for name in names)).split()
        up, up_packets, down, down_packets = map(int, words)
        return Counted(up - ETHERNET_BYTES * up_packets, down - ETHERNET_BYTES * down_packets)

    def keep_apart(self) -> None:
        """From now on the router lets nothing through between caller and callee, as two strict firewalls would."""
        for host, other in (("caller", "callee"), ("callee", "caller")):
            self._in("router", "ip", "rule", "add", "iif", f"to-{host}", "to", self.address(other), "blackhole")

    def _build(self) -> None:
        for name in (*HOSTS, "router"):
            _run("ip", "netns", "add", self.namespace(name))
            self._in(name, "ip", "link", "set", "lo", "up")
        self._in("router", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for number, host in enumerate(HOSTS, start=1):
            port = f"to-{host}"
            _run(
                "ip", "link", "add", "eth0", "netns", self.namespace(host),
                "type", "veth", "peer", "name", port, "netns", self.namespace("router"),
            )  # fmt: skip
            self._in("router", "ip", "address", "add", f"10.77.{number}.1/24", "dev", port)
            self._in("router", "ip", "link", "set", port, "up")
            self._in(host, "ip", "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            self._in(host, "ip", "link", "set", "eth0", "up")
            self._in(host, "ip", "route", "add", "default", "via", f"10.77.{number}.1")
            if self._rate_kbps and host != "server":
                for place, device in ((host, "eth0"), ("router", port)):
                    self._in(
                        place, "tc", "qdisc", "add", "dev", device, "root",
                        "tbf", "rate", f"{self._rate_kbps}kbit", "burst", "3kb", "latency", "300ms",
                    )  # fmt: skip

    def _in(self, name: str, *command: str) -> str:
        return _run("ip", "netns", "exec", self.namespace(name), *command)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def stop(program: subprocess.Popen[str], how: signal.Signals = signal.SIGINT, wait_s: float = 15.0) -> int:
    """Ends a program and returns its exit code."""
    if program.poll() is None:
        program.send_signal(how)
        try:
            program.wait(wait_s)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
    return program.returncode


def wait_for_text(log: Path, text: str, wait_s: float) -> None:
    """Waits until `text` stands in the file `log`.

    Raises:
        RuntimeError: it does not come.
    """
    give_up = time.monotonic() + wait_s
    while text not in log.read_text():
        if time.monotonic() > give_up:
            raise RuntimeError(f"waited {wait_s:.0f} s for {text!r}; the log says: {log.read_text()[-500:]}")
        time.sleep(0.05)


@contextlib.contextmanager
def signaling(network: Network, folder: Path, *flags: str) -> Iterator[str]:
    """`avcall signal` on the server; yields its address as the other hosts see it."""
    log = folder / "signal.log"
    program = network.start("server", [avcall(), "signal", "--port", str(PORT), *flags], log)
    wait_for_text(log, "signaling on", 20.0)
    yield f"ws://{network.address('server')}:{PORT}"
    stop(program)


def avcall() -> Path:
    """The command of the environment this script runs in."""
    return Path(sys.executable).with_name("avcall")


def frames_in(recording: Path) -> int:
    """Video frames in a recording that can be decoded."""
    import av

    if not recording.exists():
        return 0
    with av.open(str(recording)) as container:
        return sum(1 for _ in container.decode(video=0))


def at_socket(trace: Path) -> Counted:
    """All that avcall counted at its socket, from the last such line of a trace."""
    log = trace / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    counts = [line for line in lines if line["kind"] == "bytes"]
    return Counted(counts[-1]["up"], counts[-1]["down"]) if counts else Counted(0, 0)


def call(video: Path, seconds: float, folder: Path, rate_kbps: int = 0) -> int:
    """One call from the caller to the callee; prints a table and returns the exit code."""
    recording, trace = folder / "received.mp4", folder / "send-trace"
    with Network(rate_kbps) as network, signaling(network, folder) as url:
        common = ["--room", "two-hosts", "--signal", url]
        receiver = network.start(
            "callee",
            [avcall(), "receive", *common, "--no-window", "--no-audio", "--record", recording, "--stats"],
            folder / "receive.log",
        )
        before = network.counted("caller")
        sender = network.start(
            "caller",
            [avcall(), "send", *common, "--video", video, "--loop", "--seconds", str(seconds), "--trace", trace],
            folder / "send.log",
        )
        try:
            codes = [program.wait(seconds + 90.0) for program in (sender, receiver)]
        except subprocess.TimeoutExpired:
            codes = [stop(program) for program in (sender, receiver)]
        after = network.counted("caller")
    for name in ("send", "receive"):
        print(f"--- {name}\n{(folder / f'{name}.log').read_text().strip()}")
    frames = frames_in(recording)
    socket = at_socket(trace)
    print("---")
    print(f"caller {Network.address('caller')} -> router -> callee {Network.address('callee')}, {seconds:g} s of call")
    print(f"exit codes       send {codes[0]}, receive {codes[1]}")
    print(f"frames recorded  {frames}")
    for place, up, down in (
        ("at the interface", after.up - before.up, after.down - before.down),
        ("at the socket", socket.up, socket.down),
    ):
        rates = f"{up * 8 / 1000 / seconds:.1f} kbit/s up, {down * 8 / 1000 / seconds:.1f} down"
        print(f"{place:16s} {up} bytes up, {down} down: {rates}")
    print("(IP bytes from the first packet to the last; the interface carries the signaling too)")
    arrived = codes == [0, 0] and frames > 5 * seconds
    print("a face arrived" if arrived else "NO face arrived")
    return 0 if arrived else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--video", type=Path, help="what the caller sends; the built-in sample if not given")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the call (default 8)")
    parser.add_argument("--rate-kbps", type=int, default=0, help="limit the links of caller and callee to this")
    parser.add_argument("--out", type=Path, help="keep logs and recording in this folder")
    values = parser.parse_args()
    if reason := why_not():
        print(f"two_hosts: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = values.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        video = values.video
        if video is None:
            video = folder / "sample.mp4"
            subprocess.run([avcall(), "sample", video], check=True)
        return call(video.resolve(), values.seconds, folder, values.rate_kbps)


if __name__ == "__main__":
    raise SystemExit(main())
