"""The examinations of `avcall doctor`. Each ends within seconds and raises nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avcall.cli import doctor_network
from avcall.cli.finding import Finding, found, missing, none
from avcall.common.errors import AvcallError, DeviceError
from avcall.common.frames import SAMPLE_RATE, AudioChunk


@dataclass(frozen=True)
class Examination:
    name: str
    look: Callable[[], Finding]


def examine(stun: str, signal: str) -> Iterator[Finding]:
    """All findings, in the order a call needs them."""
    examinations = [
        Examination("camera", camera),
        Examination("microphone", lambda: sound_device("microphone", "input", "--no-audio")),
        Examination("speaker", lambda: sound_device("speaker", "output", "--no-audio")),
        Examination("display", display),
        Examination("face mesh", face_mesh),
        Examination("models", models),
        Examination("frame budget", frame_budget),
        Examination("picture coder", picture_coder),
        Examination("voice coder", voice_coder),
        Examination("recording", recording),
        Examination("gpu", gpu),
        Examination("ports", doctor_network.ports),
        Examination("stun", lambda: doctor_network.stun(stun)),
        Examination("signaling", lambda: doctor_network.signaling(signal)),
    ]
    for each in examinations:
        try:
            finding = each.look()
        except AvcallError as error:
            finding = missing(str(error))
        except Exception as error:  # noqa: BLE001 - a doctor examines what may be broken in any way
            finding = missing(f"{type(error).__name__}: {error}; run it with --debug and report it")
        yield finding.named(each.name)


def camera() -> Finding:
    """The first camera that gives a picture."""
    from avcall.sender.capture import CameraSource

    numbers = [0, 1]
    if sys.platform.startswith("linux"):
        places = [place.name.removeprefix("video") for place in Path("/dev").glob("video*")]
        numbers = sorted(int(place) for place in places if place.isdecimal())
        if not numbers:
            return none("no camera is plugged in: plug one in, or send a file with --video FILE")
    for number in numbers:
        try:
            CameraSource(number, 25.0)
        except DeviceError:
            continue
        return found(f"--camera {number} gives pictures")
    return none("a camera is there but gives no picture: close the program that uses it, or check your permissions")


def sound_device(what: str, kind: str, without: str) -> Finding:
    """The default device of a kind ("input" or "output"), and how many there are."""
    try:
        import sounddevice
    except OSError:
        return none(f"PortAudio is missing: apt install libportaudio2; calls work with {without}")
    there = [each for each in sounddevice.query_devices() if each[f"max_{kind}_channels"] > 0]
    if not there:
        return none(f"no {what} found: plug one in, or call with {without}")
    try:
        default = sounddevice.query_devices(kind=kind)["name"]
    except (sounddevice.PortAudioError, ValueError):
        default = there[0]["name"]
    names = "; ".join(f"{each['index']} {each['name']}" for each in there[:6])
    return found(f"{default} (all: {names})")


def display() -> Finding:
    """Whether a window can open."""
    from avcall.receiver.renderers import Window

    try:
        Window(on_quit=lambda: None, on_mute=lambda: None).close()
    except DeviceError:
        return none("no window can be opened: receive with --no-window --record FILE.mp4")
    return found("windows can be opened")


def face_mesh() -> Finding:
    """mediapipe finds the face of the sample's portrait."""
    import cv2

    from avcall.bench.sample import PORTRAIT
    from avcall.models.face_mesh import FaceMesh

    mesh = FaceMesh(video=False)
    try:
        bgr = cv2.imread(str(PORTRAIT))
        seen = bgr is not None and mesh.find(np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)) is not None
    finally:
        mesh.close()
    return found("mediapipe finds a face") if seen else missing("mediapipe finds no face: install avcall again")


def models() -> Finding:
    """All models load, their weights verified."""
    from avcall.models.registry import load_pair, names

    loaded = []
    for name in names():
        _, reenactor = load_pair(name, "cpu")
        loaded.append(f"{name} ({reenactor.model.weights})")
    return found(f"{', '.join(loaded)}: loaded and verified")


def frame_budget() -> Finding:
    """What a received picture costs here, with the default model, and which networks fit."""
    from avcall.cli.call import one_worker
    from avcall.cli.stages import affordable, make_stages
    from avcall.common.clock import monotonic_ms
    from avcall.common.config import AUTO, DEFAULT_MODEL
    from avcall.common.stats import Stats
    from avcall.models.registry import device_from_flag, load_pair
    from avcall.receiver.budget import PERIOD_MS

    device = device_from_flag("auto")
    _, reenactor = load_pair(DEFAULT_MODEL, device)
    with one_worker("network") as beside:
        stages = make_stages(
            reenactor,
            device=device,
            display_size=512,
            quality=AUTO,
            clock=monotonic_ms,
            stats=Stats(),
            beside=beside if device == "cpu" else None,
        )
    running, frame_ms = affordable(stages.prices)
    what = f"{' + '.join(running) or 'no network'}, {frame_ms:.0f} of {PERIOD_MS:.0f} ms a frame"
    if frame_ms > PERIOD_MS:
        return none(f"{what}: this machine is too slow or too busy now for 25 pictures a second; close other programs")
    return found(f"{what} with --quality auto")


def picture_coder() -> Finding:
    """A picture through the pivot coder and back."""
    from avcall.models.pivot_codec import decode_pivot, encode_pivot

    side = 64
    ramp = np.linspace(0, 255, side, dtype=np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (side, side, 3)))
    codec, data = encode_pivot(picture, 5000)
    error = np.abs(decode_pivot(codec, data, side, side).astype(int) - picture).mean()
    if error > 8:
        return missing(f"{codec.name} changes a picture by {error:.0f} grey levels: install av==18.1.0 again")
    return found(f"{codec.name} for pivots")


def voice_coder() -> Finding:
    """A second of sound through Opus."""
    from avcall.receiver.opus_decoder import make_opus_decoder
    from avcall.sender.voice import VoiceEncoder

    encoder = VoiceEncoder(8.0, 60)
    make_opus_decoder()
    tone = (8000 * np.sin(np.arange(SAMPLE_RATE) * 2 * np.pi * 220 / SAMPLE_RATE)).astype(np.int16)
    step = SAMPLE_RATE // 50
    size_bytes = sum(
        len(packet.opus) for i in range(50) for packet in encoder.encode(AudioChunk(tone[i * step :][:step], 20.0 * i))
    )
    return found("libopus for the voice") if size_bytes else missing("libopus codes nothing: install av==18.1.0 again")


def recording() -> Finding:
    """H.264 and AAC for --record."""
    import av

    lacking = [name for name in ("libx264", "aac") if name not in av.codecs_available]
    if lacking:
        return none(f"{', '.join(lacking)} not in PyAV: calls work, --record does not; install av==18.1.0 again")
    return found("libx264 and aac for --record")


def gpu() -> Finding:
    """What --device auto would choose."""
    import torch

    if torch.cuda.is_available():
        return found(f"{torch.cuda.get_device_name(0)}: --device auto uses it")
    return none("no CUDA GPU: networks compute on the CPU")
