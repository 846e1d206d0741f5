"""One line of `avcall doctor`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from avcall.common.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: "ok", "none" (can be done without) or "missing" (no call without it)."""

    state: str
    text: str
    name: str = ""

    @property
    def exit_code(self) -> int:
        return DeviceError.exit_code if self.state == "missing" else 0

    def named(self, name: str) -> Finding:
        return replace(self, name=name)

    def __str__(self) -> str:
        return f"{self.name:14s} {self.state:8s} {' '.join(self.text.split())}"


def found(text: str) -> Finding:
    return Finding("ok", text)


def none(text: str) -> Finding:
    return Finding("none", text)


def missing(text: str) -> Finding:
    return Finding("missing", text)
