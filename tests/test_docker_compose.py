"""docker-compose.yml and the Dockerfile against the rest of the project; no engine is needed, and none is asked."""

from __future__ import annotations

import fnmatch
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from avcall.cli import OneLineParser

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in DOCKERFILE.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
KNOWN = {
    "ARG",
    "FROM",
    "WORKDIR",
    "RUN",
    "COPY",
    "USER",
    "EXPOSE",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
    "VOLUME",
}
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "init", "ports",
    "read_only", "restart", "security_opt", "stop_grace_period", "stop_signal", "tmpfs", "volumes",
}  # fmt: skip


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file with its ${NAME:-default} replaced by the defaults."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    raw: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text))
    return raw


def avcall_commands(compose: dict[str, Any]) -> list[list[str]]:
    """Every avcall command line that the containers run, without the word avcall."""
    lines = []
    for service in compose["services"].values():
        if "build" not in service:
            continue
        if service.get("entrypoint") == ["sh", "-c"]:
            for part in service["command"][0].split("&&"):
                words = [word for word in shlex.split(part) if word != "exec"]
                assert words[0] == "avcall"
                lines.append(words[1:])
        else:
            lines.append(service["command"])
    return lines


def test_the_services_are_there_and_well_formed(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"signaling", "coturn", "sender", "receiver"}
    assert set(compose) <= {"services", "volumes", "x-hardened", "x-peer"}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for needed in service.get("depends_on", {}).values():
            assert needed["condition"] in ("service_started", "service_healthy")
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]
    for name in ("signaling", "coturn"):
        assert compose["services"][name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_every_build_target_is_a_stage_of_the_dockerfile(compose: dict[str, Any]) -> None:
    stages = {words[1].split()[-1] for words in INSTRUCTIONS if words[0] == "FROM"}
    targets = {service["build"]["target"] for service in compose["services"].values() if "build" in service}
    assert targets == stages == {"signaling", "avcall"}


def test_every_command_is_one_that_avcall_understands(compose: dict[str, Any]) -> None:
    seen = set()
    for words in avcall_commands(compose):
        command = importlib.import_module(f"avcall.cli.{words[0]}_command")
        parser = OneLineParser(prog=words[0], allow_abbrev=False)
        command.add_arguments(parser)
        parser.parse_args(words[1:])
        seen.add(words[0])
    assert seen == {"signal", "sample", "send", "receive"}


def test_both_ends_meet_in_the_same_room_of_the_server_that_is_there(compose: dict[str, Any]) -> None:
    calls = [words for words in avcall_commands(compose) if words[0] in ("send", "receive")]
    meetings = {(words[words.index("--room") + 1], words[words.index("--signal") + 1]) for words in calls}
    assert meetings == {("sample", "ws://signaling:8765")}


def test_nothing_is_published_beyond_this_machine_unless_asked(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_relay_and_the_server_share_one_secret(compose: dict[str, Any]) -> None:
    secret = compose["services"]["signaling"]["environment"]["AVCALL_TURN_SECRET"]
    assert f"--static-auth-secret={secret}" in compose["services"]["coturn"]["command"]
    assert "--use-auth-secret" in compose["services"]["coturn"]["command"]


def test_the_dockerfile_copies_what_is_there_and_all_packages() -> None:
    assert {words[0] for words in INSTRUCTIONS} == KNOWN
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    tops = {package.split(".")[1] for package in packages}
    stages = DOCKERFILE.split("\nFROM ")[1:]
    assert len(stages) == 2
    for stage in stages:
        copied = [word for line in re.findall(r"^COPY (.*)$", stage, re.MULTILINE) for word in line.split()[:-1]]
        assert all((ROOT / name).exists() for name in copied)
        assert tops <= set(copied)


def test_what_is_copied_is_not_ignored() -> None:
    rules = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")
    ]
    for name in {word for words in INSTRUCTIONS if words[0] == "COPY" for word in words[1].split()[:-1]}:
        ignored = False
        for rule in rules:
            if fnmatch.fnmatch(name, rule.removeprefix("!")):
                ignored = not rule.startswith("!")
        assert not ignored, name


def test_pins_are_those_of_the_project() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    for name in ("torch", "aiohttp"):
        (pin,) = [line for line in wanted if re.match(rf"{name}\b", line)]
        assert pin.replace(" ", "") in DOCKERFILE


def test_containers_do_not_run_as_root() -> None:
    stages = DOCKERFILE.split("\nFROM ")[1:]
    assert all(re.search(r"^USER avcall$", stage, re.MULTILINE) for stage in stages)


def test_the_small_image_has_all_that_the_server_imports() -> None:
    """`avcall signal` starts with aiohttp and nothing else: what its image leaves out must not be imported."""
    absent = ("aiortc", "aioice", "av", "cv2", "mediapipe", "msgpack", "numpy", "safetensors", "sounddevice", "torch")
    code = (
        f"import sys\nfor name in {absent!r}: sys.modules[name] = None\n"
        "from avcall.cli import main\nsys.exit(main(['signal', '--port', '70000']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, "--port 70000 is not a port" in ran.stderr) == (7, True), ran.stderr
