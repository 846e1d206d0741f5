"""Looks at the flags of a call before anything is connected, so that a mistake costs no one's time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from avcall.common.config import AUTO, CallConfig, ReceiveConfig, SendConfig
from avcall.common.errors import ConfigError, NoFaceError, OutputError, RoomError
from avcall.signaling.ice_servers import stun_server, turn_server
from avcall.signaling.messages import ROOM_RULE, is_room_name

SIZES = (64, 512)
FACE_LOOKS = 12
"""Pictures of a file, evenly spread, in which a face is searched before the call."""


def check_send(config: SendConfig) -> None:
    """Raises ConfigError or RoomError at the first flag of `avcall send` that cannot be meant."""
    _check_call(config)
    if config.video is not None and config.camera is not None:
        raise ConfigError("--video and --camera are both given: choose one")
    if config.loop and config.video is None:
        raise ConfigError("--loop needs a file to loop: give --video FILE")
    if config.camera is not None and config.camera < 0:
        raise ConfigError(f"--camera {config.camera}: cameras are numbered from 0")
    if config.size % 16 or not SIZES[0] <= config.size <= SIZES[1]:
        raise ConfigError(f"--size {config.size}: give a multiple of 16 from {SIZES[0]} to {SIZES[1]}, such as 256")
    _check_range("--fps", config.fps, 1, 60, "such as 25")
    _check_range("--voice-kbps", config.voice_kbps, 6, 64, "such as 8")
    check_span(config.span_ms)
    _check_range("--pivot-kbps", config.pivot_kbps, 0.5, 500, "such as 6")
    if config.pivot_size % 16 or not 0 <= config.pivot_size <= 512:
        raise ConfigError(f"--pivot-size {config.pivot_size}: give 0, or a multiple of 16 up to 512")
    _check_range("--pivot-kbytes", config.pivot_kbytes, 1, 200, "such as 5")
    _check_range("--pivot-max-age-s", config.pivot_max_age_s, 0.2, 3600, "such as 10")
    _check_range("--max-kbps", config.max_kbps, 10, 500, "such as 30")


def check_span(text: str) -> None:
    """Raises ConfigError where --span-ms is neither auto nor 40 to 200."""
    try:
        good = text == AUTO or 40 <= float(text) <= 200
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"--span-ms {text}: give a number from 40 to 200, such as 120, or auto")


def check_receive(config: ReceiveConfig) -> None:
    """Raises ConfigError, RoomError or OutputError at the first flag of `avcall receive` that cannot be meant."""
    _check_call(config)
    if not 64 <= config.display_size <= 2160 or config.display_size % 2:
        raise ConfigError(f"--display-size {config.display_size}: give an even number from 64 to 2160, such as 512")
    _check_range("--max-delay-ms", config.max_delay_ms, 20, 10_000, "such as 1000")
    if config.record is not None:
        if config.record.suffix.lower() != ".mp4":
            raise ConfigError(f"--record {config.record}: give a name that ends in .mp4")
        check_writable("--record", config.record)


def check_writable(flag: str, path: Path) -> None:
    """Raises OutputError where the file `path` could not be written. Writes nothing."""
    folder = path.parent
    if path.is_dir():
        raise OutputError(f"{flag} {path} is a folder: give the name of a file")
    if not folder.is_dir():
        raise OutputError(f"{flag} {path}: there is no folder {folder}: make it first, or write elsewhere")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise OutputError(f"{flag} {path} cannot be written: give a place where you may write")


def check_face(path: Path) -> None:
    """Raises NoFaceError where a video file shows no face in any of a dozen pictures over its length."""
    from avcall.models.face_mesh import FaceMesh
    from avcall.sender.tracker import FaceTracker, search_windows

    mesh = FaceMesh(video=False)
    try:
        tracker = FaceTracker(mesh)
        for image in _pictures(path):
            height, width = image.shape[:2]
            if any(tracker.track(image) is not None for _ in range(2 * len(search_windows(width, height)))):
                return
    finally:
        mesh.close()
    raise NoFaceError(f"--video {path} shows no face: give a video of a person who looks towards the camera")


def _check_call(config: CallConfig) -> None:
    if not is_room_name(config.room):
        raise RoomError(f"--room {config.room[:64]!r} is not a room name: use {ROOM_RULE}")
    if not config.signal.startswith(("ws://", "wss://", "http://", "https://")):
        raise ConfigError(f"--signal {config.signal}: give an address such as ws://HOST:8765")
    _check_range("--wait-s", config.wait_s, 1, 24 * 3600, "such as 60")
    _check_range("--seconds", config.seconds, 0, 7 * 24 * 3600, "or 0 for a call without end")
    for text in config.stun:
        stun_server(text)
    for text in config.turn:
        turn_server(text)


def _check_range(flag: str, value: float, least: float, most: float, hint: str) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{flag} {value:g}: give a number from {least:g} to {most:g}, {hint}")


def _pictures(path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """FACE_LOOKS pictures of a file, the first among them; those that can be had, where it is damaged."""
    import av

    from avcall.sender.capture import to_rgb
    from avcall.sender.file_clock import open_file

    found = []
    with open_file(path) as container:
        stream = container.streams.video[0]
        length = (container.duration or 0) / av.time_base
        for look in range(FACE_LOOKS):
            try:
                if look:
                    container.seek(int(length * look / FACE_LOOKS * av.time_base))
                found.append(to_rgb(next(container.decode(stream))))
            except (av.FFmpegError, StopIteration):
                continue
            if not length:
                break
    return found
