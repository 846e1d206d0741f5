"""Makes command-line flags from the fields of a configuration dataclass, and the dataclass from the parsed flags."""

from __future__ import annotations

import argparse
import types
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as written, and leaves the flags enough room to stand on one line with their help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=110)


def add_flags(parser: ArgumentParser, config: type[Any], skip: Iterable[str] = ()) -> None:
    """Adds one flag for each field of `config` but those named in `skip`.

    bool becomes --name/--no-name, a tuple a flag that may be repeated, `X | None` a flag of type X; fields with
    choices take only those. Fields made without `common.config.flag` are flags too, only without help.
    """
    hints = get_type_hints(config)
    for field in fields(config):
        if field.name not in skip:
            _add_flag(parser, field, hints[field.name])


def build(config: type[T], values: Namespace, **others: Any) -> T:
    """The dataclass from parsed flags; `others` gives fields that have no flag."""
    named = {field.name: field for field in fields(config)}  # type: ignore[arg-type]
    found = {name: getattr(values, name) for name in named if hasattr(values, name)}
    taken = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return config(**{**taken, **others})


def flag_name(field: str) -> str:
    """--voice-kbps for voice_kbps."""
    return "--" + field.replace("_", "-")


def _add_flag(parser: ArgumentParser, field: Field[Any], hint: Any) -> None:
    name, default = flag_name(field.name), _default(field)
    wanted, is_tuple = _inner_type(hint)
    help_text = _help(field, default, wanted)
    if wanted is bool:
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=default, help=help_text)
        return
    options: dict[str, Any] = {"dest": field.name, "type": _named_type(wanted), "help": help_text}
    choices = field.metadata.get("choices", ())
    if choices:
        options["choices"] = [wanted(choice) for choice in choices]
    elif field.metadata.get("metavar"):
        options["metavar"] = field.metadata["metavar"]
    else:
        options["metavar"] = wanted.__name__.upper()
    if field.metadata.get("required"):
        parser.add_argument(name, required=True, **options)
    elif is_tuple:
        parser.add_argument(name, action="append", default=list(default), **options)
    else:
        parser.add_argument(name, default=default, **options)


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


def _inner_type(hint: Any) -> tuple[Any, bool]:
    """(type of one value, may be repeated) of int, `int | None`, tuple[str, ...] and the like."""
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    if get_origin(hint) in (Union, types.UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None)), False
    return hint, False


def _help(field: Field[Any], default: Any, wanted: Any) -> str:
    """The field's help with its default, where that says something."""
    text = str(field.metadata.get("help", "")).replace("%", "%%")
    if field.metadata.get("required"):
        return f"{text} (required)"
    if isinstance(default, tuple):
        return f"{text} (may be repeated)"
    if wanted is bool:
        return f"{text} (default: {'yes' if default else 'no'})"
    if default in (None, ""):
        return text
    shown = f"{default:g}" if isinstance(default, float) else default
    return f"{text} (default: {shown})"


def _named_type(wanted: Any) -> Any:
    """Numbers that must be finite; argparse names the type in its message."""
    if wanted is float:
        return number
    if wanted is Path:
        return path
    return wanted


def number(text: str) -> float:
    """A finite number: nan and inf would pass every comparison or none."""
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def path(text: str) -> Path:
    """A path; an empty one is a script's unset variable, not the current folder."""
    if not text:
        raise ValueError(text)
    return Path(text).expanduser()
