"""Where sound comes from: a microphone or the track of a file, as 20 ms chunks of 16 kHz mono."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from avcall.common.clock import monotonic_ms
from avcall.common.errors import DeviceError
from avcall.common.frames import SAMPLE_RATE, AudioChunk
from avcall.sender.file_clock import FileClock, open_file
from avcall.sender.mailbox import Outlet, from_thread

CHUNK_MS = 20
CHUNK_SAMPLES = SAMPLE_RATE * CHUNK_MS // 1000
QUEUE_CHUNKS = 25
"""Half a second may wait for a busy event loop; more than that is late anyway."""

logger = logging.getLogger(__name__)


class AudioSource(Protocol):
    """Sound in the order of its capture."""

    @property
    def dropped(self) -> int:
        """Chunks for which there was no room, so far."""

    def chunks(self) -> AsyncIterator[AudioChunk]:
        """Chunks of CHUNK_SAMPLES; ends with the source, or at once where there is no sound.

        Raises:
            DeviceError: the device went away.
        """


class FileSound:
    """The sound of a video file, in step with the `FileSource` that shares its FileClock.

    A track shorter than the picture is filled up with silence, a longer one is cut, so that loops stay together.
    """

    def __init__(self, clock: FileClock, loop: bool = False) -> None:
        self.dropped = 0
        self._clock = clock
        self._loop = loop

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        if not self._clock.has_sound:
            logger.info("no sound in %s: the call has picture only", self._clock.path.name)
            return
        async with aclosing(from_thread(self._run, "file-sound", self._on_drop, QUEUE_CHUNKS)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _on_drop(self, dropped: int) -> None:
        self.dropped = dropped

    def _run(self, outlet: Outlet[AudioChunk]) -> None:
        begin_ms = self._clock.start_ms()
        for number, samples in enumerate(cut(self._rounds())):
            capture_ms = begin_ms + number * CHUNK_MS
            if outlet.wait(capture_ms + CHUNK_MS - self._clock.now_ms()):  # a chunk is whole when its end is due
                return
            outlet.put(AudioChunk(samples, capture_ms))

    def _rounds(self) -> Iterator[NDArray[np.int16]]:
        """Each round's sound is brought to the picture's length; rounding is carried over, so no drift builds up."""
        samples_due = 0.0
        given = 0
        while True:
            samples_due += self._clock.length_ms * SAMPLE_RATE / 1000.0
            for piece in self._decode():
                part = piece[: max(0, round(samples_due) - given)]
                given += len(part)
                yield part
            yield np.zeros(max(0, round(samples_due) - given), dtype=np.int16)
            given = round(samples_due)
            if not self._loop:
                return

    def _decode(self) -> Iterator[NDArray[np.int16]]:
        """The track from the file's first moment on, without gaps: where it starts late, silence comes first."""
        resampler = Resampler()
        first = True
        with open_file(self._clock.path) as container:
            frames = container.decode(container.streams.audio[0])
            while True:
                try:
                    frame = next(frames, None)
                except av.FFmpegError:  # a damaged place: what was decoded before it counts
                    frame = None
                if frame is None:
                    break
                if first and frame.time is not None:
                    late = round((frame.time - self._clock.begins_s) * SAMPLE_RATE)
                    yield np.zeros(max(0, late), dtype=np.int16)
                first = False
                yield resampler.convert(frame)
        yield resampler.convert(None)


class Resampler:
    """Anything PyAV decodes to SAMPLE_RATE mono int16."""

    def __init__(self) -> None:
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def convert(self, frame: Any) -> NDArray[np.int16]:
        """One decoded frame; None flushes. (n,) samples, n may be 0."""
        parts = [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)

    def convert_samples(self, samples: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
        """(n,) mono samples at another rate."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, :]), format="s16", layout="mono")
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        return self.convert(frame)


def cut(pieces: Iterator[NDArray[np.int16]]) -> Iterator[NDArray[np.int16]]:
    """Pieces of any length as chunks of CHUNK_SAMPLES; a last part that does not fill one is left out."""
    waiting = np.zeros(0, dtype=np.int16)
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        whole = len(waiting) // CHUNK_SAMPLES * CHUNK_SAMPLES
        yield from waiting[:whole].reshape(-1, CHUNK_SAMPLES)
        waiting = waiting[whole:]


def open_microphone(device: str) -> Microphone | None:
    """The microphone named by --mic. Without --mic the system's default, or None with a warning where there is none.

    Raises:
        DeviceError: --mic was given and cannot be used.
    """
    try:
        return Microphone(device)
    except DeviceError as error:
        if device:
            raise
        logger.warning("the call has no sound: %s", error)
        return None


class Microphone:
    """A microphone through PortAudio, at 16 kHz or, where it refuses, at its own rate and resampled here."""

    def __init__(self, device: str = "") -> None:
        """`device`: its number, or part of its name; "" for the system's default.

        Raises:
            DeviceError: PortAudio or the device is missing or refuses.
        """
        self.dropped = 0
        self._device: int | str | None = int(device) if device.isdecimal() else device or None
        try:
            import sounddevice
        except OSError as error:  # PortAudio's shared library is loaded on import
            raise DeviceError(
                "PortAudio is missing, so no microphone: apt install libportaudio2, or call with --no-audio"
            ) from error
        self._sounddevice: Any = sounddevice
        try:
            found = sounddevice.query_devices(self._device, "input")
            self._rate = self._choose_rate(round(found["default_samplerate"]))
        except (ValueError, sounddevice.PortAudioError) as error:
            named = f"--mic {device}" if device else "the default microphone"
            raise DeviceError(
                f"{named} cannot be used ({error}): see 'avcall doctor' for those found, or call with --no-audio"
            ) from error

    def _choose_rate(self, own_rate: int) -> int:
        settings = {"device": self._device, "channels": 1, "dtype": "int16"}
        try:
            self._sounddevice.check_input_settings(samplerate=SAMPLE_RATE, **settings)
        except self._sounddevice.PortAudioError:
            self._sounddevice.check_input_settings(samplerate=own_rate, **settings)
            return own_rate
        return SAMPLE_RATE

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        async with aclosing(from_thread(self._run, "microphone", self._on_drop, QUEUE_CHUNKS)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _on_drop(self, dropped: int) -> None:
        self.dropped = dropped

    def _run(self, outlet: Outlet[AudioChunk]) -> None:
        resampler = Resampler() if self._rate != SAMPLE_RATE else None
        waiting = np.zeros(0, dtype=np.int16)
        block = self._rate * CHUNK_MS // 1000
        try:
            with self._sounddevice.InputStream(
                samplerate=self._rate, blocksize=block, device=self._device, channels=1, dtype="int16", latency="low"
            ) as stream:
                while not outlet.stopped:
                    samples, _overflowed = stream.read(block)
                    end_ms = monotonic_ms() - min(stream.latency, 0.2) * 1000.0
                    mono = samples[:, 0].copy()
                    waiting = np.concatenate(
                        [waiting, resampler.convert_samples(mono, self._rate) if resampler else mono]
                    )
                    while len(waiting) >= CHUNK_SAMPLES:
                        begin_ms = end_ms - len(waiting) * 1000.0 / SAMPLE_RATE
                        outlet.put(AudioChunk(waiting[:CHUNK_SAMPLES], begin_ms))
                        waiting = waiting[CHUNK_SAMPLES:]
        except self._sounddevice.PortAudioError as error:
            raise DeviceError(f"the microphone stopped ({error}): is it still plugged in?") from error
