"""Settings that cannot work are refused by the name of their flag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avcall.common.config import SendConfig
from avcall.common.errors import ConfigError
from avcall.sender.limits import check_send_config


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": 1024, "fps": 10.0},
        {"video": Path("a.mp4"), "loop": True},
        {"voice_kbps": 6.0, "voice_frame_ms": 20},
    ],
)
def test_fair_settings_pass(settings: dict[str, Any]) -> None:
    check_send_config(SendConfig(room="r", **settings))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"size": 32}, r"--size 32: it may be 64 to 1024"),
        ({"size": 2048}, r"--size"),
        ({"fps": 0.0}, r"--fps 0"),
        ({"fps": float("nan")}, r"--fps nan"),
        ({"voice_kbps": 2.0}, r"--voice-kbps 2: it may be 6 to 64"),
        ({"voice_frame_ms": 30}, r"--voice-frame-ms 30"),
        ({"pivot_kbytes": 0.0}, r"--pivot-kbytes"),
        ({"pivot_max_age_s": 0.0}, r"--pivot-max-age-s"),
        ({"camera": 0, "video": Path("a.mp4")}, r"--camera and --video"),
        ({"loop": True}, r"--loop needs a file"),
    ],
)
def test_impossible_settings_name_their_flag(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_send_config(SendConfig(room="r", **settings))
