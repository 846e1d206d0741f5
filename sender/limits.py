"""Refuses settings that cannot work, before a call begins."""

from __future__ import annotations

from avcall.common.config import SendConfig
from avcall.common.errors import ConfigError
from avcall.common.wire import MAX_PIVOT_SIDE

SMALLEST_SIZE = 64
VOICE_FRAMES_MS = (20, 40, 60)
VOICE_KBPS = (6.0, 64.0)
"""libopus takes no less; a voice needs no more."""
FPS = (1.0, 60.0)
PIVOT_KBYTES = (0.5, 200.0)


def check_send_config(config: SendConfig) -> None:
    """Raises:
    ConfigError: naming the flag and what it may be.
    """
    if config.camera is not None and config.video is not None:
        raise ConfigError("--camera and --video exclude each other: give one of them")
    if config.loop and config.video is None:
        raise ConfigError("--loop needs a file: give --video FILE with it")
    if config.voice_frame_ms not in VOICE_FRAMES_MS:
        raise ConfigError(f"--voice-frame-ms {config.voice_frame_ms}: it may be 20, 40 or 60")
    _within("--size", config.size, SMALLEST_SIZE, MAX_PIVOT_SIDE)
    _within("--fps", config.fps, *FPS)
    _within("--voice-kbps", config.voice_kbps, *VOICE_KBPS)
    _within("--pivot-kbytes", config.pivot_kbytes, *PIVOT_KBYTES)
    _within("--pivot-max-age-s", config.pivot_max_age_s, 1.0, 3600.0)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} {value:g}: it may be {low:g} to {high:g}")
