"""A voice from one end to the other without a network: the call's own coder, gate and voice buffer, for benches."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avcall.bench.calls import clips_in
from avcall.common.frames import SAMPLE_RATE, AudioChunk
from avcall.common.wire import VoicePacket
from avcall.receiver.opus_decoder import make_opus_decoder
from avcall.receiver.voice_buffer import VoiceBuffer
from avcall.sender.file_clock import open_file
from avcall.sender.microphone import CHUNK_MS, CHUNK_SAMPLES, Resampler, cut
from avcall.sender.voice import VoiceEncoder

Samples: TypeAlias = NDArray[np.int16]
BUNDLED_BYTES = 5
"""What a bundle takes for its one voice packet beside the packet: docs/wire.md."""
START_MS = 1000.5
"""Makes the capture times of packets, `sender.voice.LOOKAHEAD_MS` earlier, whole milliseconds."""
PLAYOUT_MS = 700.0
PULL = SAMPLE_RATE // 100


def encode(samples: Samples, encoder: VoiceEncoder, echo: Sequence[bool] = ()) -> list[VoicePacket]:
    """The packets of a sound that begins at START_MS. `echo` says of its chunks, as far as it goes, whether they are
    what is left of an echo."""
    packets = []
    for number, piece in enumerate(cut(iter([samples]))):
        chunk = AudioChunk(piece, START_MS + number * CHUNK_MS, number < len(echo) and echo[number])
        packets += encoder.encode(chunk)
    return packets


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out at the other end, in step with what went in, and what it took."""

    samples: Samples
    packets: list[VoicePacket]


def read_sound(path: Path) -> Samples:
    """The sound of a file, at SAMPLE_RATE mono, cut to whole chunks; empty where there is none."""
    resampler = Resampler()
    with open_file(path) as container:
        if not container.streams.audio:
            return np.zeros(0, dtype=np.int16)
        frames = [resampler.convert(frame) for frame in container.decode(container.streams.audio[0])]
    samples: Samples = np.concatenate([*frames, resampler.convert(None)])
    return samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES]


def send(samples: Samples, kbps: float, frame_ms: int, echo: Sequence[bool] = ()) -> Heard:
    """Through the call's coder, gate and voice buffer, without losses. `echo`: see `encode`."""
    packets = encode(samples, VoiceEncoder(kbps, frame_ms), echo)
    buffer = VoiceBuffer(make_opus_decoder())
    buffer.seek(START_MS)
    waiting = list(packets)
    parts = []
    for number in range(len(samples) // PULL):
        while waiting and waiting[0].capture_ms < START_MS + 10.0 * number + PLAYOUT_MS:
            packet = waiting.pop(0)
            buffer.insert(packet, float(packet.capture_ms))
        parts.append(buffer.pull(PULL))
    return Heard(np.concatenate(parts), packets)


def bits_in(packets: Sequence[VoicePacket], begin_s: float, end_s: float, frame_ms: int) -> int:
    """Of the packets whose middle was captured in that stretch, as bundles carry them."""
    middles = [(packet, (packet.capture_ms - START_MS + frame_ms / 2) / 1000.0) for packet in packets]
    return sum(8 * (len(packet.opus) + BUNDLED_BYTES) for packet, at_s in middles if begin_s <= at_s < end_s)


def run_on_clips(name: str, description: str | None, measure: Callable[[dict[str, Samples]], dict[str, Any]]) -> None:
    """The program `python -m avcall.bench.NAME --clips DIR --json FILE`: measures the sounds of a folder's videos."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    values = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sounds = {path.stem: read_sound(path) for path in clips_in(values.clips)}
    command = f"python -m avcall.bench.{name} --clips {values.clips.name} --json {values.json.name}"
    results = {"command": command, **measure(sounds)}
    values.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
