"""How many frames a second each end can sustain on one core, and where the time goes.

Both ends run their real stages one after the other, with no network and no waiting, in a thread pinned to one core. The
CPU time of the process is what a core of its own would take, whatever else this machine is doing meanwhile; the elapsed
time is given too. Capture (decoding a file, reading a camera) and the window are not counted.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from avcall.bench.provenance import provenance
from avcall.common import wire
from avcall.common.clock import monotonic_ms
from avcall.common.config import DISPLAY_FPS
from avcall.common.errors import InputError, NoFaceError
from avcall.common.frames import SAMPLE_RATE, AudioChunk, Pose, VideoFrame
from avcall.common.stats import Stats
from avcall.common.wire import KeypointPacket, PivotBody, PivotCodec, VoicePacket
from avcall.models.interfaces import KeypointDetector, Reenactor
from avcall.models.pivot_codec import decode_pivot, encode_pivot
from avcall.models.segmentation import Segmenter
from avcall.models.twins import BicubicSuperResolver, IdentityEnhancer
from avcall.receiver.jitter_buffer import PoseBuffer
from avcall.receiver.playout import PlayoutClock, Stream
from avcall.receiver.sound_stage import SoundStage
from avcall.receiver.speaker import SilentSpeaker
from avcall.sender.analysis import FaceAnalyser
from avcall.sender.capture import to_rgb
from avcall.sender.file_clock import open_file
from avcall.sender.microphone import CHUNK_MS, Resampler, cut
from avcall.sender.packetiser import KeypointPacketiser
from avcall.sender.pipeline import face_mesh
from avcall.sender.voice import VoiceEncoder

FRAME_MS = 1000.0 / DISPLAY_FPS
PIVOT_EVERY = 250
"""Frames from pivot to pivot: ten seconds, the default of --pivot-max-age-s."""
WARM_UP = 10
PIVOT_BYTES = 4850
NETWORK_MS = 50.0


@dataclass
class Stopwatch:
    """Milliseconds of each run of each stage."""

    stages: dict[str, list[float]] = field(default_factory=dict)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begin_ms = monotonic_ms()
        yield
        self.stages.setdefault(name, []).append(monotonic_ms() - begin_ms)

    def summary(self) -> dict[str, dict[str, float]]:
        """{"stage": {"p50": ms, "p95": ms}}."""
        return {
            name: {"p50": float(np.percentile(runs, 50)), "p95": float(np.percentile(runs, 95))}
            for name, runs in self.stages.items()
        }


@dataclass(frozen=True)
class Sent:
    """What the sender made of a clip: one entry a frame."""

    poses: list[bytes]
    voice: list[list[bytes]]
    pivot: PivotBody


def measure_speed(
    clips: Sequence[Path],
    detector: KeypointDetector,
    reenactor: Reenactor,
    *,
    size: int,
    display_size: int,
    frames: int,
) -> dict[str, Any]:
    """The results of `avcall bench speed`, but for its "command".

    Raises:
        InputError, NoFaceError: clips that cannot be read or show no face.
    """
    with one_core() as core:
        ends: dict[str, list[dict[str, Any]]] = {"sender": [], "receiver": []}
        for clip in clips:
            pictures, sound = read_clip(clip, frames)
            result, sent = sender_speed(pictures, sound, detector, size)
            ends["sender"].append(result)
            ends["receiver"].append(receiver_speed(sent, reenactor, display_size))
    return {
        "system": f"avcall {detector.model.name}",
        **provenance(),
        "model": detector.model.name,
        "clips": [clip.stem for clip in clips],
        "settings": {
            "weights": detector.model.weights,
            "device": reenactor.device,
            "size": size,
            "display_size": display_size,
            "pinned_to_core": core,
        },
        "metrics": {end: _mean(results) for end, results in ends.items()},
    }


@contextlib.contextmanager
def one_core() -> Iterator[int | None]:
    """Within it this thread, and those it starts, run on one core only; yields which, None where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def sender_speed(
    frames: list[VideoFrame], sound: list[AudioChunk], detector: KeypointDetector, size: int
) -> tuple[dict[str, Any], Sent]:
    """Track, crop, detect, filter, packetise, and the shares of pivots and voice."""
    watch = Stopwatch()
    analyser = FaceAnalyser(face_mesh, detector, size, monotonic_ms, Segmenter())
    analyser.prepare()
    packetiser, encoder = KeypointPacketiser(), VoiceEncoder(8.0, 60)
    for frame in frames[:WARM_UP]:
        analyser.analyse(frame, None)
    poses: list[bytes] = []
    voice: list[list[bytes]] = []
    pivot: PivotBody | None = None
    waiting = list(reversed(sound))
    begin = time.perf_counter(), time.process_time()
    for number, frame in enumerate(frames):
        with watch("track_and_detect"):
            analysis = analyser.analyse(frame, None)
        if analysis is None:
            continue
        view = analysis.current
        if pivot is None or number % PIVOT_EVERY == 0:
            with watch("pivot_encode"):
                codec, picture = encode_pivot(view.image, PIVOT_BYTES)
            capture_ms = round(frame.capture_ms)
            pivot = PivotBody(PivotCodec(codec), size, size, capture_ms, view.keypoints, picture)
        with watch("packetise"):
            poses.append(wire.pack(packetiser.packet(Pose(frame.capture_ms, 0, view.keypoints))))
        with watch("voice_encode"):
            packets: list[VoicePacket] = []
            while waiting and waiting[-1].capture_ms <= frame.capture_ms:
                packets += encoder.encode(waiting.pop())
        voice.append([wire.pack(packet) for packet in packets])
    result = _rates(len(frames), begin, watch)
    analyser.close()
    if pivot is None:
        raise NoFaceError("no face in the clip that is measured with: give another with --video")
    return result, Sent(poses, voice, pivot)


def receiver_speed(sent: Sent, reenactor: Reenactor, display_size: int) -> dict[str, Any]:
    """Parse, jitter buffer, play-out clock, drive, enlarge, and the shares of pivots and voice; shown to nobody."""
    watch, stats = Stopwatch(), Stats()
    buffer, clock = PoseBuffer(), PlayoutClock()
    sound = SoundStage(clock, SilentSpeaker(), [], stats)
    upscaler, enhancer = BicubicSuperResolver(), IdentityEnhancer()
    first = reenactor.encode(
        decode_pivot(sent.pivot.codec, sent.pivot.picture, sent.pivot.width, sent.pivot.height), sent.pivot.keypoints
    )
    for _ in range(WARM_UP):
        reenactor.drive(first, sent.pivot.keypoints)
    begin = time.perf_counter(), time.process_time()
    encoded = first
    for number, (data, voice) in enumerate(zip(sent.poses, sent.voice, strict=True)):
        if number % PIVOT_EVERY == 0:
            with watch("pivot_decode"):
                image = decode_pivot(sent.pivot.codec, sent.pivot.picture, sent.pivot.width, sent.pivot.height)
            with watch("encode"):
                encoded = reenactor.encode(image, sent.pivot.keypoints)
        with watch("parse_and_buffer"):
            packet = wire.parse(data)
            assert isinstance(packet, KeypointPacket)
            now_ms = packet.capture_ms + NETWORK_MS
            buffer.insert(packet, packet.capture_ms)
            clock.observe(Stream.VIDEO, packet.capture_ms, now_ms)
        with watch("voice_decode"):
            for part in voice:
                parsed = wire.parse(part)
                if isinstance(parsed, VoicePacket):
                    sound.take(parsed, parsed.capture_ms, now_ms)
            sound.fill(now_ms)
        sample = buffer.at(packet.capture_ms)
        assert sample is not None
        with watch("drive"):
            drawn = reenactor.drive(encoded, sample.pose.keypoints)
        with watch("upscale"):
            enhancer.enhance(upscaler.upscale(drawn, display_size))
    return _rates(len(sent.poses), begin, watch)


def read_clip(path: Path, count: int) -> tuple[list[VideoFrame], list[AudioChunk]]:
    """The first `count` pictures of a clip, taken for 25 a second, and the sound that goes with them.

    Raises:
        InputError: not a video, or not a picture in it.
    """
    frames: list[VideoFrame] = []
    pieces: list[Any] = []
    with open_file(path) as container:
        if not container.streams.video:
            raise InputError(f"--video {path} has no picture in it: give a video file")
        resampler = Resampler()
        try:
            for frame in container.decode():
                if isinstance(frame, av.VideoFrame) and len(frames) < count:
                    frames.append(VideoFrame(to_rgb(frame), len(frames) * FRAME_MS))
                elif isinstance(frame, av.AudioFrame):
                    pieces.append(resampler.convert(frame))
                if len(frames) == count and sum(map(len, pieces)) >= count * FRAME_MS * SAMPLE_RATE / 1000:
                    break
        except av.FFmpegError as error:
            if not frames:
                raise InputError(f"--video {path} cannot be decoded ({error.strerror}): convert it to mp4") from error
    chunks = [AudioChunk(samples, number * CHUNK_MS) for number, samples in enumerate(cut(iter(pieces)))]
    return frames, chunks


def _rates(frames: int, begin: tuple[float, float], watch: Stopwatch) -> dict[str, Any]:
    elapsed_s, cpu_s = time.perf_counter() - begin[0], time.process_time() - begin[1]
    return {
        "fps": frames / cpu_s,
        "fps_elapsed": frames / elapsed_s,
        "cpu_ms_a_frame": 1000.0 * cpu_s / frames,
        "stage_ms": watch.summary(),
    }


def _mean(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over the clips; rates by their times, as a harmonic mean."""
    stages = {name: [result["stage_ms"][name] for result in results] for name in results[0]["stage_ms"]}
    return {
        "fps": 1.0 / float(np.mean([1.0 / result["fps"] for result in results])),
        "fps_elapsed": 1.0 / float(np.mean([1.0 / result["fps_elapsed"] for result in results])),
        "cpu_ms_a_frame": float(np.mean([result["cpu_ms_a_frame"] for result in results])),
        "stage_ms": {
            name: {of: float(np.mean([run[of] for run in runs])) for of in ("p50", "p95")}
            for name, runs in stages.items()
        },
    }
