"""Settings as frozen dataclasses; the command line makes its flags from their fields (`flag` carries the help).

A field `voice_kbps` becomes `--voice-kbps`, a bool field `--name/--no-name`; a tuple field may be given several times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_SIGNAL = "ws://127.0.0.1:8765"
DEFAULT_MODEL = "lite"
DISPLAY_FPS = 25.0
WIRES = ("coded", "thesis")
AUTO = "auto"
QUALITIES = (AUTO, "low", "high")


def flag(default: Any, text: str, *, choices: tuple[str, ...] = (), metavar: str = "", required: bool = False) -> Any:
    """A dataclass field that is also a command-line flag; `required` flags have `default` only for the type."""
    return field(default=default, metadata={"help": text, "choices": choices, "metavar": metavar, "required": required})


@dataclass(frozen=True, kw_only=True, slots=True)
class CallConfig:
    """What both ends of a call share."""

    room: str = flag("", "name of the room; both ends give the same one", metavar="ROOM", required=True)
    signal: str = flag(DEFAULT_SIGNAL, "address of the signaling server, ws://HOST:PORT or wss://...", metavar="URL")
    wait_s: float = flag(60.0, "how long to wait for the other end to arrive", metavar="SECONDS")
    stun: tuple[str, ...] = flag(
        (), "STUN server HOST:PORT besides those the signaling server names", metavar="HOST:PORT"
    )
    turn: tuple[str, ...] = flag(
        (), "TURN relay USER:PASSWORD@HOST:PORT besides those the server names", metavar="RELAY"
    )
    bind: str = flag(
        "", "only use this local address for media (127.0.0.1 for a call inside one machine)", metavar="ADDRESS"
    )
    model: str = flag(DEFAULT_MODEL, "reenactment model; both ends must use the same", metavar="NAME")
    device: str = flag("auto", "where networks compute", choices=("auto", "cpu", "cuda"))
    seconds: float = flag(0.0, "end the call after this long; 0 means when told to", metavar="SECONDS")
    trace: Path | None = flag(None, "write every frame and event to this folder, for reports", metavar="DIR")


@dataclass(frozen=True, kw_only=True, slots=True)
class SendConfig(CallConfig):
    """`avcall send`."""

    camera: int | None = flag(
        None, "number of the camera, from 0; the first one if neither this nor --video is given", metavar="N"
    )
    video: Path | None = flag(None, "send this file instead of a camera, at its own pace", metavar="FILE")
    loop: bool = flag(False, "start the file again when it ends")
    mic: str = flag("", "microphone by name or number; the system's default if not given", metavar="DEVICE")
    audio: bool = flag(True, "send sound")
    size: int = flag(256, "side of the square picture in pixels", metavar="PIXELS")
    fps: float = flag(25.0, "frames a second", metavar="FPS")
    keypoints_every: int = flag(
        1, "send the keypoints of every n-th frame only; the receiver interpolates", choices=("1", "2", "3")
    )
    voice_kbps: float = flag(8.0, "bit rate of the speech coder", metavar="KBPS")
    voice_frame_ms: int = flag(
        0,
        "length of one coded piece of speech; 0: as the span has it",
        choices=("0", "20", "40", "60", "80", "100", "120"),
    )
    wire: str = flag(
        "coded", "coded keypoints in bundles with the voice, or 80 bytes of keypoints a frame", choices=WIRES
    )
    span_ms: str = flag("auto", "what one bundle of --wire coded covers, 40 to 200, or auto", metavar="MS|auto")
    pivots: str = flag(
        "inter", "code each pivot against the one before it, or (intra) on its own", choices=("inter", "intra")
    )
    pivot_kbps: float = flag(4.0, "aim for at most this much for the pivots of --pivots inter", metavar="KBPS")
    pivot_size: int = flag(
        0, "side of the pivots' pictures where the budget allows, 512 at most; 0: as --size", metavar="PIXELS"
    )
    pivot_kbytes: float = flag(5.0, "aim for pivots of --pivots intra of at most this many kilobytes", metavar="KB")
    pivot_max_age_s: float = flag(10.0, "send a fresh pivot at least this often", metavar="SECONDS")
    rate_control: bool = flag(True, "send no more than the path is found to carry (--wire coded)")
    max_kbps: float = flag(
        500.0, "send at most this much, everything on the wire counted (no call takes less than 14)", metavar="KBPS"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiveConfig(CallConfig):
    """`avcall receive`."""

    window: bool = flag(True, "show the call in a window")
    display_size: int = flag(512, "side of the window's picture in pixels", metavar="PIXELS")
    record: Path | None = flag(None, "record picture and sound to this file", metavar="FILE.mp4")
    audio: bool = flag(True, "play the sound (a recording has it in any case)")
    speaker: str = flag("", "speaker by name or number; the system's default if not given", metavar="DEVICE")
    quality: str = flag(
        AUTO,
        "networks that improve the picture: as many as fit a frame's time, none (low), or up to its last moment (high)",
        choices=QUALITIES,
    )
    stats: bool = flag(False, "print one line of figures a second")
    max_delay_ms: float = flag(1000.0, "longest play-out delay the jitter buffer may choose", metavar="MS")
