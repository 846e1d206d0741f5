"""Flags from dataclass fields."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path

import pytest

from avcall.cli import OneLineParser
from avcall.cli.flags import add_flags, build
from avcall.common.config import ReceiveConfig, SendConfig, flag
from avcall.common.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Settings:
    room: str = flag("", "the room", required=True)
    rate_kbps: float = flag(8.0, "100 % of the rate")
    count: int | None = flag(None, "how many")
    piece_ms: int = flag(60, "length", choices=("20", "40", "60"))
    relay: tuple[str, ...] = flag((), "a relay")
    out: Path | None = flag(None, "where to")
    sound: bool = flag(True, "with sound")


def parsed(*words: str) -> Settings:
    parser = OneLineParser(prog="avcall try", allow_abbrev=False)
    add_flags(parser, Settings)
    return build(Settings, parser.parse_args(words))


def test_defaults_are_the_dataclass_s() -> None:
    assert parsed("--room", "r") == Settings(room="r")


def test_every_kind_of_field() -> None:
    words = "--room r --rate-kbps 12.5 --count 3 --piece-ms 20 --relay a --relay b --out x/y --no-sound"
    assert parsed(*words.split()) == Settings(
        room="r", rate_kbps=12.5, count=3, piece_ms=20, relay=("a", "b"), out=Path("x/y"), sound=False
    )


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", "--room"),
        ("--room r --rate-kbps fast", "--rate-kbps"),
        ("--room r --rate-kbps nan", "--rate-kbps"),
        ("--room r --rate-kbps inf", "--rate-kbps"),
        ("--room r --piece-ms 30", "--piece-ms"),
        ("--room r --count 2.5", "--count"),
        ("--room r --nonsense", "--nonsense"),
        ("--room r --rate 8", "--rate"),
    ],
)
def test_a_bad_flag_is_named_in_one_line(words: str, names: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parsed(*words.split())
    assert names in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="--out"):
        parsed("--room", "r", "--out", "")


@pytest.mark.parametrize("config", [SendConfig, ReceiveConfig])
def test_every_flag_of_a_call_has_help(config: type) -> None:
    parser = ArgumentParser()
    add_flags(parser, config)
    for action in parser._actions:
        assert action.help, action.dest
    assert "(default: 60)" in " ".join(parser.format_help().split())
