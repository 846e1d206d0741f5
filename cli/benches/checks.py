"""A check of flags that several benches have."""

from __future__ import annotations

from avcall.common.errors import ConfigError


def check_length(seconds: float, limit: int, least_s: float = 1.0) -> None:
    """Raises ConfigError where --seconds is not from `least_s` to 600, or --limit below 0."""
    if not least_s <= seconds <= 600.0 or limit < 0:
        raise ConfigError(f"--seconds must be from {least_s:g} to 600 and --limit not below 0")
