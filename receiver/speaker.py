"""Where the voice goes: a sound card, or nowhere at the same pace.

A speaker is filled on the event loop and keeps a short stock; the sound card's own thread takes from it.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Protocol

import av
import numpy as np

from avcall.common.errors import DeviceError
from avcall.common.frames import SAMPLE_RATE
from avcall.receiver.opus_decoder import Samples

STOCK_MS = 50.0
"""Sound kept ready for the sound card's thread, so that a busy event loop is not heard."""
_MAX_STOCK_MS = 500.0
_CARD_RATE = 48_000
_PACE_FOLLOWED, _PACE_JUMP_MS = 0.05, 40.0


class Speaker(Protocol):
    """Takes int16 mono samples at SAMPLE_RATE."""

    @property
    def lead_ms(self) -> float:
        """How long before it is heard a sample has to be written, at the least."""

    def wanted(self, now_ms: float) -> int:
        """Samples that should be written now."""

    def heard_ms(self, now_ms: float) -> float:
        """When a sample written now will be heard."""

    def write(self, samples: Samples) -> None:
        """Appends samples."""

    def close(self) -> None:
        """Falls silent; may be called twice."""


class SilentSpeaker:
    """Paced by the clock it is asked with: a recording has sound on a machine without any."""

    def __init__(self) -> None:
        self._written_until_ms: float | None = None

    @property
    def lead_ms(self) -> float:
        return 0.0

    def wanted(self, now_ms: float) -> int:
        if self._written_until_ms is None or now_ms - self._written_until_ms > _MAX_STOCK_MS:
            self._written_until_ms = now_ms
        return max(0, int((now_ms - self._written_until_ms) * SAMPLE_RATE / 1000) + 1)

    def heard_ms(self, now_ms: float) -> float:
        return now_ms if self._written_until_ms is None else self._written_until_ms

    def write(self, samples: Samples) -> None:
        if self._written_until_ms is not None:
            self._written_until_ms += len(samples) * 1000 / SAMPLE_RATE

    def close(self) -> None: ...


class SoundCardSpeaker:
    """An output device by name or number, "" for the system's default, through PortAudio.

    Raises:
        DeviceError: PortAudio or the device is missing, or in use.
    """

    def __init__(self, device: str = "") -> None:
        sounddevice = load_portaudio()
        self._lock = threading.Lock()
        self._stock: deque[Samples] = deque()
        self._stocked = 0
        self._taken_from_first = 0
        self._written_ms = 0.0
        self._began_ms: float | None = None
        self.underruns = 0
        self._resampler: av.AudioResampler | None = None
        self._rate = SAMPLE_RATE
        try:
            self._stream = self._open(sounddevice, device)
        except (sounddevice.PortAudioError, ValueError) as error:
            raise DeviceError(
                f"--speaker {device or '(the default)'}: {_one_line(error)}; 'avcall doctor' lists the speakers, "
                "--no-audio plays none"
            ) from error

    def _open(self, sounddevice: Any, device: str) -> Any:
        which = int(device) if device.isdecimal() else (device or None)
        try:
            sounddevice.check_output_settings(device=which, channels=1, dtype="int16", samplerate=SAMPLE_RATE)
        except sounddevice.PortAudioError:  # cards that know only their own rate
            self._rate = _CARD_RATE
            self._resampler = av.AudioResampler("s16", "mono", _CARD_RATE)
        stream = sounddevice.OutputStream(
            device=which,
            channels=1,
            dtype="int16",
            samplerate=self._rate,
            blocksize=self._rate // 100,
            latency="low",
            callback=self._callback,
        )
        stream.start()
        return stream

    @property
    def lead_ms(self) -> float:
        return STOCK_MS + self._latency_ms

    @property
    def _latency_ms(self) -> float:
        return float(self._stream.latency) * 1000.0

    @property
    def _stock_ms(self) -> float:
        with self._lock:
            return self._stocked * 1000.0 / self._rate

    def wanted(self, now_ms: float) -> int:
        return max(0, int((STOCK_MS - self._stock_ms) * SAMPLE_RATE / 1000))

    def heard_ms(self, now_ms: float) -> float:
        # The card takes whole blocks, so the stock jumps; its pace does not.
        began_ms = now_ms + self._stock_ms + self._latency_ms - self._written_ms
        if self._began_ms is None or abs(began_ms - self._began_ms) > _PACE_JUMP_MS:
            self._began_ms = began_ms
        self._began_ms += _PACE_FOLLOWED * (began_ms - self._began_ms)
        return self._began_ms + self._written_ms

    def write(self, samples: Samples) -> None:
        if self._resampler is not None:
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate = SAMPLE_RATE
            parts = [out.to_ndarray().reshape(-1) for out in self._resampler.resample(frame)]
            samples = np.concatenate([np.zeros(0, np.int16), *parts])
        with self._lock:
            if self._stocked < _MAX_STOCK_MS * self._rate / 1000:
                self._stock.append(samples)
                self._stocked += len(samples)
                self._written_ms += len(samples) * 1000.0 / self._rate

    def close(self) -> None:
        self._stream.close(ignore_errors=True)

    def _callback(self, out: Any, count: int, _time: object, _status: object) -> None:
        """Runs in the sound card's thread."""
        filled = 0
        with self._lock:
            while filled < count and self._stock:
                first = self._stock[0][self._taken_from_first :]
                part = first[: count - filled]
                out[filled : filled + len(part), 0] = part
                filled += len(part)
                self._taken_from_first += len(part)
                if len(part) == len(first):
                    self._stock.popleft()
                    self._taken_from_first = 0
            self._stocked -= filled
        if filled < count:
            out[filled:] = 0
            self.underruns += 1


def load_portaudio() -> Any:
    """The sounddevice module.

    Raises:
        DeviceError: PortAudio is not installed.
    """
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            "PortAudio is missing: install it (Debian and Ubuntu: apt install libportaudio2) or give --no-audio"
        ) from error
    return sounddevice


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
